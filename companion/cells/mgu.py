"""Minimal gated unit (Zhou, Wu, Zhang and Zhou 2016), with its gate after the product."""

from companion.activations import sigmoid, tanh
from companion.cells.cell import Cell


def step(a, carry, p):
    """n = tanh(anx + (1 - z) anh); h = (1 - z) n + z h_prev.

    The paper multiplies before the product, U_n ((1 - z) h_prev), which is not elementwise; here
    it is multiplied after, as in `gru`. Its forget gate f is 1 - z, so that f = 1 replaces.
    """
    az, anx, anh = a
    (h_prev,) = carry
    z = sigmoid(az)
    n = tanh(anx + (1 - z) * anh)
    h = (1 - z) * n + z * h_prev
    return (h,), (z, n, anh)


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`; z moves h directly, and through the recurrent part of n."""
    (dh,) = dstate
    z, n, anh = kept
    (h_prev,) = carry
    dan = dh * (1 - z) * (1 - n * n)
    daz = (dh * (h_prev - n) - dan * anh) * z * (1 - z)
    return (daz, dan, dan * (1 - z)), (dh * z,), ()


mgu = Cell(
    "mgu",
    gates=("z", "n"),
    states=("h",),
    carries=("h",),
    kept=("z", "n", "a_hn"),
    step=step,
    derivative=derivative,
    split=("n",),
    forgets=("z", 1),
)
