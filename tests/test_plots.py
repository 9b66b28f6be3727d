"""The book's colors can be read and told apart; plots draw what they are given."""

import importlib.util
import io
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from companion import plots  # noqa: E402
from companion.plots import style  # noqa: E402

FIGURES = Path(__file__).parents[1] / "book" / "figures"
DRAWN_WITH = "3.11.2"  # the pinned version; another one may place letters elsewhere

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def linear(color):
    """#RRGGBB to linear RGB."""
    c = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2 contrast of two colors, 1 to 21."""
    light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return light[1] / light[0]


def lab(rgb):
    """Linear RGB to CIELAB under D65."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750]]
    to_xyz += [[0.0193339, 0.1191920, 0.9503041]]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture
def ax():
    with matplotlib.rc_context():
        plots.set_style()
        fig, axes = plt.subplots()
        yield axes
        plt.close(fig)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("background", ["#ffffff", "#14181e"])
@pytest.mark.parametrize("name", plots.COLORS)
def test_each_color_reads_on_light_and_dark(name, background):
    # 3 is WCAG's bound for graphics and large text; no color can exceed 4.2 on both pages
    assert contrast(plots.COLORS[name], background) >= 3.8


@pytest.mark.parametrize("vision", VISION)
def test_colors_can_be_told_apart(vision):
    seen = {name: lab(VISION[vision] @ linear(c)) for name, c in plots.COLORS.items()}
    # 2.3 is the just noticeable difference; 20 stays clear for thin lines
    apart = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(seen, 2)}
    assert min(apart.values()) >= 20, min(apart, key=apart.get)


def test_color_is_never_the_only_cue():
    assert set(plots.COLORS) == set(plots.LINES) == set(plots.LABELS) == set("ifogch")
    assert len({str(line["linestyle"]) for line in plots.LINES.values()}) == 6
    assert len({line["marker"] for line in plots.LINES.values()}) == 6


def test_traces_draw_the_chosen_unit(ax, rng):
    history = {name: rng.normal(size=(7, 2, 3)) for name in "ifogch"}
    assert plots.traces(ax, history, names="fc", unit=2) is ax
    for line, name in zip(ax.lines, "fc", strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 8))
        np.testing.assert_array_equal(line.get_ydata(), history[name][:, 0, 2])
        assert line.get_color() == plots.COLORS[name]
    assert [label.get_text() for label in ax.texts] == [
        plots.LABELS[name] for name in sorted("fc", key=lambda n: history[n][-1, 0, 2])
    ]


@pytest.mark.parametrize("name", plots.COLORS)
def test_heatmap_shows_units_over_time(ax, rng, name):
    values = rng.uniform(0, 1, (4, 3))
    assert plots.heatmap(ax, values, name, numbers=True) is ax
    np.testing.assert_array_equal(ax.images[0].get_array(), values.T)
    assert ax.images[0].get_clim() == ((0, 1) if name in "ifo" else (-1, 1))
    # Columns are steps and rows units, both from 1, the first unit on top.
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.5, 4.5), (3.5, 0.5))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step $t$", "unit")
    assert ax.images[0].get_extent() == [0.5, 4.5, 3.5, 0.5]
    written = {label.get_position(): label.get_text() for label in ax.texts}
    assert written[(2, 3)] == f"{values[1, 2]:.2f}" and len(written) == 12


def test_heatmap_writes_no_negative_zero(ax):
    plots.heatmap(ax, np.array([[-0.001]]), "c", numbers=True)
    assert ax.texts[0].get_text() == "0.00"


def test_activation_shades_where_the_slope_is_small(ax):
    a = np.linspace(-8, 8, 161)
    s = 1 / (1 + np.exp(-a))
    assert plots.activation(ax, a, s, s * (1 - s)) is ax
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), s)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), s * (1 - s))
    edges = np.concatenate([path.vertices[:, 0] for path in ax.collections[0].get_paths()])
    # sigmoid' is a tenth of 1/4 where s (1 - s) = 1/40: at |a| = 3.637
    inner = np.abs(edges).min()
    assert 3.6 <= inner <= 3.7


def test_learning_curve_draws_curves_and_baselines(ax, rng):
    steps, curves = np.arange(0, 50, 5), {"SGD": rng.random(10), "Adam": rng.random(10)}
    assert plots.learning_curve(ax, steps, curves, baselines={"unigram": 4.5}) is ax
    for line, (label, values) in zip(ax.lines, curves.items(), strict=False):
        assert line.get_label() == label
        np.testing.assert_array_equal(line.get_ydata(), values)
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), [4.5, 4.5])
    assert {label.get_text() for label in ax.texts} == {"SGD", "Adam", "unigram"}


def test_other_curves_take_no_color_of_a_quantity(ax):
    plots.learning_curve(ax, np.arange(2), {name: np.arange(2) for name in "abcd"}, {"e": 2.0})
    assert not {line.get_color() for line in ax.lines} & set(plots.COLORS.values())


def test_norms_leave_a_gap_at_zero(ax):
    assert plots.norms(ax, {"c": np.array([1.0, 0.0, 4.0]), "no carry": np.zeros(3)}) is ax
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1, np.nan, 4])
    assert ax.get_yscale() == "log" and len(ax.texts) == 1


def test_labels_at_the_end_do_not_overlap(ax):
    curves = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 2.001]), "d": np.array([0.0, 2.0])}
    plots.learning_curve(ax, np.arange(2), curves, baselines={"e": 2.0})
    ax.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: plots.traces(ax, {"i": np.ones((2, 1, 1))}, names="q"), "names must be of"),
        (lambda ax: plots.traces(ax, {"i": np.ones((2, 1))}, names="i"), "rank 3"),
        (lambda ax: plots.traces(ax, {"i": np.ones((2, 1, 1))}, names="i", unit=1), "unit 1"),
        (lambda ax: plots.traces(ax, {"i": np.ones((0, 1, 1))}, names="i"), r"\(0, 1, 1\)"),
        (lambda ax: plots.heatmap(ax, np.ones(3), "i"), "rank 2"),
        (lambda ax: plots.heatmap(ax, np.ones((1, 1)), "z"), "'z'"),
        (lambda ax: plots.heatmap(ax, np.ones((1, 1)) * 1j, "i"), "complex128"),
        (lambda ax: plots.activation(ax, np.ones(3), np.ones(3), np.ones(2)), r"\(2,\)"),
        (lambda ax: plots.activation(ax, np.ones(2), np.ones(3), np.ones(3)), r"\(2,\)"),
        (lambda ax: plots.learning_curve(ax, np.ones(3), {"a": np.ones(2)}), r"curves\['a'\]"),
        (lambda ax: plots.learning_curve(ax, np.ones(3), {}), "got 0"),
        (lambda ax: plots.norms(ax, {"h": np.array([-1.0])}), "no negative"),
        (lambda ax: plots.norms(ax, {}), "got 0"),
    ],
)
def test_bad_input_is_named(ax, call, message):
    with pytest.raises(ValueError, match=message):
        call(ax)


def test_stored_pictures_are_the_same_twice(rng):
    history = {name: rng.normal(size=(7, 2, 3)) for name in "ifogch"}

    def png():
        with matplotlib.rc_context():
            plots.set_style()
            fig, axes = plt.subplots()
            plots.traces(axes, history, names="ifogch")
            stream = io.BytesIO()
            fig.savefig(stream, **style._SAVE)
            plt.close(fig)
        return stream.getvalue()

    first = png()
    assert first == png()
    assert b"Software" not in first


@pytest.fixture(scope="module")
def drawn():
    """The module that draws the diagrams; it stands beside them, outside any package."""
    sys.path.insert(0, str(FIGURES))
    try:
        spec = importlib.util.spec_from_file_location("book_figures_draw", FIGURES / "draw.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.figures()
    finally:
        sys.path.remove(str(FIGURES))


def test_diagrams_are_what_the_script_draws(drawn):
    assert {path.name for path in FIGURES.glob("*.svg")} == set(drawn)
    if matplotlib.__version__ != DRAWN_WITH:
        pytest.skip(f"drawn with matplotlib {DRAWN_WITH}, here is {matplotlib.__version__}")
    for name, canvas in drawn.items():
        same = (FIGURES / name).read_text(encoding="utf-8") == canvas.svg()
        assert same, f"{name} is not what book/figures/draw.py draws: run it"


def test_no_label_of_a_diagram_touches_another_or_a_wire(drawn):
    for name, canvas in drawn.items():
        assert canvas.clashes() == [], name


def test_every_letter_is_large_enough_on_a_phone(drawn):
    for name, canvas in drawn.items():
        for label, size in canvas.sizes:  # a picture is about 350 px wide there
            assert size * 350 / canvas.width >= 9.75, (name, label)
