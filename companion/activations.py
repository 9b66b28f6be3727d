"""Elementwise functions of a cell's step, on NumPy arrays, complex numbers and torch tensors alike.

The steps of all cells call these names, so the same step runs on real arrays,
on complex arrays (the complex-step gradient check) and on torch tensors.
"""

import numpy as np

from companion.types import Value


def sigmoid(x: Value) -> Value:
    """Logistic sigmoid 1 / (1 + exp(-x)), elementwise.

    x: an array of any shape, or a torch tensor.
    Returns the same shape; float32 stays float32.
    Never warns: for x far below zero exp(-x) is infinite and the quotient is rightly 0.
    Complex numbers go through tanh instead. Far below zero their value is right to 1e-15
    absolutely, not relatively; the derivative by the complex step keeps its digits.
    Source: {eq}`eq-input-gate-sigmoid`.
    """
    if hasattr(x, "sigmoid"):
        return x.sigmoid()
    x = np.asarray(x)
    if x.dtype.kind == "c":
        # A complex exp overflows to nan where the real one overflows to inf; tanh does not.
        return 0.5 + 0.5 * np.tanh(0.5 * x)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    # exp keeps the relative accuracy far below zero that 0.5 + 0.5 tanh(x / 2) loses.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def log_sigmoid(x: Value) -> Value:
    """Logarithm of `sigmoid`, -log(1 + exp(-x)), elementwise.

    x: an array of any shape, or a torch tensor.
    Returns the same shape; float32 stays float32.
    It is right far below zero too, where the sigmoid itself rounds to 0: there it is x.
    """
    if hasattr(x, "logaddexp"):
        return -(-x).logaddexp(constant(x, 0))
    below = np.real(x) < 0
    return np.where(below, x, 0) - np.log1p(np.exp(np.where(below, x, -x)))


def tanh(x: Value) -> Value:
    """Hyperbolic tangent, elementwise.

    x: an array of any shape, or a torch tensor.
    Returns the same shape; float32 stays float32.
    """
    return x.tanh() if hasattr(x, "tanh") else np.tanh(x)


def exp(x: Value) -> Value:
    """Exponential function, elementwise.

    x: an array of any shape, or a torch tensor.
    Returns the same shape; float32 stays float32.
    """
    return x.exp() if hasattr(x, "exp") else np.exp(x)


def maximum(x: Value, y: Value) -> Value:
    """The larger of two numbers, elementwise; of complex numbers the one with the larger real part.

    x, y: two arrays of one shape, or two torch tensors.
    Returns the same shape.
    """
    return x.maximum(y) if hasattr(x, "maximum") else np.maximum(x, y)


def tanh_slope(y: Value) -> Value:
    """Derivative of tanh, given its value y = tanh(x): 1 - y²."""
    return 1 - y * y


def identity(x: Value) -> Value:
    """x itself: what an ablated activation becomes."""
    return x


def one_slope(y: Value) -> Value:
    """Derivative of `identity`: 1, in the shape and precision of y."""
    return constant(y, 1)


def constant(x: Value, value: float) -> Value:
    """One number, repeated in the shape and dtype of x, whatever x holds.

    x: an array of any shape, or a torch tensor. value: the number.
    Returns an array, or a tensor if x is one.
    """
    return x.new_full(x.shape, value) if hasattr(x, "new_full") else np.full_like(x, value)
