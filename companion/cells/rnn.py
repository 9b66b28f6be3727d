"""The plain recurrent network with tanh (that of Elman, 1990, is logistic), and with ReLU."""

from companion.activations import constant, maximum, tanh
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


def relu_step(a, carry, p):
    """h = max(a, 0)."""
    (ah,) = a
    h = maximum(ah, constant(ah, 0.0))
    return (h,), ()


def relu_derivative(dstate, state, kept, carry, p):
    """Derivative of `relu_step`: 0 where a is 0."""
    (dh,) = dstate
    (h,) = state
    dah = dh * (h > 0)
    return (dah,), (), ()


rnn = Cell("rnn", ("h",), ("h",), (), (), step, derivative)
rnn_relu = Cell("rnn_relu", ("h",), ("h",), (), (), relu_step, relu_derivative)
