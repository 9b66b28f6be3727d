import numpy as np
import pytest

from companion import CELLS, forward, gate, init
from companion.gradcheck import check_gradients
from companion.gru2014 import backward_gru2014, forward_gru2014

T, B, D, H = 6, 3, 4, 5


def draw(dtype=np.float64):
    rng = np.random.default_rng(0)
    params = init(CELLS["gru"], D, H, rng)
    params = {name: rng.normal(0, 0.5, value.shape).astype(dtype) for name, value in params.items()}
    data = rng.normal(size=(T, B, D)), rng.normal(size=(B, H)), rng.normal(size=(T, B, H))
    return params, *(array.astype(dtype) for array in data)


def test_gradients_agree_with_the_complex_step():
    params, xs, h, dys = draw()
    dlast = np.random.default_rng(1).normal(size=(B, H))

    def loss(arrays):
        dtype = np.result_type(*arrays.values())
        arrays = {name: np.asarray(value, dtype) for name, value in arrays.items()}
        ys, last, _ = forward_gru2014(arrays, arrays["xs"], arrays["h_0"])
        return np.sum(dys * ys) + np.sum(dlast * last)

    _, _, tape = forward_gru2014(params, xs, h)
    grads, dxs, dh = backward_gru2014(params, tape, dys, dlast)
    arrays = params | {"xs": xs, "h_0": h}
    report = check_gradients(loss, arrays, grads | {"xs": dxs, "h_0": dh})
    assert report.ok, report


def test_with_an_open_reset_gate_both_forms_are_one():
    params, xs, h, _ = draw()
    one = forward_gru2014(params, xs, h)[0]
    assert np.abs(one - forward(CELLS["gru"], params, xs, (h,))[0]).max() > 0.01
    gate(CELLS["gru"], params["bias_ih"], "r")[:] = 1e4
    one = forward_gru2014(params, xs, h)[0]
    np.testing.assert_allclose(one, forward(CELLS["gru"], params, xs, (h,))[0], atol=1e-13)


def test_without_a_first_state_it_is_zero():
    params, xs, h, dys = draw(np.float32)
    one, other = (forward_gru2014(params, xs, *first) for first in ((), (np.zeros_like(h),)))
    for a, b in zip((*one[:2], *one[2]), (*other[:2], *other[2]), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32


def test_float32_stays_and_no_steps_work():
    params, xs, h, dys = draw(np.float32)
    ys, last, tape = forward_gru2014(params, xs, h)
    grads, dxs, dh = backward_gru2014(params, tape, dys)
    assert {a.dtype for a in (ys, last, dxs, dh, *grads.values())} == {np.dtype(np.float32)}
    ys, last, tape = forward_gru2014(params, xs[:0], h)
    grads, _, dh = backward_gru2014(params, tape, dys[:0], h)
    np.testing.assert_array_equal(last, h)
    np.testing.assert_array_equal(dh, h)
    assert not any(value.any() for value in grads.values())


def test_bad_input():
    params, xs, h, dys = draw()
    _, _, nothing = forward_gru2014(params, xs[:0], h)
    assert backward_gru2014(params, nothing, dys[:0], h)[2] is not h  # nothing is shared
    with pytest.raises(ValueError, match=r"h must have shape \(3, 5\), got \(2, 5\)"):
        forward_gru2014(params, xs, h[:2])
    with pytest.raises(ValueError, match="h must be float64 like xs, got float32"):
        forward_gru2014(params, xs, h.astype(np.float32))
    with pytest.raises(ValueError, match=r"xs must have shape \(T, B, D\), got \(6, 3\)"):
        forward_gru2014(params, xs[..., 0], h)
    _, _, tape = forward_gru2014(params, xs, h)
    with pytest.raises(ValueError, match=r"dys must have shape \(6, 3, 5\)"):
        backward_gru2014(params, tape, dys[:3])
    with pytest.raises(ValueError, match=r"dh must have shape \(3, 5\), got \(3, 4\)"):
        backward_gru2014(params, tape, dys, h[:, 1:])
