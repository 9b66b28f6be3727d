"""The GRU as first published, with the reset before the product (Cho et al. 2014).

Its candidate multiplies weights with r ⊙ h, so that a step has two products, one after the other,
and is not elementwise between them: it stands beside `companion.engine`. The cell
`CELLS["gru"]` is the later form, with the reset after the product. Parameters are the same.
"""

from typing import NamedTuple

import numpy as np

from companion.activations import sigmoid, tanh
from companion.cells import CELLS
from companion.params import check_array, check_params
from companion.types import Array, Params

gru = CELLS["gru"]


class Tape2014(NamedTuple):
    """What `forward_gru2014` keeps: xs (T, B, D), hs (T + 1, B, H), and r, z, n (T, B, H).

    hs[0] is the first state, hs[t + 1] the one after step t.
    """

    xs: np.ndarray
    hs: np.ndarray
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray


def forward_gru2014(
    params: Params, xs: Array, h: Array | None = None
) -> tuple[Array, Array, Tape2014]:
    """Run the GRU of 2014: n = tanh(V_n x + U_n (r ⊙ h_prev) + b), h = (1 - z) n + z h_prev.

    r and z are sigmoid(V x + U h_prev + b), each with rows of its own; b is bias_ih + bias_hh.
    params: as of `init(CELLS["gru"], ...)`, gates r, z, n. xs: (T, B, D), of the dtype of params.
    h: first state (B, H), or None for zeros.
    Returns ys (T, B, H), the last h (B, H), and the tape, a `Tape2014`.
    Raises ValueError as `forward` does.
    Source: Cho et al. (2014).
    """
    check_array("xs", xs, ("T", "B", "D"))
    T, B, D = xs.shape
    H = check_params(gru, params, D, xs.dtype)
    if h is not None:
        check_array("h", h, (B, H), xs.dtype)
    U = params["weight_hh"]
    a_x = xs @ params["weight_ih"].T + (params["bias_ih"] + params["bias_hh"])
    hs = np.zeros((T + 1, B, H), xs.dtype)
    hs[0] = 0 if h is None else h
    r, z, n = (np.empty((T, B, H), xs.dtype) for _ in range(3))
    for t in range(T):
        a = a_x[t, :, : 2 * H] + hs[t] @ U[: 2 * H].T
        r[t], z[t] = sigmoid(a[:, :H]), sigmoid(a[:, H:])
        n[t] = tanh(a_x[t, :, 2 * H :] + (r[t] * hs[t]) @ U[2 * H :].T)
        hs[t + 1] = (1 - z[t]) * n[t] + z[t] * hs[t]
    return hs[1:].copy(), hs[T].copy(), Tape2014(xs.copy(), hs, r, z, n)


def backward_gru2014(
    params: Params, tape: Tape2014, dys: Array, dh: Array | None = None
) -> tuple[Params, Array, Array]:
    """Carry the derivative of a loss back through `forward_gru2014`.

    params: as given to it. tape: as returned by it.
    dys: derivative of the loss with respect to ys, (T, B, H).
    dh: the same with respect to the last h, (B, H), or None for zeros.
    Returns grads, a dict with the names and shapes of params; dxs (T, B, D); and the derivative
    with respect to the first h, (B, H).
    Raises ValueError for a dys or dh that does not fit the tape.
    """
    xs, hs, r, z, n = tape
    T, B, H = n.shape
    check_array("dys", dys, (T, B, H), xs.dtype)
    if dh is not None:
        check_array("dh", dh, (B, H), xs.dtype)
    dh = np.zeros((B, H), xs.dtype) if dh is None else dh.copy()
    U = params["weight_hh"]
    da = np.empty((T, B, 3 * H), xs.dtype)
    for t in reversed(range(T)):
        dh = dh + dys[t]
        dan = dh * (1 - z[t]) * (1 - n[t] * n[t])
        daz = dh * (hs[t] - n[t]) * z[t] * (1 - z[t])
        d_reset = dan @ U[2 * H :]  # for r ⊙ h_prev
        dar = d_reset * hs[t] * r[t] * (1 - r[t])
        da[t] = np.concatenate([dar, daz, dan], axis=1)
        dh = dh * z[t] + d_reset * r[t] + da[t, :, : 2 * H] @ U[: 2 * H]
    flat = da.reshape(T * B, 3 * H)
    from_h = flat[:, : 2 * H].T @ hs[:-1].reshape(T * B, H)
    from_reset = flat[:, 2 * H :].T @ (r * hs[:-1]).reshape(T * B, H)
    grads = {
        "weight_ih": flat.T @ xs.reshape(T * B, xs.shape[2]),
        "weight_hh": np.concatenate([from_h, from_reset]),
        "bias_ih": flat.sum(0),
        "bias_hh": flat.sum(0),
    }
    return grads, da @ params["weight_ih"], dh
