"""A picture of cited events, one a row."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from companion.data.stored import Event
from companion.plots.style import GREY, INK, whole_numbers

# A marker for each kind of event, its edge and its inside, in the order in which the kinds
# first appear; the colors of the cell's quantities are theirs alone.
_MARKS = [("o", GREY, GREY), ("D", INK, "#ffffff"), ("s", INK, INK), ("^", GREY, "#ffffff")]


def timeline(ax: Axes, events: Sequence[Event]) -> Axes:
    """One event a row, from above: a marker at its year, its name beside it.

    Each kind of event has a marker of its own, which a legend names.
    events: a list of `companion.data.Event`, in the order of time, of one to four kinds.
    Raises ValueError for no events or more kinds.
    """
    kinds = list(dict.fromkeys(event.kind for event in events))
    if not 1 <= len(kinds) <= len(_MARKS):
        raise ValueError(f"events must be of 1 to {len(_MARKS)} kinds, got {kinds}")
    marks = dict(zip(kinds, _MARKS, strict=False))
    middle = (events[0].year + events[-1].year) / 2
    for row, event in enumerate(events):
        side = -1 if event.year > middle else 1
        ax.plot(event.year, row, **_style(*marks[event.kind]))
        ax.annotate(
            event.event,
            (event.year, row),
            (8 * side, 0),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="center",
        )
    ax.set_yticks(range(len(events)), [str(event.year) for event in events])
    ax.set_ylim(len(events) - 0.5, -0.5)
    whole_numbers(ax.xaxis)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    for kind, mark in marks.items():
        ax.plot([], [], **_style(*mark), label=kind)
    ax.legend(loc="upper right", handletextpad=0.2)
    return ax


def _style(marker, edge, inside):
    return {"marker": marker, "linestyle": "none", "color": edge, "markerfacecolor": inside}
