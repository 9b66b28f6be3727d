import warnings

import numpy as np
import pytest
import torch

from companion.activations import log_sigmoid, sigmoid, tanh


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_accurate_to_the_last_digits_over_its_whole_range(dtype):
    x = np.linspace(-80, 80, 4001).astype(dtype)
    wide = x.astype(np.longdouble)
    exact = 1 / (1 + np.exp(-wide))
    relative = np.abs(sigmoid(x) - exact) / exact
    assert sigmoid(x).dtype == dtype
    assert relative.max() < (1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_warning_at_any_finite_input(dtype):
    x = np.array([-np.finfo(dtype).max, -1e30, -1000, 0, 1000, 1e30, np.finfo(dtype).max], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(sigmoid(x), np.array([0, 0, 0, 0.5, 1, 1, 1], dtype))
        assert np.array_equal(tanh(x), np.sign(x))
        assert np.all(np.isfinite(sigmoid(x + 1e-30j)))


def test_complex_numbers_give_the_derivative():
    x = np.linspace(-30, 30, 301)
    s = sigmoid(x)
    np.testing.assert_allclose(sigmoid(x + 1e-30j).imag / 1e-30, s * (1 - s), atol=1e-15)
    np.testing.assert_allclose(sigmoid(x + 0j).real, s, atol=1e-15)
    np.testing.assert_allclose(tanh(x + 1e-30j).imag / 1e-30, 1 - tanh(x) ** 2, atol=1e-15)


def test_the_complex_branch_is_the_real_one_in_value_and_slope():
    # Every complex-step check runs the form through tanh, training the one with exp.
    x = np.linspace(-300, 300, 6001)
    s, complex_s = sigmoid(x), sigmoid(x + 1e-30j)
    np.testing.assert_allclose(complex_s.real, s, rtol=0, atol=1e-15)
    np.testing.assert_allclose(complex_s.imag / 1e-30, s * sigmoid(-x), rtol=1e-13)
    # The slope that the real branch itself has; its last digits are noise where it is nearly 1.
    near, h = x[np.abs(x) < 20], 1e-5
    slope = (sigmoid(near + h) - sigmoid(near - h)) / (2 * h)
    np.testing.assert_allclose(slope, sigmoid(near + 1e-30j).imag / 1e-30, rtol=1e-8, atol=1e-10)


def test_whole_numbers_and_scalars_are_taken_as_float64():
    assert sigmoid(np.array([0, 3], np.uint8))[1] == sigmoid(3.0)
    assert sigmoid(0) == 0.5


def test_torch_tensors_stay_torch_tensors():
    x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    (sigmoid(x).sum() + tanh(x).sum()).backward()
    s = sigmoid(x.detach().numpy())
    expected = s * (1 - s) + 1 - np.tanh(x.detach().numpy()) ** 2
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_sigmoid_is_right_where_the_sigmoid_rounds_to_zero(dtype):
    x = np.linspace(-40, 40, 801).astype(dtype)
    exact = -np.log1p(np.exp(-x.astype(np.longdouble)))
    assert log_sigmoid(x).dtype == dtype
    np.testing.assert_allclose(log_sigmoid(x), exact, rtol=1e-6 if dtype == np.float32 else 1e-14)
    largest = np.finfo(dtype).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = np.array([-np.inf, -largest, -1000, 1000, largest, np.inf], dtype)
        np.testing.assert_array_equal(log_sigmoid(ends), np.minimum(ends, 0))


def test_log_sigmoid_has_the_slope_of_its_definition_in_complex_numbers_and_in_torch():
    x = np.linspace(-300, 300, 6001)
    slope = sigmoid(-x)
    np.testing.assert_allclose(log_sigmoid(x + 1e-30j).imag / 1e-30, slope, rtol=1e-13, atol=1e-16)
    # A complex log1p rounds a small value away, as `sigmoid` does: right absolutely.
    np.testing.assert_allclose(log_sigmoid(x + 0j).real, log_sigmoid(x), rtol=1e-14, atol=1e-15)
    tensor = torch.tensor(x, requires_grad=True)
    y = log_sigmoid(tensor)
    y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), log_sigmoid(x), rtol=1e-14)
    np.testing.assert_allclose(tensor.grad.numpy(), slope, rtol=1e-13)
