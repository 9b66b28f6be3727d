"""sLSTM, an LSTM with an exponential input gate and a normaliser (Beck et al. 2024), one head.

Its cell state is a weighted mean: c adds up what came in, n adds up the weights, and h shows c / n.
An exponential gate has no upper bound, and both sums would overflow. So c and n are kept divided
by exp(m), where the stabiliser m is the logarithm of the largest weight in them: the paper's
section 2.2 and equation 15. Of the two forget gates of the paper this is the sigmoid.
"""

from companion.activations import exp, log_sigmoid, maximum, sigmoid, tanh
from companion.cells.cell import Cell


def step(a, carry, p):
    """c = f c_prev + i g; n = f n_prev + i; h = o c / n; with i_m and f_m for i and f."""
    ai, af, ag, ao = a
    c_prev, n_prev, m_prev = carry
    f, g, o = sigmoid(af), tanh(ag), sigmoid(ao)
    log_f = log_sigmoid(af) + m_prev
    m = maximum(log_f, ai)
    i_m, f_m = exp(ai - m), exp(log_f - m)
    c = f_m * c_prev + i_m * g
    n = f_m * n_prev + i_m
    # n is 0 where nothing has come in yet but an input whose weight rounds to 0: so does h.
    y = c / (n + (n == 0))
    return (o * y, c, n, m), (f, g, o, i_m, f_m, y)


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`, on which every state has its part, m too."""
    dh, dc, dn, dm = dstate
    _, _, n, _ = state
    f, g, o, i_m, f_m, y = kept
    c_prev, n_prev, _ = carry
    dao = dh * y * o * (1 - o)
    dy = dh * o / (n + (n == 0))
    dc = dc + dy
    dn = dn - dy * y
    dai = (dc * g + dn) * i_m
    dlog_f = (dc * c_prev + dn * n_prev) * f_m
    # A larger m makes c and n smaller and leaves c / n: for a loss on h alone, now and later, this
    # is 0. The maximum hands on what there is to the larger of its two.
    dm = dm - dai - dlog_f
    dm_f = dm * (f_m >= i_m)
    dai = dai + (dm - dm_f)
    dlog_f = dlog_f + dm_f
    daf = dlog_f * (1 - f)
    dag = dc * i_m * (1 - g * g)
    return (dai, daf, dag, dao), (dc * f_m, dn * f_m, dlog_f), ()


slstm = Cell(
    "slstm",
    gates=("i", "f", "g", "o"),
    states=("h", "c", "n", "m"),
    carries=("c", "n", "m"),
    kept=("f", "g", "o", "i_m", "f_m", "c_over_n"),
    step=step,
    derivative=derivative,
    forgets=("f", 1),
)
