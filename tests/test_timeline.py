"""Tables of cited events, and their picture."""

from pathlib import Path

import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from companion.style import set_style  # noqa: E402
from companion.timeline import Event, read_events, timeline  # noqa: E402

BOOK = Path(__file__).resolve().parent.parent / "book"
BIBLIOGRAPHY = """% A comment with year = {1900}
@book{first1943neuron,
  title = {A neuron},
  year  = {1943}
}

@misc{undated,
  title = {No year}
}

@article{second1986net,
  title = {A net},
  year  = {1986},
  doi   = {10.1/x}
}
"""
FIRST, SECOND = "1943,neuron,net,{cite:t}`first1943neuron`", "1986,net,net,{cite:t}`second1986net`"


@pytest.fixture
def read(tmp_path):
    def run(*rows):
        table, bibliography = tmp_path / "events.csv", tmp_path / "references.bib"
        table.write_text("\n".join(["Year,Event,Kind,Work", *rows]), encoding="utf-8")
        bibliography.write_text(BIBLIOGRAPHY, encoding="utf-8")
        return read_events(table, bibliography)

    return run


def test_events_are_read_with_their_keys(read):
    assert read(FIRST, SECOND) == [
        Event(1943, "neuron", "net", "first1943neuron"),
        Event(1986, "net", "net", "second1986net"),
    ]


@pytest.mark.parametrize(
    "row, message",
    [
        (FIRST.replace("1943,", "1944,"), "1943, got 1944"),
        ("1990,x,net,{cite:t}`nobody1990none`", "None, got 1990"),
        # The year of the next entry must not be taken for its own.
        ("1986,x,net,{cite:t}`undated`", "None, got 1986"),
        ("1943,x,net,{cite:t}`first1943neuron` and more", "one citation"),
    ],
)
def test_a_row_that_does_not_fit_the_bibliography_is_refused(read, row, message):
    with pytest.raises(ValueError, match=message):
        read(row)


def test_events_must_be_in_the_order_of_time(read):
    with pytest.raises(ValueError, match="first1943neuron too late"):
        read(SECOND, FIRST)


@pytest.mark.parametrize("table", sorted(BOOK.glob("background/*.csv")), ids=lambda path: path.name)
def test_tables_of_the_book_are_read_and_drawn_whole(table):
    events = read_events(table, BOOK / "references.bib")
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
