import numpy as np
import pytest
import torch

from companion import optim, readout
from companion.gradcheck import check_gradients

rng = np.random.default_rng(0)


def test_linear_and_cross_entropy_have_the_right_gradients():
    params = readout.init_linear(5, 7, rng)
    hs, targets = rng.normal(size=(4, 3, 5)), rng.integers(0, 7, (4, 3))

    def loss(v):
        logits = readout.linear(v, v["hs"])
        picked = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
        return np.mean(np.log(np.sum(np.exp(logits), -1)) - picked)

    value, dlogits = readout.cross_entropy(readout.linear(params, hs), targets)
    grads, dhs = readout.linear_backward(params, hs, dlogits)
    assert value == pytest.approx(loss(params | {"hs": hs}), rel=1e-12)
    report = check_gradients(loss, params | {"hs": hs}, grads | {"hs": dhs})
    assert report.ok, report


def test_the_first_parameters_have_the_range_of_torch():
    params = readout.init_linear(25, 40, np.random.default_rng(0), np.float32)
    assert {name: value.shape for name, value in params.items()} == {
        "weight": (40, 25),
        "bias": (40,),
    }
    for value in params.values():
        assert value.dtype == np.float32
        # 1/√25: of 40 numbers the lowest and the highest come near to both ends.
        assert -0.2 <= value.min() < -0.15 and 0.15 < value.max() <= 0.2


def test_log_softmax_equals_torch_far_out_too():
    logits = rng.normal(size=(2, 3, 4, 5)) * np.array([1, 1e3])[:, None, None, None]
    logits[0, 1, 2, 3] = -np.inf
    expected = torch.log_softmax(torch.tensor(logits), -1).numpy()
    np.testing.assert_allclose(readout.log_softmax(logits), expected, rtol=1e-14, atol=1e-15)
    huge = np.array([-1.7e308, 1.7e308])
    np.testing.assert_array_equal(readout.log_softmax(huge), [-np.inf, 0])


def test_cross_entropy_equals_torch_and_does_not_overflow():
    logits = rng.normal(size=(6, 5)).astype(np.float32) * 1e4
    targets = rng.integers(0, 5, 6)
    theirs = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(targets))
    expected.backward()
    with np.errstate(all="raise", under="ignore"):
        value, dlogits = readout.cross_entropy(logits, targets)
    assert value == pytest.approx(expected.item(), rel=1e-6)
    assert dlogits.dtype == np.float32
    np.testing.assert_allclose(dlogits, theirs.grad.numpy(), atol=1e-7)


def test_squared_error():
    ys, targets = rng.normal(size=(2, 4, 3))
    value, dys = readout.squared_error(ys, targets)
    assert value == pytest.approx(np.mean((ys - targets) ** 2))
    assert check_gradients(lambda v: np.mean((v["ys"] - targets) ** 2), {"ys": ys}, {"ys": dys}).ok


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: readout.cross_entropy(np.zeros((2, 3)), [0, 3]), "targets must be in 0 … 2"),
        (lambda: readout.cross_entropy(np.zeros((2, 3)), [0, -1]), "targets must be in 0 … 2"),
        (lambda: readout.cross_entropy(np.zeros((2, 3)), [0]), r"of shape \(2,\), got"),
        (lambda: readout.cross_entropy(np.zeros((2, 3)), [0.0, 1.0]), "whole numbers"),
        (lambda: readout.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)), "must not be empty"),
        (lambda: readout.squared_error(np.zeros(2), np.zeros(3)), "targets must have shape"),
        (lambda: readout.squared_error(np.zeros(0), np.zeros(0)), "must not be empty"),
        (lambda: readout.linear({"weight": np.zeros((2, 5))}, np.zeros((3, 4))), r"\(\.\.\., 5\)"),
        (lambda: readout.linear({"weight": np.zeros((2, 5))}, np.zeros(())), r"5\), got \(\)"),
        (lambda: readout.linear({"weight": np.zeros((2, 2))}, [0.0, 0.0]), r"2\), got \(2,\)"),
        (
            lambda: readout.linear_backward(
                {"weight": np.zeros((2, 5))}, np.zeros((3, 5)), np.zeros(2)
            ),
            r"dys must have shape \(3, 2\)",
        ),
        (
            lambda: readout.linear_backward(
                {"weight": np.zeros((2, 5))}, np.zeros((3, 5)), np.zeros((3, 2), np.float32)
            ),
            "dys must be float64",
        ),
        (
            lambda: readout.squared_error(np.zeros(2), np.zeros(2, np.float32)),
            "targets must be float64",
        ),
        (lambda: optim.clip_by_norm({}, 0), "limit must be positive, got 0"),
        (lambda: optim.clip_by_value({}, -1), "limit must be positive, got -1"),
        (lambda: optim.sgd({"a": 1}, {"b": 1}, 0.1), r"grads must have the names \['a'\]"),
        (lambda: optim.momentum({"a": 1}, {"b": 1}, None, 0.1), r"names \['a'\], got \['b'\]"),
        (lambda: optim.adam({"a": 1}, {"b": 1}, None, 0.1), r"names \['a'\], got \['b'\]"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def stateless(params, grads, memory, lr):
    return optim.sgd(params, grads, lr), None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (stateless, lambda p: torch.optim.SGD(p, lr=0.1)),
        (optim.momentum, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        (optim.adam, lambda p: torch.optim.Adam(p, lr=0.1)),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_optimizers_equal_torch(ours, theirs):
    params = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}
    tensors = {name: torch.tensor(v, requires_grad=True) for name, v in params.items()}
    optimizer, memory = theirs(list(tensors.values())), None
    first = {name: value.copy() for name, value in params.items()}
    start = params
    for _ in range(20):
        grads = {name: np.sin(3 * value) + value for name, value in params.items()}
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[name])
        optimizer.step()
        params, memory = ours(params, grads, memory, 0.1)
    for name in params:
        np.testing.assert_allclose(params[name], tensors[name].detach().numpy(), rtol=1e-10)
        np.testing.assert_array_equal(start[name], first[name])


def test_float32_is_kept():
    params = {"a": np.ones(3, np.float32)}
    for lr in (1e-3, np.float64(1e-3)):  # of np.linspace, say
        new, memory = optim.adam(params, params, None, lr, tuple(np.array([0.9, 0.999])))
        assert new["a"].dtype == np.float32 and memory[2]["a"].dtype == np.float32
        assert optim.sgd(params, params, lr)["a"].dtype == np.float32
        both = optim.momentum(params, params, params, lr, lr)
        assert {part["a"].dtype for part in both} == {np.dtype(np.float32)}
        assert optim.clip_by_norm(params, lr)[0]["a"].dtype == np.float32
        assert optim.clip_by_value(params, lr)["a"].dtype == np.float32


def test_clipping():
    grads = {"a": np.array([3.0, -4.0]), "b": np.array([[12.0]])}
    clipped, norm = optim.clip_by_norm(grads, 6.5)
    assert norm == 13
    np.testing.assert_allclose(clipped["a"], [1.5, -2])
    same, _ = optim.clip_by_norm(grads, 14)
    np.testing.assert_array_equal(same["a"], grads["a"])
    assert optim.clip_by_norm({"a": np.zeros(2)}, 1)[1] == 0
    limited = optim.clip_by_value(grads, 3.5)
    np.testing.assert_array_equal(limited["a"], [3, -3.5])
    np.testing.assert_array_equal(limited["b"], [[3.5]])
    tensor = torch.zeros(2, requires_grad=True)
    tensor.grad = torch.tensor([3.0, -4.0])
    torch.nn.utils.clip_grad_norm_([tensor], 2.5)
    ours, _ = optim.clip_by_norm({"a": np.array([3.0, -4.0])}, 2.5)
    np.testing.assert_allclose(ours["a"], tensor.grad.numpy(), rtol=1e-6)
    small, _ = optim.clip_by_norm({"a": np.array([0.3, -0.4])}, 0.05)
    np.testing.assert_allclose(small["a"], [0.03, -0.04])


@pytest.mark.parametrize("size", [1e-30, 1, 1e30])
def test_the_norm_of_float32_is_that_of_its_numbers(size):
    # Their squares are beyond float32, and so would be a sum in it.
    grads = {"a": np.full((3, 4), size, np.float32), "b": np.full(4, -size, np.float32)}
    with np.errstate(all="raise"):
        assert optim.global_norm(grads) == pytest.approx(4 * size, rel=1e-6)
