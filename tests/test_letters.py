"""Letters on color: every character in its place, on the color of its value, readable."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from companion import plots  # noqa: E402
from companion.plots.curves import color_scale  # noqa: E402


@pytest.fixture
def ax():
    fig, axes = plt.subplots()
    yield axes
    plt.close(fig)


def luminance(color):
    c = np.array(matplotlib.colors.to_rgb(color))
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(c @ [0.2126, 0.7152, 0.0722])


def test_letters_stand_in_rows(ax):
    text = "Oh--\n\nabcdefg"
    assert plots.letters(ax, text, np.linspace(-1, 1, len(text)), "c", width=5) is ax
    rows = {}
    for label in ax.texts:
        x, y = label.get_position()
        rows.setdefault(int(y), []).append((x, label.get_text()))
    found = ["".join(letter for _, letter in sorted(row)) for _, row in sorted(rows.items())]
    assert found == ["Oh--↵", "↵", "abcde", "fg"]
    assert ax.get_xlim() == (0, 5) and ax.get_ylim() == (4, 0)


@pytest.mark.parametrize("name", plots.COLORS)
def test_each_letter_stands_on_the_color_of_its_value_and_can_be_read(ax, name):
    values = np.linspace(0 if name in "ifo" else -1.5, 1, 40)
    plots.letters(ax, "x" * 40, values, name)
    low, top, cmap = color_scale(name, values)
    assert (low, top) == ((0, 1) if name in "ifo" else (-top, max(1, np.abs(values).max())))
    for value, field, label in zip(values, ax.patches, ax.texts, strict=True):
        wanted = cmap((value - low) / (top - low))
        np.testing.assert_allclose(field.get_facecolor(), wanted, rtol=0, atol=1e-9)
        light = sorted(luminance(c) + 0.05 for c in (field.get_facecolor()[:3], label.get_color()))
        assert light[1] / light[0] >= 3.5  # WCAG 2 asks 3 of large letters


def test_letters_fit_the_figure_that_the_axes_are_in():
    figure = plt.figure(figsize=(8, 2), dpi=50)  # other dots an inch than the font's 72
    whole, (left, _) = figure.add_subplot(), figure.subfigures(1, 2)
    for axes in (whole, left.add_subplot()):
        plots.letters(axes, "ab", np.zeros(2), "c")
        # 40 letters of 0.602 em each fill 94 % of the width, which is 8 or 4 inches.
        size = 0.94 * 72 * (8 if axes is whole else 4) / 40 / 0.602
        assert axes.texts[0].get_fontsize() == pytest.approx(size, rel=1e-12)
    plt.close(figure)


def test_letters_wants_a_value_for_each_character(ax):
    with pytest.raises(ValueError, match="3 characters of text"):
        plots.letters(ax, "abc", np.zeros(2), "c")
    with pytest.raises(ValueError, match="name one of"):
        plots.letters(ax, "abc", np.zeros(3), "x")
