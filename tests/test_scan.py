"""The scan is the loop, forwards and backwards."""

import numpy as np
import pytest
import torch

from companion.gradcheck import check_gradients
from companion.models.min_lstm import torch_scan
from companion.scan import linear_loop, linear_scan


def draw(T=7, B=3, H=4, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.uniform(-1, 1, (T, B, H))
    assert T * B * H == 0 or (a < 0).any()
    b, h0 = rng.normal(size=(T, B, H)), rng.normal(size=(B, H))
    return [array.astype(dtype) for array in (a, b, h0)]


def test_the_loop_is_the_recurrence():
    a, b, h0 = draw(T=3)
    h1 = a[0] * h0 + b[0]
    h2 = a[1] * h1 + b[1]
    expected = [h1, h2, a[2] * h2 + b[2]]
    np.testing.assert_array_equal(linear_loop(a, b, h0), expected)


# Not only powers of two, around which doubling changes the number of its passes.
@pytest.mark.parametrize("T", [0, 1, 2, 3, 4, 5, 7, 8, 9, 100])
def test_scan_is_loop(T):
    for B in (0, 3):
        arrays = draw(T, B)
        ys = linear_scan(*arrays)
        assert ys.shape == (T, B, 4)
        # |h| stays near 3: a rounding error of 1e-16 for each of the passes.
        np.testing.assert_allclose(ys, linear_loop(*arrays), rtol=0, atol=1e-14)
        tensors = map(torch.from_numpy, arrays)
        np.testing.assert_array_equal(torch_scan(*tensors), linear_loop(*arrays))


def test_factors_of_one_and_minus_one_remember_for_ever():
    a, b, h0 = draw(T=1000)
    signs, b = np.sign(a), 0 * b
    np.testing.assert_array_equal(linear_scan(signs, b, h0)[-1], signs.prod(0) * h0)


@pytest.mark.parametrize("scan", [linear_scan, linear_loop])
def test_nothing_given_is_changed_and_precision_stays(scan):
    for dtype in (np.float32, np.float64, np.complex128):
        arrays = draw(dtype=dtype)
        before = [array.copy() for array in arrays]
        ys = scan(*arrays)
        assert ys.dtype == dtype
        ys[...] = 0
        for array, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("T", [1, 2, 6])
def test_the_backward_pass_agrees_with_the_complex_step(T):
    a, b, h0 = draw(T)
    weight = np.random.default_rng(1).normal(size=b.shape)
    tensors = [torch.tensor(array, requires_grad=True) for array in (a, b, h0)]
    (torch_scan(*tensors) * torch.tensor(weight)).sum().backward()

    def loss(arrays):
        dtype = np.result_type(*arrays.values())
        return np.sum(weight * linear_scan(*(array.astype(dtype) for array in arrays.values())))

    names = ("a", "b", "h0")
    grads = {name: v.grad.numpy() for name, v in zip(names, tensors, strict=True)}
    report = check_gradients(loss, dict(zip(names, (a, b, h0), strict=True)), grads)
    assert report.ok and max(report.errors.values()) < 1e-13, report


def test_torch_agrees_and_can_differentiate_twice():
    tensors = [torch.tensor(array, requires_grad=True) for array in draw(T=4, B=2, H=2)]
    assert torch.autograd.gradcheck(torch_scan, tensors)
    assert torch.autograd.gradgradcheck(torch_scan, tensors)


@pytest.mark.parametrize(("T", "B"), [(0, 3), (5, 0)])
def test_without_a_step_or_a_sequence_derivatives_are_empty_or_zero(T, B):
    tensors = [torch.tensor(array, requires_grad=True) for array in draw(T, B)]
    torch_scan(*tensors).sum().backward()
    for value in tensors:
        assert value.grad.shape == value.shape and not value.grad.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b, h0: (a[:5], b, h0), r"a must have shape \(7, 3, 4\), got \(5, 3, 4\)"),
        (lambda a, b, h0: (a, b[0], h0), r"b must have shape \(T, B, H\), got \(3, 4\)"),
        (lambda a, b, h0: (a, b, h0[0]), r"h0 must have shape \(3, 4\), got \(4,\)"),
        (lambda a, b, h0: (a, b, h0.astype("f4")), "h0 must be float"),
        (lambda a, b, h0: (a.astype("f2"), b.astype("f2"), h0), "must be float32 or float64"),
    ],
)
def test_bad_shapes(change, message):
    arrays = change(*draw())
    for scan in (linear_scan, linear_loop):
        with pytest.raises(ValueError, match=message):
            scan(*arrays)
    with pytest.raises(ValueError, match=message):
        torch_scan(*map(torch.from_numpy, arrays))


def test_the_loop_runs_on_a_cpu():
    a, b, h0 = (torch.from_numpy(array).to("meta") for array in draw())
    with pytest.raises(ValueError, match="a must be on the CPU, got meta"):
        torch_scan(a, b, h0)
