"""The LSTM cell with input, forget and output gate (Gers, Schmidhuber and Cummins 2000)."""

from companion.activations import sigmoid, tanh
from companion.cells.cell import Cell


def step(a, carry, p):
    """c = f c_prev + i g; h = o tanh(c)."""
    ai, af, ag, ao = a
    (c_prev,) = carry
    i, f, g, o = sigmoid(ai), sigmoid(af), tanh(ag), sigmoid(ao)
    c = f * c_prev + i * g
    tanh_c = tanh(c)
    h = o * tanh_c
    return (h, c), (i, f, g, o, tanh_c)


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`; dc comes in as the carry from the step after."""
    dh, dc = dstate
    i, f, g, o, tanh_c = kept
    (c_prev,) = carry
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    dai = dc * g * i * (1 - i)
    daf = dc * c_prev * f * (1 - f)
    dag = dc * i * (1 - g * g)
    dao = dh * tanh_c * o * (1 - o)
    dc_prev = dc * f
    return (dai, daf, dag, dao), (dc_prev,), ()


lstm = Cell(
    "lstm",
    gates=("i", "f", "g", "o"),
    states=("h", "c"),
    carries=("c",),
    kept=("i", "f", "g", "o", "tanh_c"),
    step=step,
    derivative=derivative,
    forgets=("f", 1),
)
