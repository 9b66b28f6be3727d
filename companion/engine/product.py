"""Matrix products for compiled cells, with weights packed once a sequence. Needs numba.

A step multiplies few rows (a batch) by the same weights as every other step. BLAS is made for
large matrices, and arranges the weights anew in every call. Here they are packed into panels of as
many columns as two vector registers hold, and a tile of at most six rows by one panel keeps all
its sums in registers while it runs down the panel; of twelve, where there are 32 registers.
An element's sum is taken in one order, whatever is beside it: a row's result does not depend on
its batch, nor on how many threads there are.
What only calls others is written into its callers: compiled by itself as well, it would add a
third to the time of a first call.
Source: the micro-kernel of Goto and van de Geijn (2008).
"""

import numpy as np
from numba import njit

from companion.engine.parts import part_of
from companion.engine.tiles import MANY_REGISTERS, PANEL, block, tile

# So many rows, whole tiles of six, and terms are multiplied at a time that they stay in caches;
# so many terms where the rows have to be turned. So many steps' inputs are packed at a time.
ROWS, TERMS, TURNED, STEPS = 144, 512, 128, 4096
TILE = 6  # rows
SEQUENCES = 4  # of a batch are a part at least: a tile of fewer rows takes hardly less time
MANY = 128  # rows, for which packing takes little of the time
_twelve, _six, _four, _two, _one = map(tile, (12, 6, 4, 2, 1))
_twelve_halves = tile(12, PANEL // 2)  # of a panel that is half empty
_along_rows, _along_columns = block(turned=False), block(turned=True)


@njit(error_model="numpy")
def fill(panel, weight, column):
    """The columns of a weight (K, N) from `column` on, as many as its panel (K, W) holds.

    Columns beyond the last are zero. W is a multiple of a square's side.
    """
    K, W = panel.shape
    side = PANEL // 2 // weight.itemsize
    turned = weight.strides[1] != weight.itemsize
    for n in range(0, W, side):
        for k in range(0, K, side):
            if turned:
                _along_columns(weight, k, column + n, panel, n)
            else:
                _along_rows(weight, k, column + n, panel, n)


@njit(error_model="numpy", inline="always")
def pack(weight):
    """The panels (P, K, W) of a weight (K, N), the last filled up with zeros."""
    K, N = weight.shape
    W = PANEL // weight.itemsize
    packed = np.empty(((N + W - 1) // W, K, W), weight.dtype)
    for p in range(len(packed)):
        fill(packed[p], weight, p * W)
    return packed


@njit(error_model="numpy")
def add_panel(rows, panel, result, column):
    """result[:, column:] += rows @ weight[:, column:], for the columns of a panel."""
    B, N = result.shape
    size = min(panel.shape[1], N - column)
    b = 0
    while 2 * size <= panel.shape[1] and b + 12 <= B:
        _twelve_halves(rows, b, panel, result, column, size)
        b += 12
    # A panel beyond the first cache is read less often.
    while MANY_REGISTERS and b + 12 <= B:
        _twelve(rows, b, panel, result, column, size)
        b += 12
    while b + 6 <= B and b + 8 != B:  # two rows alone would leave most registers empty
        _six(rows, b, panel, result, column, size)
        b += 6
    while b + 4 <= B:
        _four(rows, b, panel, result, column, size)
        b += 4
    while b + 2 <= B:
        _two(rows, b, panel, result, column, size)
        b += 2
    if b < B:
        _one(rows, b, panel, result, column, size)


@njit(error_model="numpy", inline="always")
def add_product(rows, packed, result, first=0):
    """result += rows @ weight, for rows (B, K), result (B, N) and the panels of a (K, N).

    first: the column of the result that the panels begin with.
    """
    for p in range(len(packed)):
        add_panel(rows, packed[p], result, first + p * packed.shape[2])


@njit(error_model="numpy", inline="always")
def add_unpacked(rows, weight, result, first=0):
    """`add_product` of a weight (K, N) that is used once: one panel at a time is packed."""
    K, N = weight.shape
    panels = np.empty((min(K, TERMS), PANEL // weight.itemsize), weight.dtype)
    for k in range(0, K, TERMS):
        part = weight[k : k + TERMS]
        panel = panels[: len(part)]
        for n in range(0, N, panel.shape[1]):
            fill(panel, part, n)
            add_panel(rows[:, k : k + TERMS], panel, result, first + n)


@njit(error_model="numpy", inline="always")
def product(left, right, result, k, count):
    """Part k of `count` of result = left @ right; right is in C or Fortran order.

    A part is some rows. Where they are few it is some columns, if there is more than one panel,
    since each part packs what it takes of the right side.
    """
    (M, K), N = left.shape, right.shape[1]
    panel = PANEL // left.itemsize
    if MANY * count < M or N <= panel:
        low, high = 0, N
        top, end = part_of(M, TILE, k, count)
    else:
        low, high = part_of(N, panel, k, count)
        top, end = 0, M
    right = right[:, low:high]
    if end - top <= ROWS:
        result[top:end, low:high] = 0
        add_unpacked(left[top:end], right, result[top:end], low)
        return
    for term in range(0, max(K, 1), TERMS):
        packed = pack(right[term : term + TERMS])
        for m in range(top, end, ROWS):
            last = min(m + ROWS, end)
            part = result[m:last]
            if term == 0:  # not all of a large result at once: it would leave the caches again
                part[:, low:high] = 0
            add_product(left[m:last, term : term + TERMS], packed, part, low)


@njit(error_model="numpy", inline="always")
def add_gradients(da, xs, hs, d_ih, d_hh, d_bias, fresh, low, high):
    """What the steps' da (K, rows) give to weights and bias: da.T @ xs, da.T @ hs, da.sum(0).

    xs (K, D), hs (K, H); the rows from `low` to `high` of d_ih (rows, D), d_hh (rows, H) and
    d_bias (rows,) are added to, or filled if they are fresh.
    """
    K = len(da)
    W = PANEL // da.itemsize
    turned = np.empty((min(high - low, ROWS), min(TURNED, (K + W - 1) // W * W)), da.dtype)
    for first in range(0, max(K, 1), STEPS):
        some = da[first : first + STEPS]
        packed_xs, packed_hs = pack(xs[first : first + STEPS]), pack(hs[first : first + STEPS])
        for m in range(low, high, ROWS):
            end = min(m + ROWS, high)
            if fresh and first == 0:
                d_ih[m:end] = 0
                d_hh[m:end] = 0
                d_bias[m:end] = 0
            for k in range(0, len(some), TURNED):
                part = some[k : k + TURNED]
                # A column's numbers are far apart, and every tile would ask for them again.
                fill(turned[: end - m], part[:, m:end].T, 0)
                rows = turned[: end - m, : len(part)]
                add_product(rows, packed_xs[:, k : k + len(part)], d_ih[m:end])
                add_product(rows, packed_hs[:, k : k + len(part)], d_hh[m:end])
                add_sums(part, d_bias[m:end], m)


@njit(error_model="numpy")
def add_sums(rows, result, column):
    """result += rows[:, column:].sum(0), for as many columns as the result has."""
    for k in range(len(rows)):
        row = rows[k, column : column + len(result)]
        for m in range(len(result)):
            result[m] += row[m]
