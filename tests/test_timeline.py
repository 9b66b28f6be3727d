"""Tables of cited events, and their picture."""

from pathlib import Path

import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from pybtex.database import parse_file  # noqa: E402

from companion.data import Event, load_events  # noqa: E402
from companion.plots import set_style, timeline  # noqa: E402

BIBLIOGRAPHY = Path(__file__).parents[1] / "book" / "references.bib"
TABLES = ("fields", "history", "lstm")


def years():
    """The year of every entry of the bibliography, by key."""
    entries = parse_file(BIBLIOGRAPHY).entries
    return {key: int(entry.fields["year"]) for key, entry in entries.items()}


@pytest.mark.parametrize("name", TABLES)
def test_events_have_the_years_of_the_bibliography_and_their_order(name):
    events = load_events(name)
    known = years()
    assert [known.get(event.key) for event in events] == [event.year for event in events]
    assert events == sorted(events, key=lambda event: event.year)


def test_an_unknown_table_is_refused_by_name():
    with pytest.raises(ValueError, match="'fields', 'history', 'lstm'.*got 'bistory'"):
        load_events("bistory")


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_the_book_are_read_and_drawn_whole(name):
    events = load_events(name)
    set_style()
    fig, ax = plt.subplots(figsize=(6.4, 0.29 * len(events) + 0.6))
    timeline(ax, events)
    assert [text.get_text() for text in ax.texts] == [event.event for event in events]
    markers = [line.get_xydata().tolist() for line in ax.lines[: len(events)]]
    assert markers == [[[event.year, row]] for row, event in enumerate(events)]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(labels) == {event.kind for event in events}
    fig.draw_without_rendering()
    frame, key = ax.get_window_extent(), ax.get_legend().get_window_extent()
    for text in ax.texts:
        box = text.get_window_extent()
        assert frame.x0 < box.x0 and box.x1 < frame.x1, f"{text.get_text()} leaves the picture"
        assert not box.overlaps(key), f"{text.get_text()} meets the key"
    plt.close(fig)


def test_a_timeline_has_one_to_four_kinds():
    events = [Event(1990 + k, "event", f"kind {k}", "key") for k in range(5)]
    fig, ax = plt.subplots()
    for wrong in ([], events):
        with pytest.raises(ValueError, match="1 to 4 kinds"):
            timeline(ax, wrong)
    plt.close(fig)
