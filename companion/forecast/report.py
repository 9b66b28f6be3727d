"""What the leak detector says."""

from dataclasses import dataclass
from typing import NamedTuple


class Moved(NamedTuple):
    """What one kind of change did to forecasts that were issued before it.

    change: its name. moved: how many forecasts moved. checked: of how many, over all cuts.
    by: the largest move, in the units of the forecasts. time: when that forecast was issued.
    after: the last time whose value had been left as it was.
    """

    change: str
    moved: int
    checked: int
    by: float
    time: int
    after: int


@dataclass(frozen=True)
class LeakReport:
    """What `find_leak` found: whether all is `ok`, and if not, a `verdict`. Printed, it is a table.

    title: what was tested. verdict: "no leak found", "LEAK", "NOT REPEATABLE" or "READS NOTHING".
    rows: a `Moved` for each kind of change, () where forecasts do not repeat or read nothing.
    by: the largest move, 0 without a leak, or the largest difference of two calls that should be
    equal. reads: which steps the forecast that moved most was seen to read, () without a leak: the
    nearest and the furthest one, counted in steps after the forecast's own time.
    """

    title: str
    verdict: str
    rows: tuple[Moved, ...] = ()
    by: float = 0.0
    reads: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """True if forecasts repeat, depend on the series, and none moved."""
        return self.verdict == "no leak found"

    @property
    def worst(self) -> Moved | None:
        """The `Moved` with the largest move, or None."""
        moved = [row for row in self.rows if row.moved]
        return max(moved, key=lambda row: row.by) if moved else None

    def __str__(self) -> str:
        rows = [("change", "moved", "by at most", "issued at", "changed after")]
        for row in self.rows:
            where = (f"{row.by:.2g}", str(row.time), str(row.after)) if row.moved else ("", "", "")
            rows.append((row.change, f"{row.moved} of {row.checked}", *where))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([self.title, *(lines if self.rows else ()), self._words()])

    __repr__ = __str__

    def _words(self):
        if self.verdict == "NOT REPEATABLE":
            return (
                f"{self.verdict}: the same series gave forecasts that differ by {self.by:.2g}. "
                "Seed it, and begin afresh at every call."
            )
        if self.verdict == "READS NOTHING":
            return (
                f"{self.verdict}: no forecast moved when the whole series was changed, "
                "so nothing could be checked. Does it use the series that it is given?"
            )
        if self.ok:
            return f"{self.verdict}."
        assert self.worst is not None  # a leak has moved a forecast
        near, far = self.reads
        steps = f"step {near}" if near == far else f"steps {near} to {far}"
        return f"{self.verdict}: the forecast issued at {self.worst.time} reads {steps} after it."
