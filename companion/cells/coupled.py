"""LSTM with coupled input and forget gate, f = 1 - i (the CIFG of Greff et al. 2017)."""

from companion.activations import sigmoid, tanh
from companion.cells.cell import Cell


def step(a, carry, p):
    """c = (1 - i) c_prev + i g; h = o tanh(c)."""
    ai, ag, ao = a
    (c_prev,) = carry
    i, g, o = sigmoid(ai), tanh(ag), sigmoid(ao)
    f = 1 - i
    c = f * c_prev + i * g
    tanh_c = tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`; i moves c by g - c_prev."""
    dh, dc = dstate
    i, f, g, o, tanh_c = kept
    (c_prev,) = carry
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    dai = dc * (g - c_prev) * i * f
    dag = dc * i * (1 - g * g)
    dao = dh * tanh_c * o * (1 - o)
    return (dai, dag, dao), (dc * f,), ()


coupled = Cell(
    "coupled",
    gates=("i", "g", "o"),
    states=("h", "c"),
    carries=("c",),
    kept=("i", "f", "g", "o", "tanh_c"),
    step=step,
    derivative=derivative,
    forgets=("i", -1),
)
