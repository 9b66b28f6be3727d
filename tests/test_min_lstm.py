"""minLSTM: scan and loop, NumPy and torch are one."""

import numpy as np
import pytest
import torch

from companion.min_lstm import forward, forward_loop, gates, init
from companion.models.min_lstm import MinLSTM

T, B, D, H = 9, 3, 4, 5


def draw(dtype=np.float64):
    rng = np.random.default_rng(0)
    params = {name: 2 * value for name, value in init(D, H, rng, dtype).items()}
    return params, *(rng.normal(size=s).astype(dtype) for s in ((T, B, D), (B, H)))


def layer_of(params):
    layer = MinLSTM(D, H).to(torch.from_numpy(params["weight_ih"]).dtype)
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in params.items()})
    return layer


def test_a_step_is_that_of_the_paper():
    params, xs, h = draw()
    a = dict(
        zip("ifg", np.split(xs[0] @ params["weight_ih"].T + params["bias_ih"], 3, 1), strict=True)
    )
    i, f = (1 / (1 + np.exp(-a[gate])) for gate in "if")
    expected = f / (f + i) * h + i / (f + i) * a["g"]
    ys, _ = forward_loop(params, xs, h)
    np.testing.assert_allclose(ys[0], expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(forward_loop(params, xs)[0][0], expected - f / (f + i) * h)


@pytest.mark.parametrize(("dtype", "near"), [(np.float64, 1e-14), (np.float32, 1e-5)])
def test_scan_loop_and_layer_are_one(dtype, near):
    params, xs, h = draw(dtype)
    layer = layer_of(params)
    for first in (None, h):
        ys, last = forward_loop(params, xs, first)
        assert ys.dtype == last.dtype == dtype and ys.shape == (T, B, H)
        np.testing.assert_array_equal(last, ys[-1])
        given = [torch.from_numpy(array) for array in (xs, first) if array is not None]
        for found in (forward(params, xs, first), layer(*given)):
            for one, other in zip(found, (ys, last), strict=True):
                one = one.detach().numpy() if isinstance(one, torch.Tensor) else one
                np.testing.assert_allclose(one, other, rtol=0, atol=near)


def test_halves_make_the_whole():
    params, xs, h = draw()
    ys, last = forward(params, xs, h)
    one, between = forward(params, xs[:4], h)
    two, end = forward(params, xs[4:], between)
    np.testing.assert_allclose(np.concatenate([one, two]), ys, rtol=0, atol=1e-14)
    np.testing.assert_allclose(end, last, rtol=0, atol=1e-14)


def test_gradients_of_the_layer():
    params, xs, h = draw()
    layer = layer_of(params)
    given = [torch.tensor(array[:, :2], requires_grad=True) for array in (xs[:3], h.T)]
    given[1] = given[1].detach().T.contiguous().requires_grad_()

    def run(xs, h, *weights):
        named = dict(zip(params, weights, strict=True))
        return torch.func.functional_call(layer, named, (xs, h))

    assert torch.autograd.gradcheck(run, (*given, *layer.parameters()))


def test_the_two_gates_add_up_to_one_even_where_both_are_closed():
    params, xs, _ = draw(np.float32)
    params["weight_ih"][...] = 0
    params["bias_ih"][...] = np.repeat(np.float32([-300, -301, 2]), H)
    with np.errstate(all="raise", under="ignore"):
        a, b = gates(params, xs)
        # f / i = e^-1, though both are 0 in float32.
        np.testing.assert_allclose(a, 1 / (1 + np.e), rtol=1e-4)
        np.testing.assert_allclose(b, 2 * np.e / (1 + np.e), rtol=1e-4)
        params["bias_ih"][...] = np.repeat(np.float32([1e30, -1e30, 1e30]), H)
        assert np.isfinite(forward(params, xs)[0]).all()


@pytest.mark.parametrize(("T", "B"), [(0, 3), (5, 0), (0, 0)])
def test_empty_input_gives_empty_output(T, B):
    params, _, h = draw()
    xs, h = np.zeros((T, B, D)), h[:B]
    for found in (forward(params, xs, h), forward_loop(params, xs, h)):
        assert found[0].shape == (T, B, H)
        if T == 0:
            np.testing.assert_array_equal(found[1], h)
    ys, last = layer_of(params)(torch.from_numpy(xs), torch.from_numpy(h))
    assert ys.shape == (T, B, H) and last.shape == (B, H)
    if T == 0:
        np.testing.assert_array_equal(last, h)


def test_nothing_returned_is_shared():
    params, xs, h = draw()
    ys, last = forward(params, xs, h)
    last[...] = 7
    assert (ys[-1] != 7).all()
    forward(params, xs[:0], h)[1][...] = 7
    assert (h != 7).all()


def test_init():
    params = init(100, 200, np.random.default_rng(0), np.float32)
    layer = MinLSTM(100, 200)
    assert {name: value.shape for name, value in params.items()} == {
        name: tuple(value.shape) for name, value in layer.named_parameters()
    }
    for value in (*params.values(), *(p.detach().numpy() for p in layer.parameters())):
        assert value.dtype == np.float32 and 0.09 < np.abs(value).max() <= 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, xs, h: (p, xs[0], h), r"xs must have shape \(T, B, D\), got \(3, 4\)"),
        (lambda p, xs, h: (p, xs[..., :3], h), r"weight_ih'\] must have shape \(3H, 3\)"),
        (lambda p, xs, h: ({"weight_ih": h}, xs, h), r"'bias_ih' for minLSTM, got \['weight_ih'\]"),
        (lambda p, xs, h: (p, xs, h[:2]), r"state must have shape \(3, 5\), got \(2, 5\)"),
        (lambda p, xs, h: (p | {"bias_ih": h}, xs, h), r"bias_ih'\] must have shape \(15,\)"),
        (lambda p, xs, h: ({k: v[1:] for k, v in p.items()}, xs, h), "3H rows, got 14"),
        (lambda p, xs, h: (p, xs.astype("f4"), h), r"must be float32 like xs, got float64"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        forward(*change(*draw()))


def test_bad_sizes():
    with pytest.raises(ValueError, match="H must be a whole number of at least 1, got 0"):
        init(4, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"xs must have shape \(T, B, 4\), got \(9, 3, 5\)"):
        MinLSTM(D, H)(torch.zeros(T, B, H))
