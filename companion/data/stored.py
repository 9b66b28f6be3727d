"""What the book's pages read of what was measured or collected before, from the package itself."""

import csv
import json
import re
from importlib.resources import files
from typing import Any, NamedTuple

FOLDER = files("companion.data")


class Event(NamedTuple):
    """One row of a table of events.

    year: of the event. event: what happened, in a few words. kind: the group that it belongs to,
    such as "training". key: of the cited entry in the bibliography, such as "elman1990finding".
    """

    year: int
    event: str
    kind: str
    key: str


def load_result(name: str) -> dict[str, Any]:
    """The outcome of a long experiment, as `book/experiments/<name>.py` wrote it: a dict.

    name: of the experiment, such as "hs1997".
    Returns a dict that holds "machine", "settings" and "runs", a list of dicts, one a run.
    Raises ValueError for a name that is not there, with those that are.
    """
    return json.loads(_read("results", name, ".json"))


def load_benchmark(name: str) -> dict[str, Any]:
    """The outcome of a benchmark, as `make bench` wrote it: a dict.

    name: of the benchmark, such as "lstm".
    Raises ValueError for a name that is not there, with those that are.
    """
    return json.loads(_read("benchmarks", name, ".json"))


def load_events(name: str) -> list[Event]:
    """A table of cited events, "history", "lstm" or "fields": a list of `Event`, by year.

    Raises ValueError for a name that is not there, with those that are.
    """
    rows = csv.DictReader(_read("events", name, ".csv").splitlines())
    return [Event(int(row["Year"]), row["Event"], row["Kind"], _key(row["Work"])) for row in rows]


def _read(folder, name, ending):
    known = sorted(p.name[: -len(ending)] for p in FOLDER.joinpath(folder).iterdir())
    if name not in known:
        raise ValueError(f"name must be one of {known}, got {name!r}")
    return FOLDER.joinpath(folder, name + ending).read_text(encoding="utf-8")


def _key(work):
    """The key of one citation, as in {cite:t}`elman1990finding`."""
    found = re.fullmatch(r"\{cite:t\}`(\w+)`", work)
    if found is None:
        raise ValueError(f"Work must be one citation, {{cite:t}}`key`, got {work!r}")
    return found[1]
