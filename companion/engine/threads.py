"""Compiled loops and products in parts, each in a thread of its own. Needs numba.

Compiled code lets go of Python's lock while it runs. What it computes of a part does not depend on
where the part ends: results are the same for every number of threads, to the last bit.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from companion.engine.team import Team
from companion.engine.tiles import PANEL

# Multiplications that are worth a thread: fewer take less time than it takes to ask for it.
WORTH = 5 << 20
TILE = 6  # rows


def over_batch(loop, gates, team, *arguments):
    """Run a compiled loop over all sequences; the first of its arguments is (T, B, gates · H)."""
    T, B, rows = arguments[0].shape
    if team.size == 1:  # in a call for a single step, jobs would take longer than the loop
        loop(*arguments, 0, B)
        return
    # Two rows, since a tile of one takes as long.
    job = Job(lambda low, high: loop(*arguments, low, high), B, 2)
    in_parts([job], T * B * rows * rows // gates, team)


def product(multiply, team, left, right, out):
    """np.dot of two matrices by the compiled `multiply`."""
    left, right = left if left.flags.carray else left.copy(), _ordered(right)
    if team.size == 1:
        multiply(left, right, out, 0, out.shape[1])
    else:
        in_parts([_product(multiply, left, right, out)], out.size * len(right), team)
    return out


def gradients(add, multiply, splits, team, da_x, da_h, xs, hs, weight_ih, sums, fresh, dxs):
    """`companion.engine.loops.add_gradients` by the compiled `add` and `multiply`.

    splits: whether the cell splits gates; else da_h is da_x.
    """
    xs, hs = map(_ordered, (xs, hs))
    d_ih, d_hh, d_bias_ih, d_bias_hh = sums
    K, rows = da_x.shape

    def joint(low, high):
        add(da_x, xs, hs, d_ih, d_hh, d_bias_ih, fresh, low, high)
        d_bias_hh[low:high] = d_bias_ih[low:high]

    def split(low, high):
        add(da_x, xs, hs[:, :0], d_ih, d_hh[:, :0], d_bias_ih, fresh, low, high)
        add(da_h, xs[:, :0], hs, d_ih[:, :0], d_hh, d_bias_hh, fresh, low, high)

    jobs = [
        Job(split if splits else joint, rows, TILE),
        _product(multiply, da_x, _ordered(weight_ih), dxs),
    ]
    in_parts(jobs, K * rows * (2 * xs.shape[1] + hs.shape[1]), team)


class Job(NamedTuple):
    """Something that is done of any part of range(size)."""

    run: Callable[[int, int], None]
    size: int
    multiple: int  # of which every part's length is one, but the last's

    def part(self, k, count):
        """Do part k of `count`."""
        blocks = -(-self.size // self.multiple)
        low, high = (blocks * n // count * self.multiple for n in (k, k + 1))
        self.run(low, min(high, self.size))


def _product(multiply, left, right, out):
    M, N = out.shape
    panel = PANEL // left.itemsize
    if N > panel:  # each thread packs a part of the right side
        return Job(lambda low, high: multiply(left, right, out, low, high), N, panel)
    return Job(lambda low, high: multiply(left[low:high], right, out[low:high], 0, N), M, TILE)


def _ordered(matrix):
    """The matrix as compiled code takes it, in C or in Fortran order; a copy where it is not."""
    flags = matrix.flags
    return matrix if flags.behaved and flags.forc else matrix.copy()


def in_parts(jobs: list[Job], work: int, team: Team) -> None:
    """Do all jobs, a part of each in as many threads as are worth it.

    work: multiplications in all.
    """
    blocks = max(-(-job.size // job.multiple) for job in jobs)
    count = min(team.size, blocks, work // WORTH)
    if count < 2:
        for job in jobs:
            job.run(0, job.size)
        return
    parts = deque(range(count))
    failed: list[BaseException] = []

    def work_off():
        # A thread that comes late finds nothing left, and whoever was early has done its part.
        with suppress(IndexError):
            while True:
                k = parts.popleft()
                try:
                    for job in jobs:
                        job.part(k, count)
                except BaseException as error:  # such as KeyboardInterrupt
                    failed.append(error)

    team.run(work_off)
    work_off()  # of a thread that was interrupted before it began
    if failed:
        raise failed[0]
