"""Gated recurrent unit (Cho et al. 2014), with the reset after the product, as in torch."""

from companion.activations import sigmoid, tanh
from companion.cells.cell import Cell


def step(a, carry, p):
    """n = tanh(anx + r anh); h = (1 - z) n + z h_prev."""
    ar, az, anx, anh = a
    (h_prev,) = carry
    r, z = sigmoid(ar), sigmoid(az)
    n = tanh(anx + r * anh)
    h = (1 - z) * n + z * h_prev
    return (h,), (r, z, n, anh)


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`; the recurrent part of n comes through the reset gate."""
    (dh,) = dstate
    r, z, n, anh = kept
    (h_prev,) = carry
    dan = dh * (1 - z) * (1 - n * n)
    dar = dan * anh * r * (1 - r)
    daz = dh * (h_prev - n) * z * (1 - z)
    return (dar, daz, dan, dan * r), (dh * z,), ()


gru = Cell(
    "gru",
    gates=("r", "z", "n"),
    states=("h",),
    carries=("h",),
    kept=("r", "z", "n", "a_hn"),
    step=step,
    derivative=derivative,
    split=("n",),
    forgets=("z", 1),
)
