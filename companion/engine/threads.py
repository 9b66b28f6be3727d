"""Compiled loops and products as the engine calls them, each in as many threads as it is worth.

What is computed of a part does not depend on where the part ends: results are the same for every
number of threads, to the last bit. Needs numba.
"""

from companion.engine.product import SEQUENCES, TILE
from companion.engine.tiles import PANEL

# Multiplications that are worth a thread: fewer take less time than it takes to ask for it.
WORTH = 1 << 18


def over_batch(loop, gates, team, *arguments):
    """Run a compiled loop over all sequences; the first of its arguments is (T, B, gates · H)."""
    if team.size == 1:  # a single step takes little longer than what is worked out below
        loop(*arguments, 0, 1, *team)
        return
    T, B, rows = arguments[0].shape
    _do(loop, arguments, T * B * rows * rows // gates, -(-B // SEQUENCES), team)


def product(multiply, team, left, right, out):
    """np.dot of two matrices by the compiled `multiply`."""
    left, right = left if left.flags.carray else left.copy(), _ordered(right)
    if team.size == 1:
        multiply(left, right, out, 0, 1, *team)
        return out
    M, N = out.shape
    blocks = max(-(-M // TILE), -(-N * out.itemsize // PANEL))
    _do(multiply, (left, right, out), M * N * len(right), blocks, team)
    return out


def gradients(add, multiply, team, da_x, da_h, xs, hs, weight_ih, sums, fresh, dxs):
    """`companion.engine.loops.add_gradients` by the compiled `add` and `multiply`.

    da_h is da_x itself unless the cell splits gates.
    """
    K, rows = da_x.shape
    xs, hs = map(_ordered, (xs, hs))
    work = K * rows * (xs.shape[1] + hs.shape[1])
    _do(add, (da_x, da_h, xs, hs, *sums, fresh), work, -(-rows // TILE), team)
    product(multiply, team, da_x, weight_ih, dxs)


def _do(function, arguments, work, blocks, team):
    """Call a compiled function for each part, in as many threads as are worth it.

    work: multiplications in all. blocks: how many parts there can be.
    """
    count = min(team.size, blocks, work // WORTH)
    if function(*arguments, *((-1, count) if count > 1 else (0, 1)), *team):
        raise MemoryError("a thread had too little memory")


def _ordered(matrix):
    """The matrix as compiled code takes it, in C or in Fortran order; a copy where it is not."""
    flags = matrix.flags
    return matrix if flags.behaved and flags.forc else matrix.copy()
