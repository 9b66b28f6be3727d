"""The activations of one number, for compiled cells. Needs numba.

In float32 they are a rational function, which the compiler turns into vector instructions; a call
of the C library would keep it from doing so.
"""

import math

import numpy as np
from numba import njit

compile_float32 = njit(
    forceinline=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"}
)
f4 = np.float32
# tanh(x) ≈ x P(x²) / Q(x²) on |x| < 7.9, where float32's tanh is already 1: the coefficients
# of Eigen's generic_fast_tanh_float.
LIMIT = f4(7.90531110763549805)
P = tuple(map(f4, (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11,
                   5.12229709037114e-08, 1.48572235717979e-05, 6.37261928875436e-04,
                   4.89352455891786e-03)))  # fmt: skip
Q = tuple(map(f4, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03,
                   4.89352518554385e-03)))  # fmt: skip
P6, P5, P4, P3, P2, P1, P0 = P
Q3, Q2, Q1, Q0 = Q
HALF, ONE = f4(0.5), f4(1)
LOWEST = f4(-104)
L3, L5, L7, L9, L11, L13 = (f4(1 / n) for n in (3, 5, 7, 9, 11, 13))


@compile_float32
def tanh32(x):
    x = LIMIT if x > LIMIT else x  # nan is neither above nor below: it stays nan
    x = -LIMIT if x < -LIMIT else x
    y = x * x
    p = ((((((P6 * y + P5) * y + P4) * y + P3) * y + P2) * y + P1) * y + P0) * x
    q = ((Q3 * y + Q2) * y + Q1) * y + Q0
    return p / q


@compile_float32
def sigmoid32(x):
    return HALF + HALF * tanh32(HALF * x)


@compile_float32
def exp32(x):
    """exp(x) = exp(x / 1024) to the power of 1024, by a series and ten squares in float64."""
    x = LOWEST if x < LOWEST else x  # where float32's exp is already 0; nan is not below
    y = np.float64(x) / 1024
    y = 1 + y * (1 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720))))))
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    return f4(y * y)


@compile_float32
def log_sigmoid32(x):
    """min(x, 0) - log(1 + y) with y = exp(-|x|), and log(1 + y) = 2 artanh(y / (2 + y))."""
    below = x < 0
    y = exp32(x if below else -x)
    s = y / (f4(2) + y)
    q = s * s
    series = ONE + q * (L3 + q * (L5 + q * (L7 + q * (L9 + q * (L11 + q * L13)))))
    return (x if below else f4(0)) - f4(2) * s * series


@njit(error_model="numpy")
def tanh64(x):
    return math.tanh(x)


@njit(error_model="numpy")
def sigmoid64(x):
    return 1.0 / (1.0 + math.exp(-x))


@njit(error_model="numpy")
def exp64(x):
    return math.exp(x)


@njit(error_model="numpy")
def log_sigmoid64(x):
    return (x if x < 0 else 0.0) - math.log1p(math.exp(-abs(x)))


@njit(forceinline=True)
def maximum(x, y):
    return y if x < y or y != y else x  # whichever is nan


@njit(forceinline=True)
def constant32(x, value):
    return f4(value)


@njit(forceinline=True)
def constant64(x, value):
    return np.float64(value)


SCALAR = {
    np.float32: {
        "sigmoid": sigmoid32,
        "tanh": tanh32,
        "log_sigmoid": log_sigmoid32,
        "exp": exp32,
        "maximum": maximum,
        "constant": constant32,
    },
    np.float64: {
        "sigmoid": sigmoid64,
        "tanh": tanh64,
        "log_sigmoid": log_sigmoid64,
        "exp": exp64,
        "maximum": maximum,
        "constant": constant64,
    },
}
