"""A text whose letters stand on the color of a quantity."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from companion.plots.curves import color_scale
from companion.plots.style import COLORS, INK

_ADVANCE = 0.602  # width of a letter of DejaVu Sans Mono, in units of the font's size


def letters(ax: Axes, text: str, values: ArrayLike, name: str, width: int = 40) -> Axes:
    """A text, each character on the color of the value that goes with it.

    A line break also ends a row; its own value stands on a ↵. The letters fit axes as wide as the
    figure, or as the subfigure that they are in.
    text: T ≥ 1 characters. values: (T,). name: the quantity that they are of; i f o are drawn on
    [0, 1], g c h on a range symmetric about 0, violet below and orange above. width: characters
    in a row.
    Raises ValueError unless there is one value a character, or for a name that the book lacks.
    """
    values = np.asarray(values)
    if not text or values.shape != (len(text),) or name not in COLORS:
        raise ValueError(
            f"values must be one number for each of the {len(text)} characters of text and name "
            f"one of {list(COLORS)}, got shape {values.shape} and {name!r}"
        )
    low, top, cmap = color_scale(name, values)
    fills = cmap(mpl.colors.Normalize(low, top)(values))
    figure: Any = ax.figure
    size = 0.94 * 72 * figure.bbox.width / figure.dpi / width / _ADVANCE
    style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "family": "DejaVu Sans Mono"}
    row, column = 0, 0
    for character, fill in zip(text, fills, strict=True):
        if column == width:
            row, column = row + 1, 0
        ax.add_patch(mpl.patches.Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=fill))
        # Of dark and white letters those of higher contrast on this color (WCAG 2, roughly).
        ink = INK if fill[:3] ** 2.2 @ [0.2126, 0.7152, 0.0722] > 0.22 else "#ffffff"
        shown = "↵" if character == "\n" else character
        ax.text(column + 0.5, row + 0.5, shown, fontsize=size, color=ink, **style)
        column += 1
        if character == "\n":
            row, column = row + 1, 0
    ax.set(xlim=(0, width), ylim=(row + (column > 0), 0))
    ax.axis("off")
    return ax
