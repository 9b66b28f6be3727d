"""LSTM with peepholes (Gers, Schraudolph and Schmidhuber 2002), and Greff's (2017) ablations."""

from collections.abc import Callable

from companion.activations import identity, one_slope, sigmoid, tanh, tanh_slope
from companion.cells.cell import Cell
from companion.cells.held_open import held_open


def peephole_cell(
    name: str,
    squash_g: tuple[Callable, Callable] = (tanh, tanh_slope),
    squash_c: tuple[Callable, Callable] = (tanh, tanh_slope),
) -> Cell:
    """A peephole cell with these activations of the candidate and of the cell state.

    squash_g, squash_c: pairs of a function and of its derivative, given the function's value.
    """
    (g_of, g_slope), (y_of, y_slope) = squash_g, squash_c

    def step(a, carry, p):
        """c = f c_prev + i g; h = o tanh(c); i and f see c_prev, o sees c."""
        ai, af, ag, ao = a
        (c_prev,) = carry
        p_i, p_f, p_o = p
        i = sigmoid(ai + p_i * c_prev)
        f = sigmoid(af + p_f * c_prev)
        g = g_of(ag)
        c = f * c_prev + i * g
        o = sigmoid(ao + p_o * c)
        y = y_of(c)
        return (o * y, c), (i, f, g, o, y)

    def derivative(dstate, state, kept, carry, p):
        """Derivative of `step`; o sees c, so dao reaches dc before dc goes on."""
        dh, dc = dstate
        h, c = state
        i, f, g, o, y = kept
        (c_prev,) = carry
        p_i, p_f, p_o = p
        dao = dh * y * o * (1 - o)
        dc = dc + dh * o * y_slope(y) + dao * p_o
        dai = dc * g * i * (1 - i)
        daf = dc * c_prev * f * (1 - f)
        dag = dc * i * g_slope(g)
        dc_prev = dc * f + dai * p_i + daf * p_f
        return (dai, daf, dag, dao), (dc_prev,), (dai * c_prev, daf * c_prev, dao * c)

    return Cell(
        name,
        gates=("i", "f", "g", "o"),
        states=("h", "c"),
        carries=("c",),
        kept=("i", "f", "g", "o", f"{y_of.__name__}_c"),
        step=step,
        derivative=derivative,
        peepholes=("p_i", "p_f", "p_o"),
        forgets=("f", 1),
    )


peephole = peephole_cell("peephole")

# Each differs from the peephole cell in one thing. Greff's "no peepholes" is `lstm`.
ABLATIONS = (
    held_open(peephole, "i", "no_input_gate"),
    held_open(peephole, "f", "no_forget_gate"),
    held_open(peephole, "o", "no_output_gate"),
    peephole_cell("no_input_activation", squash_g=(identity, one_slope)),
    peephole_cell("no_output_activation", squash_c=(identity, one_slope)),
)
