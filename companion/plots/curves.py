"""Traces, heat maps and curves, each f(ax, arrays) -> ax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from numpy.typing import ArrayLike

from companion.plots.style import COLORS, GREY, INK, LABELS, LIGHT, LINES, whole_numbers
from companion.types import Array

# For curves that are no quantity of the cell, such as one optimizer against another.
# The colors of the cell's quantities are theirs alone; dashes tell these apart.
_PLAIN = [(INK, "-"), (GREY, "--"), (INK, "-."), (GREY, (0, (3, 1, 1, 1, 1, 1)))]


def traces(
    ax: Axes, history: Mapping[str, Array], names: Iterable[str] = ("i", "f", "o"), unit: int = 0
) -> Axes:
    """Gates and states of one unit of the first sequence over time, labelled at the line's end.

    Steps are counted from 1, as in the equations.
    history: dict name -> (T, B, H), as `companion.history` gives it. names: which to draw, of
    i f o g c h. unit: 0 to H - 1.
    Raises ValueError for a name that history or the book lacks, an array of another rank, no
    step, no sequence, or no such unit.
    """
    ends = []
    for name in names:
        if name not in history or name not in COLORS:
            known = [known for known in history if known in COLORS]
            raise ValueError(f"names must be of {known}, got {name!r}")
        values = _array(f"history[{name!r}]", history[name], 3)
        T, B, H = values.shape
        if T == 0 or B == 0 or not 0 <= unit < H:
            raise ValueError(
                f"history[{name!r}] must have a step, a sequence and unit {unit}, "
                f"got shape (T, B, H) = {values.shape}"
            )
        steps, style = np.arange(1, T + 1), {"color": COLORS[name], **LINES[name]}
        ax.plot(steps, values[:, 0, unit], markevery=max(1, T // 10), **style)
        ends.append((T, values[-1, 0, unit], LABELS[name], COLORS[name]))
    ax.set_xlabel("step $t$")
    whole_numbers(ax.xaxis)
    _label_ends(ax, ends)
    return ax


def heatmap(ax: Axes, values: ArrayLike, name: str, numbers: bool = False) -> Axes:
    """One quantity as a table of colors: units (rows, from 1) over time (columns, from 1).

    A bar beside it shows which color stands for which value.
    values: (T, H). name: which quantity it is; i f o are drawn on [0, 1], g c h on a range
    symmetric about 0. numbers: whether to write each value in its field (for small tables).
    Raises ValueError for another rank, no value, or a name that the book lacks.
    """
    values = _array("values", values, 2)
    if name not in COLORS or values.size == 0:
        raise ValueError(
            f"name must be one of {list(COLORS)} and values not empty, "
            f"got {name!r} and shape {values.shape}"
        )
    T, H = values.shape
    low, top, cmap = color_scale(name, values)
    extent = (0.5, T + 0.5, H + 0.5, 0.5)
    image = ax.imshow(values.T, cmap=cmap, vmin=low, vmax=top, aspect="auto", extent=extent)
    image.set_interpolation("nearest")
    if numbers:
        for t, j in np.ndindex(T, H):
            color = "#ffffff" if abs(values[t, j]) > 0.65 * top else INK
            number = f"{round(float(values[t, j]), 2) + 0.0:.2f}"  # + 0.0: no "-0.00"
            ax.text(t + 1, j + 1, number, ha="center", va="center", color=color)
    ax.set(xlabel="step $t$", ylabel="unit")
    for axis in (ax.xaxis, ax.yaxis):
        whole_numbers(axis)
    ax.grid(False)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.ax.set_title(LABELS[name], fontsize=18)
    bar.outline.set_visible(False)
    return ax


def activation(
    ax: Axes, a: ArrayLike, values: ArrayLike, slopes: ArrayLike, name: str = "i"
) -> Axes:
    """An activation (line) and its derivative (dashed) against the pre-activation.

    Shaded: where it saturates, that is where the slope is below a tenth of the largest.
    a, values, slopes: (N,), a increasing. name: the quantity whose color the line takes.
    Raises ValueError unless the three are vectors of one length, or for an unknown name.
    """
    a, values, slopes = (
        _array(what, v, 1) for what, v in (("a", a), ("values", values), ("slopes", slopes))
    )
    if not (a.shape == values.shape == slopes.shape and a.size) or name not in COLORS:
        raise ValueError(
            f"a, values and slopes must have one shape (N,), N > 0, and name be one of "
            f"{list(COLORS)}, got {a.shape}, {values.shape}, {slopes.shape} and {name!r}"
        )
    flat = slopes < 0.1 * slopes.max()
    ax.fill_between(a, 0, 1, where=flat, transform=ax.get_xaxis_transform(), color=LIGHT, alpha=0.8)
    ax.plot(a, values, color=COLORS[name], label="value")
    ax.plot(a, slopes, color=GREY, linestyle="--", label="slope")
    ax.set_xlabel("pre-activation $a$")
    ends = [(a[-1], values[-1], "value", COLORS[name]), (a[-1], slopes[-1], "slope", GREY)]
    _label_ends(ax, ends)
    return ax


def learning_curve(
    ax: Axes,
    steps: ArrayLike,
    curves: Mapping[str, ArrayLike],
    baselines: Mapping[str, float] | None = None,
) -> Axes:
    """Loss (or another score) against training steps, with labelled horizontal baselines.

    steps: (N,). curves: dict label -> (N,), one to four. baselines: dict label -> the height of a
    line, any number of them, or None.
    Raises ValueError for an empty or wrong-sized curve, and for none or more than four.
    """
    steps = _array("steps", steps, 1)
    if not 1 <= len(curves) <= len(_PLAIN):
        raise ValueError(f"curves must hold 1 to {len(_PLAIN)} curves, got {len(curves)}")
    ends = []
    for (label, values), (color, dash) in zip(curves.items(), _PLAIN, strict=False):
        values = _array(f"curves[{label!r}]", values, 1)
        if values.shape != steps.shape or not steps.size:
            raise ValueError(
                f"curves[{label!r}] must have the shape of steps, not empty, "
                f"got {values.shape} and {steps.shape}"
            )
        ax.plot(steps, values, color=color, linestyle=dash, label=label)
        ends.append((steps[-1], values[-1], label, color))
    for label, level in (baselines or {}).items():
        ends_x, dots = steps[[0, -1]], (0, (2, 2))
        ax.plot(ends_x, [level, level], color=GREY, linewidth=1.5, linestyle=dots, label=label)
        ends.append((steps[-1], level, label, GREY))
    ax.set_xlabel("training step")
    _label_ends(ax, ends)
    return ax


def norms(ax: Axes, sizes: Mapping[str, ArrayLike]) -> Axes:
    """Sizes of derivatives over time on a logarithmic axis; zeros leave a gap.

    Steps are counted from 1.
    sizes: dict name -> (T,), one to four. A name of `COLORS`, such as c or h, takes its color and
    is written as the norm of a derivative, ‖dC_t‖ or ‖dh_t‖; any other stands as it is.
    Raises ValueError for another rank, no step, a negative size, and for none or more than four.
    """
    if not 1 <= len(sizes) <= len(_PLAIN):
        raise ValueError(f"sizes must hold 1 to {len(_PLAIN)} curves, got {len(sizes)}")
    ends = []
    for (name, values), (color, dash) in zip(sizes.items(), _PLAIN, strict=False):
        values = _array(f"sizes[{name!r}]", values, 1)
        if not values.size or (values < 0).any():
            raise ValueError(
                f"sizes[{name!r}] must be (T,) with T > 0 and no negative, got {values}"
            )
        style, label = {"color": color, "linestyle": dash}, name
        if name in COLORS:
            style = {"color": COLORS[name], **LINES[name]}
            label = rf"$\Vert\mathrm{{d}}{LABELS[name][1:-1]}\Vert$"
        T = values.size
        shown = np.where(values > 0, values, np.nan)
        ax.plot(np.arange(1, T + 1), shown, markevery=max(1, T // 10), **style)
        last = np.flatnonzero(values > 0)
        if last.size:
            ends.append((last[-1] + 1, values[last[-1]], label, style["color"]))
    ax.set_yscale("log")
    ax.set_xlabel("step $t$")
    whole_numbers(ax.xaxis)
    _label_ends(ax, ends)
    return ax


def _array(what, values, rank):
    values = np.asarray(values)
    if values.ndim != rank or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{what} must be a real array of rank {rank}, "
            f"got shape {values.shape} and dtype {values.dtype}"
        )
    return values


def color_scale(name: str, values: Array) -> tuple[float, float, Colormap]:
    """Lowest and highest value and the color map by which a quantity is drawn as a color."""
    if name in "ifo":
        return 0.0, 1.0, LinearSegmentedColormap.from_list("gate", ["#ffffff", COLORS[name]])
    top = max(1.0, float(np.abs(values).max()))
    return -top, top, mpl.colormaps["PuOr_r"]


def _label_ends(ax, ends):
    """Write labels right of the lines' ends (x, y, label, color), pushed apart where they meet."""
    size = mpl.rcParams["font.size"]
    points = ax.get_position().height * ax.figure.get_figheight() * 72
    to_axes = ax.transData + ax.transAxes.inverted()
    ends = sorted(ends, key=lambda end: end[1])
    wanted = np.array([to_axes.transform(end[:2])[1] * points for end in ends])
    placed = wanted.copy()
    for _ in range(100):
        for k in range(1, len(placed)):
            missing = 1.35 * size - (placed[k] - placed[k - 1])
            if missing > 1e-9:
                placed[k - 1] -= missing / 2
                placed[k] += missing / 2
    for (x, y, label, color), shift in zip(ends, placed - wanted, strict=True):
        style = {"color": color, "fontsize": size * (1.3 if "$" in label else 1.0)}
        ax.annotate(label, (x, y), (9, shift), textcoords="offset points", va="center", **style)
