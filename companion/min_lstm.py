"""minLSTM, an LSTM whose gates do not see the hidden state, so that it runs as a parallel scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from companion.activations import log_sigmoid, sigmoid
from companion.params import check_array, check_names, check_sizes
from companion.scan import linear_loop, linear_scan
from companion.types import Array, Params


def init(D: int, H: int, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> Params:
    """Draw first parameters, each uniform in (-1/√D, 1/√D), as torch.nn.Linear does.

    D: number of inputs. H: number of units. rng: a `numpy.random.Generator`.
    Returns a dict: weight_ih (3H, D) and bias_ih (3H,), in blocks of H rows for i, f and g.
    Raises ValueError for a size below 1 or a dtype that is not float32 or float64.
    """
    check_sizes(D, H, dtype)
    bound = 1 / np.sqrt(D)
    shapes = {"weight_ih": (3 * H, D), "bias_ih": (3 * H,)}
    return {name: rng.uniform(-bound, bound, s).astype(dtype) for name, s in shapes.items()}


def gates(params: Params, xs: Array) -> tuple[Array, Array]:
    """What a step keeps and what it adds: f' and i' ⊙ g of h_t = f' ⊙ h_{t-1} + i' ⊙ g.

    i and f are sigmoids and g is linear, all three of x_t alone; f' = f / (f + i) and
    i' = i / (f + i) add up to 1.
    params, xs: as for `forward`.
    Returns f' and i' ⊙ g, two arrays (T, B, H).
    Raises ValueError as `forward` does.
    """
    check_array("xs", xs, ("T", "B", "D"))
    check_names(("weight_ih", "bias_ih"), params, "minLSTM")
    weight, bias = params["weight_ih"], params["bias_ih"]
    check_array("params['weight_ih']", weight, ("3H", xs.shape[2]), xs.dtype)
    check_array("params['bias_ih']", bias, weight.shape[:1], xs.dtype)
    if len(weight) == 0 or len(weight) % 3:
        raise ValueError(f"params['weight_ih'] must have 3H rows, got {len(weight)}")
    ai, af, g = np.split(xs @ weight.T + bias, 3, axis=-1)
    # f / (f + i) is the sigmoid of log f - log i, which is safe where both round to 0.
    difference = log_sigmoid(af) - log_sigmoid(ai)
    return sigmoid(difference), sigmoid(-difference) * g


def forward(params: Params, xs: Array, state: Array | None = None) -> tuple[Array, Array]:
    """Run minLSTM over a batch of sequences, by `linear_scan`.

    params: as of `init`. xs: (T, B, D), of the dtype of params.
    state: the first h (B, H); None means zeros.
    Returns ys (T, B, H) and the last h (B, H).
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    Source: Feng et al. (2024), section 3.2.
    """
    return _run(linear_scan, params, xs, state)


def forward_loop(params: Params, xs: Array, state: Array | None = None) -> tuple[Array, Array]:
    """`forward` step by step, with the same arguments, results and errors."""
    return _run(linear_loop, params, xs, state)


def _run(scan, params, xs, state):
    a, b = gates(params, xs)
    if state is None:
        state = np.zeros(b.shape[1:], b.dtype)
    check_array("state", state, b.shape[1:], b.dtype)
    ys = scan(a, b, state)
    return ys, (ys[-1] if len(ys) else state).copy()
