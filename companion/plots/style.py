"""The one style of the book's figures, and one color, line and letter for each quantity."""

import sys
from typing import Any

import matplotlib as mpl

# Equations and diagrams use these too. Each is readable on white and on the dark page, and any
# two can be told apart with the common color-vision deficiencies (tests/test_plots.py).
COLORS = {
    "i": "#11945f",  # input gate
    "f": "#e81049",  # forget gate
    "o": "#0670e8",  # output gate
    "g": "#c94ab7",  # candidate
    "c": "#b57003",  # cell state
    "h": "#837a88",  # hidden state
}
INK, GREY, LIGHT = "#20262e", "#5b6470", "#e3e6ea"

# Color is never the only cue: every quantity has a dash pattern and a marker of its own.
LINES: dict[str, dict[str, Any]] = {
    "i": {"linestyle": "-", "marker": "o"},
    "f": {"linestyle": "--", "marker": "s"},
    "o": {"linestyle": "-.", "marker": "^"},
    "g": {"linestyle": ":", "marker": "D"},
    "c": {"linestyle": (0, (7, 1.5)), "marker": "P"},
    "h": {"linestyle": (0, (4, 1, 1, 1, 1, 1)), "marker": "v"},
}
LABELS = {
    "i": "$i_t$",
    "f": "$f_t$",
    "o": "$o_t$",
    "g": r"$\tilde{C}_t$",
    "c": "$C_t$",
    "h": "$h_t$",
}
_SAVE: dict[str, Any] = {"bbox_inches": None, "metadata": {"Software": None}}


def whole_numbers(axis: Any) -> None:
    """Put the ticks of an axis at whole numbers alone."""
    axis.get_major_locator().set_params(integer=True)


def set_style() -> None:
    """Set the style of the book's figures; call it once at the top of a notebook.

    It changes matplotlib's `rcParams`, for all figures that are drawn afterwards.
    Inside IPython it also fixes how figures are stored: PNG, the same bytes on every run.
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 150,
            "figure.facecolor": "#ffffff",
            "figure.constrained_layout.use": True,
            "savefig.dpi": 150,
            "savefig.facecolor": "#ffffff",
            "font.family": "DejaVu Sans",
            "font.size": 14,
            "mathtext.fontset": "cm",
            "axes.titlesize": 14,
            "axes.labelsize": 14,
            "axes.edgecolor": GREY,
            "axes.labelcolor": INK,
            "axes.linewidth": 1.0,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": LIGHT,
            "grid.linewidth": 0.9,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "text.color": INK,
            "lines.linewidth": 2.4,
            "lines.markersize": 6.5,
            "legend.frameon": False,
            "svg.fonttype": "path",
            "svg.hashsalt": "companion",
        }
    )
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline import backend_inline
        from matplotlib_inline.config import InlineBackend

        # Loading pyplot resets the stored formats, so the configuration must say the same.
        InlineBackend.instance().print_figure_kwargs = dict(_SAVE)
        backend_inline.set_matplotlib_formats("png", **_SAVE)
