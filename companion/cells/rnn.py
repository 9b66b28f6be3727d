"""The plain recurrent network with tanh (that of Elman, 1990, has logistic units)."""

from companion.activations import tanh
from companion.cells.cell import Cell


def step(a, carry, p):
    """h = tanh(a)."""
    (ah,) = a
    h = tanh(ah)
    return (h,), ()


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`."""
    (dh,) = dstate
    (h,) = state
    dah = dh * (1 - h * h)
    return (dah,), (), ()


rnn = Cell("rnn", ("h",), ("h",), (), (), step, derivative)
