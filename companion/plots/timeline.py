"""A picture of cited events, one a row."""

from companion.plots.style import GREY, INK

# A marker for each kind of event, in the order in which the kinds first appear.
_MARKS = [("o", INK), ("D", GREY), ("s", INK), ("^", GREY)]


def timeline(ax, events):
    """One event a row, from above: a marker at its year, its name beside it.

    events: a list of `companion.data.Event`, in the order of time, of at most four kinds.
    Raises ValueError for no events or more kinds.
    """
    kinds = list(dict.fromkeys(event.kind for event in events))
    if not 1 <= len(kinds) <= len(_MARKS):
        raise ValueError(f"events must be of 1 to {len(_MARKS)} kinds, got {kinds}")
    marks = dict(zip(kinds, _MARKS, strict=False))
    middle = (events[0].year + events[-1].year) / 2
    for row, event in enumerate(events):
        marker, color = marks[event.kind]
        side = -1 if event.year > middle else 1
        ax.plot(event.year, row, marker=marker, color=color, linestyle="none")
        ax.annotate(
            event.event,
            (event.year, row),
            (8 * side, 0),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="center",
        )
    ax.set_yticks(range(len(events)), [event.year for event in events])
    ax.set_ylim(len(events) - 0.5, -0.5)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    for kind, (marker, color) in marks.items():
        ax.plot([], [], marker=marker, color=color, linestyle="none", label=kind)
    ax.legend(loc="upper right", handletextpad=0.2)
    return ax
