"""The book's one figure style: a colour and a line for each quantity, everywhere the same."""

import matplotlib as mpl

# Readable on white and on the dark page alike, and apart for colour-blind readers.
COLORS = {
    "i": "#2f78c4",
    "f": "#c8571b",
    "o": "#0f8a5f",
    "g": "#b3589a",
    "c": "#a0730a",
    "h": "#6f7680",
}
LINES = {"i": "-", "f": "--", "o": "-.", "g": ":", "c": (0, (5, 1, 1, 1, 1, 1)), "h": (0, (3, 1))}


def set_style():
    """Set matplotlib to the book's style, and a notebook's figures to sharp PNG."""
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.facecolor": "#fdfdfb",
            "axes.facecolor": "#fdfdfb",
            "savefig.facecolor": "#fdfdfb",
            "figure.constrained_layout.use": True,
            "font.size": 13,
            "axes.titlesize": 13,
            "axes.labelsize": 13,
            "legend.fontsize": 12,
            "lines.linewidth": 2.2,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#dddddd",
            "grid.linewidth": 0.7,
            "legend.frameon": False,
            "svg.hashsalt": "companion",
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    from IPython import get_ipython

    if get_ipython() is not None:
        set_matplotlib_formats("png", dpi=150, metadata={"Software": None})
