"""mLSTM, an LSTM whose memory is a matrix of keys and values (Beck et al. 2024), one head.

C adds up outer products of a value v and a key k, n adds up the keys, and a query q asks:

    C = f C_prev + i v k^T;  n = f n_prev + i k;  h = o ⊙ (C q) / max(|n · q|, 1)

with i = exp(a_i) and f = sigmoid(a_f), one number each for the whole memory: the paper's section
2.3. As in sLSTM, C and n are kept divided by exp(m), and the 1 becomes exp(-m). No gate sees h, so
that all steps can also be computed at once, by one (T, T) matrix.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from companion.activations import log_sigmoid, sigmoid
from companion.params import check_array, check_names, check_sizes
from companion.types import Array, Params, State

# The least divisor is held between exp(-80) and exp(80): beyond, h is 0 to all digits that show, or
# its divisor is |n · q|.
LIMIT = 80


def init(D: int, H: int, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> Params:
    """Draw first parameters, each uniform in (-1/√D, 1/√D), as torch.nn.Linear does.

    D: number of inputs. H: number of units. rng: a `numpy.random.Generator`.
    Returns a dict: weight_ih (4H + 2, D) and bias_ih (4H + 2,), in blocks of H rows for q, k, v
    and o, and one row each for i and f.
    Raises ValueError for a size below 1 or a dtype that is not float32 or float64.
    """
    check_sizes(D, H, dtype)
    bound, rows = 1 / np.sqrt(D), 4 * H + 2
    shapes = {"weight_ih": (rows, D), "bias_ih": (rows,)}
    return {name: rng.uniform(-bound, bound, s).astype(dtype) for name, s in shapes.items()}


def forward(params: Params, xs: Array, state: State | None = None) -> tuple[Array, State]:
    """Run mLSTM over a batch of sequences, step by step.

    params: as of `init`. xs: (T, B, D), of the dtype of params.
    state: a tuple of C (B, H, H), n (B, H) and m (B,), of the same dtype; None means zeros. In C
    rows are entries of v, columns entries of k; C and n are the sums divided by exp(m).
    Returns ys (T, B, H) and the last state.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    Source: Beck et al. (2024), section 2.3; k is scaled with its bias, as in the authors' code.
    """
    inputs = _inputs(params, xs)
    state = tuple(s.copy() for s in _first(state, inputs[0]))
    ys = np.empty_like(inputs[0])
    for t in range(len(xs)):
        state, kept = _step([value[t] for value in inputs], state)
        ys[t] = inputs[3][t] * kept[-1]
    return ys, state


def forward_parallel(params: Params, xs: Array) -> Array:
    """`forward` from a state of zeros, all steps at once.

    Step t reads v_s with the weight (q_t · k_s) exp(F_t - F_s + a_i,s), where F adds up log f:
    attention whose weights fade with the gates. It takes memory for T² numbers a sequence, and
    loses digits where F is large.
    params, xs: as for `forward`.
    Returns ys (T, B, H).
    Raises ValueError as `forward` does.
    Source: Beck et al. (2024), appendix; the weights are its equations 73 to 75.
    """
    q, k, v, o, ai, log_f = _inputs(params, xs)
    T = len(xs)
    F = np.cumsum(log_f, 0)
    log_D = np.where(
        np.tri(T, dtype=bool)[:, :, None], F[:, None] - F[None] + ai[None], -np.inf
    )  # (T, T, B)
    m = log_D.max(1, initial=-np.inf)
    S = np.einsum("tbh,sbh->tsb", q, k) * np.exp(log_D - m[:, None])
    divisor = np.maximum(np.abs(S.sum(1)), np.exp(-m.clip(-LIMIT, LIMIT)))
    return o * np.einsum("tsb,sbh->tbh", S, v) / divisor[..., None]


def backward(
    params: Params, xs: Array, dys: Array, state: State | None = None, dstate: State | None = None
) -> tuple[Params, Array, State]:
    """Carry the derivative of a loss back through `forward`, which it runs again.

    It keeps the state of every step for that, T·B·H² numbers.
    params, xs, state: as given to `forward`.
    dys: derivative of the loss with respect to ys, (T, B, H).
    dstate: the same with respect to the last state, with its shapes; None means zeros.
    Returns grads, a dict with the names and shapes of params; dxs (T, B, D); and the derivative
    with respect to the first state, with its shapes.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    """
    inputs = _inputs(params, xs)
    q, k, v, o, ai, log_f = inputs
    T, B, H = q.shape
    check_array("dys", dys, (T, B, H), xs.dtype)
    states, tape = [_first(state, q)], []
    for t in range(T):
        after, kept = _step([value[t] for value in inputs], states[-1])
        states.append(after)
        tape.append(kept)
    dC, dn, dm = (d.copy() for d in _first(dstate, q, "dstate"))
    da = np.empty((T, B, 4 * H + 2), xs.dtype)
    for t in reversed(range(T)):
        C_prev, n_prev, _ = states[t]
        C, n, _ = states[t + 1]
        i, f, asked, divisor, y = tape[t]
        # h = o y, y = C q / divisor, and the divisor is |n · q| or exp(-m).
        dao = dys[t] * y * o[t] * (1 - o[t])
        dy = dys[t] * o[t]
        d_read = dy / divisor[:, None]
        d_divisor = -np.sum(d_read * y, 1)
        by_n = np.abs(asked) >= divisor
        d_asked = d_divisor * np.sign(asked) * by_n
        dm = dm - d_divisor * divisor * ~by_n
        dq = _times(C.swapaxes(1, 2), d_read) + d_asked[:, None] * n
        dC = dC + d_read[:, :, None] * q[t][:, None]
        dn = dn + d_asked[:, None] * q[t]
        # C = f C_prev + i v k^T; n = f n_prev + i k.
        dv = i[:, None] * _times(dC, k[t])
        dk = i[:, None] * (_times(dC.swapaxes(1, 2), v[t]) + dn)
        dai = np.sum(dk * k[t], 1)
        dlog_f = f * (np.sum(dC * C_prev, (1, 2)) + np.sum(dn * n_prev, 1))
        # Through m, as in sLSTM: 0 for a loss on h alone.
        dm = dm - dai - dlog_f
        dai, dlog_f = dai + dm * (i > f), dlog_f + dm * (f >= i)
        daf = dlog_f * -np.expm1(log_f[t])
        da[t] = np.concatenate([dq, dk / math.sqrt(H), dv, dao, dai[:, None], daf[:, None]], 1)
        dC, dn, dm = f[:, None, None] * dC, f[:, None] * dn, dlog_f
    flat = da.reshape(T * B, 4 * H + 2)
    grads = {"weight_ih": flat.T @ xs.reshape(T * B, xs.shape[2]), "bias_ih": flat.sum(0)}
    return grads, da @ params["weight_ih"], (dC, dn, dm)


def _inputs(params, xs):
    """What the steps read of xs: q, k, v and o (T, B, H); a_i and log f (T, B)."""
    check_array("xs", xs, ("T", "B", "D"))
    check_names(("weight_ih", "bias_ih"), params, "mLSTM")
    weight, bias = params["weight_ih"], params["bias_ih"]
    check_array("params['weight_ih']", weight, ("4H + 2", xs.shape[2]), xs.dtype)
    check_array("params['bias_ih']", bias, weight.shape[:1], xs.dtype)
    if len(weight) < 6 or len(weight) % 4 != 2:
        raise ValueError(f"params['weight_ih'] must have 4H + 2 rows, got {len(weight)}")
    a = xs @ weight.T + bias
    q, k, v, ao = np.split(a[..., :-2], 4, -1)
    return q, k / math.sqrt(q.shape[2]), v, sigmoid(ao), a[..., -2], log_sigmoid(a[..., -1])


def _first(state, like, name="state"):
    """The state, checked, or zeros. like: (T, B, H)."""
    _, B, H = like.shape
    shapes = {"C": (B, H, H), "n": (B, H), "m": (B,)}
    if state is None:
        return tuple(np.zeros(shape, like.dtype) for shape in shapes.values())
    if not isinstance(state, tuple | list) or len(state) != 3:
        raise ValueError(f"{name} must be a tuple (C, n, m), got {type(state).__name__}")
    for array, (letter, shape) in zip(state, shapes.items(), strict=True):
        check_array(f"{name} ({letter})", array, shape, like.dtype)
    return tuple(state)


def _step(inputs, state):
    """The state after one step; i and f over exp(m), n · q, the divisor and C q / divisor."""
    q, k, v, _, ai, log_f = inputs
    C, n, m_prev = state
    m = np.maximum(log_f + m_prev, ai)
    i, f = np.exp(ai - m), np.exp(log_f + m_prev - m)
    C = f[:, None, None] * C + (i[:, None] * v)[:, :, None] * k[:, None]
    n = f[:, None] * n + i[:, None] * k
    asked = np.sum(n * q, 1)
    # Written for complex numbers too, which have no clip, and another absolute value.
    least = np.exp(-np.minimum(np.maximum(m, -LIMIT), LIMIT))
    divisor = np.maximum(np.where(np.real(asked) < 0, -asked, asked), least)
    return (C, n, m), (i, f, asked, divisor, _times(C, q) / divisor[:, None])


def _times(matrices, vectors):
    """One product of a matrix and a vector for each sequence: (B, H, H), (B, H) -> (B, H)."""
    return (matrices @ vectors[:, :, None])[:, :, 0]
