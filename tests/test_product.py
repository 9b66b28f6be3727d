"""The products of compiled cells: packed whole, packed panel by panel, and of any layout."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="compiled cells need numba")

from companion import CELLS, backward, compiled, forward, init  # noqa: E402
from companion.engine.product import PANEL, ROWS, TERMS, pack  # noqa: E402
from companion.engine.team import ALONE  # noqa: E402


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_sequence_gives_the_same_bits_whatever_it_is_cut_into(name):
    """One step packs its weights panel by panel, several pack them whole."""
    T, B, D, H = 6, 9, 30, 70
    rng, cell = np.random.default_rng(0), compiled(name)
    params = init(cell, D, H, rng, np.float32)
    xs, dys = (rng.normal(size=(T, B, n)).astype(np.float32) for n in (D, H))
    dlast = tuple(rng.normal(size=(B, H)).astype(np.float32) for _ in cell.states)
    ys, last, tape = forward(cell, params, xs)
    _, dxs, first = backward(cell, params, tape, dys, dlast)
    for keep_tape in (True, False):
        state, tapes = None, []
        for t, y in enumerate(ys):
            part, state, tape = forward(cell, params, xs[t : t + 1], state, keep_tape)
            tapes.append(tape)
            np.testing.assert_array_equal(part[0], y)
        np.testing.assert_array_equal(state, last)
        if keep_tape:
            dstate = dlast
            for t in reversed(range(T)):
                _, dx, dstate = backward(cell, params, tapes[t], dys[t : t + 1], dstate)
                np.testing.assert_array_equal(dx[0], dxs[t])
            np.testing.assert_array_equal(dstate, first)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gradients_are_products_of_all_steps(name):
    """More steps and sequences than a panel has columns, and no whole number of panels."""
    T, B, D, H = 5, 9, 3, 7
    rng, cell = np.random.default_rng(0), compiled(name)
    params = init(cell, D, H, rng, np.float32)
    xs, dys = (rng.normal(size=(T, B, n)).astype(np.float32) for n in (D, H))
    tape = forward(cell, params, xs)[2]
    grads, wanted = (backward(c, params, tape, dys)[0] for c in (cell, CELLS[name]))
    for key, value in wanted.items():
        np.testing.assert_allclose(grads[key], value, rtol=0, atol=5e-6 * np.abs(value).max())


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_tape_changes_no_bit(name):
    rng = np.random.default_rng(0)
    for cell in (CELLS[name], compiled(name)):
        params = init(cell, 5, 70, rng, np.float32)
        xs = rng.normal(size=(6, 3, 5)).astype(np.float32)
        with_tape, without = (forward(cell, params, xs, keep_tape=keep) for keep in (True, False))
        np.testing.assert_array_equal(with_tape[0], without[0])
        np.testing.assert_array_equal(with_tape[1], without[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", "CF")
def test_panels_hold_the_weight_and_zeros(dtype, order):
    W = PANEL // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    for K, N in [(1, 1), (1, W + 1), (W + 1, 1), (7, W), (W // 2 + 3, 2 * W + W // 2 + 1)]:
        weight = np.array(rng.normal(size=(K, N)), dtype, order=order)
        whole = np.zeros((K, -(-N // W) * W), dtype)
        whole[:, :N] = weight
        wanted = whole.reshape(K, -1, W).transpose(1, 0, 2)
        np.testing.assert_array_equal(pack(weight), wanted)


@pytest.mark.parametrize(("M", "K"), [(3, TERMS + 1), (ROWS + 1, TERMS + 1), (ROWS + 1, 0)])
def test_a_matrix_may_lie_neither_by_rows_nor_by_columns(M, K):
    rng = np.random.default_rng(0)
    product = compiled("lstm").loops(np.dtype(np.float32))[2]
    whole = [rng.normal(size=(m, 2 * n)).astype(np.float32) for m, n in ((M, K), (K, 5))]
    left, right = (matrix[:, ::2] for matrix in whole)
    found = product(ALONE, left, right, np.full((M, 5), np.nan, np.float32))
    # The error of a sum of K products of about 1 grows with √K.
    np.testing.assert_allclose(found, left @ right, rtol=0, atol=1e-5 * max(1, K) ** 0.5)
