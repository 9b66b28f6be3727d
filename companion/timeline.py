"""Tables of cited events: read, checked against the bibliography, and drawn as a timeline."""

import csv
import re
from pathlib import Path
from typing import NamedTuple

from companion.style import COLORS, GREY, INK

# A marker for each kind of event, in the order in which the kinds first appear.
_MARKS = [("o", INK), ("D", COLORS["o"]), ("s", COLORS["f"]), ("^", GREY)]


class Event(NamedTuple):
    """One row of a table: `key` names the cited entry of the bibliography."""

    year: int
    event: str
    kind: str
    key: str


def read_events(table, bibliography):
    """Read a CSV table with the columns Year, Event, Kind and Work into a list of `Event`.

    table, bibliography: paths of the CSV and of the BibTeX file. Work is one citation, as in
    {cite:t}`elman1990finding`.
    Raises ValueError for a work that the bibliography lacks or dates otherwise, and for rows
    that are not in the order of time.
    """
    years = _years(Path(bibliography).read_text(encoding="utf-8"))
    with Path(table).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    events = []
    for row in rows:
        key = re.fullmatch(r"\{cite:t\}`(\w+)`", row["Work"])
        if key is None:
            raise ValueError(f"Work must be one citation, {{cite:t}}`key`, got {row['Work']!r}")
        event = Event(int(row["Year"]), row["Event"], row["Kind"], key[1])
        if years.get(event.key) != event.year:
            raise ValueError(
                f"{event.key} must have the year of the bibliography, {years.get(event.key)}, "
                f"got {event.year}"
            )
        if events and event.year < events[-1].year:
            raise ValueError(f"events must be in the order of time, got {event.key} too late")
        events.append(event)
    return events


def timeline(ax, events):
    """One event a row, from above: a marker at its year, its name beside it.

    events: a list of `Event`, in the order of time, of at most four kinds.
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


def _years(bibtex):
    """The year of every entry of a BibTeX text, by key."""
    years = {}
    for entry in re.split(r"^@", bibtex, flags=re.MULTILINE)[1:]:
        key = re.match(r"\w+\{(\w+),", entry)
        year = re.search(r"^\s*year\s*=\s*\{(\d{4})\}", entry, re.MULTILINE)
        if key and year:
            years[key[1]] = int(year[1])
    return years
