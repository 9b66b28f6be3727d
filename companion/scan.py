"""Linear recurrences h_t = a_t h_{t-1} + b_t, elementwise: as a loop, and as a parallel scan."""

import numpy as np

from companion.params import check_array
from companion.types import Array


def linear_scan(a: Array, b: Array, h0: Array) -> Array:
    """All states of h_t = a_t ⊙ h_{t-1} + b_t at once, by doubling: about log2 T passes.

    Before a pass, row t holds a factor and a summand that give h_t from h_{t-n}. The pass combines
    them with those of row t - n, and from then on they reach back 2n steps. Every pass works on
    whole arrays, whose rows do not wait for each other; for that it does more work than
    `linear_loop`, about T log2 T multiplications instead of T.
    Products of successive factors must not overflow.
    a: factors, of any sign, (T, B, H). b: summands, (T, B, H). h0: first state, (B, H). All three
    are of one dtype, float32 or float64.
    Returns the states after each step, (T, B, H).
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    Source: Hillis and Steele (1986), for the doubling.
    """
    _check(a, b, h0)
    a, b = a.copy(), b.copy()
    b[:1] += a[:1] * h0
    n = 1
    while n < len(b):
        b[n:] += a[n:] * b[:-n]
        a[n:] *= a[:-n].copy()
        n *= 2
    return b


def linear_loop(a: Array, b: Array, h0: Array) -> Array:
    """The states of `linear_scan` one after the other, with its arguments, result and errors."""
    _check(a, b, h0)
    ys, h = np.empty_like(b), h0
    for a_t, b_t, y in zip(a, b, ys, strict=True):
        np.multiply(a_t, h, out=y)
        y += b_t
        h = y
    return ys


def _check(a, b, h0):
    check_array("b", b, ("T", "B", "H"))
    check_array("a", a, b.shape, b.dtype)
    check_array("h0", h0, b.shape[1:], b.dtype)
