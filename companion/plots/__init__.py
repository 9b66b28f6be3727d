"""Plots of the book, each f(ax, arrays) -> ax, and the one style of its figures."""

from companion.plots.curves import activation, heatmap, learning_curve, norms, traces
from companion.plots.letters import letters
from companion.plots.style import COLORS, GREY, INK, LABELS, LIGHT, LINES, set_style
from companion.plots.timeline import timeline

__all__ = [
    "COLORS",
    "GREY",
    "INK",
    "LABELS",
    "LIGHT",
    "LINES",
    "activation",
    "heatmap",
    "learning_curve",
    "letters",
    "norms",
    "set_style",
    "timeline",
    "traces",
]
