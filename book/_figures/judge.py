"""Judges a reader's `derivative` of the LSTM step by the complex step, in plain Python.

It runs in the reader's browser, where there is no NumPy; tests/site/test_judge.py compares it
with companion.gradcheck.check_step.
"""

import cmath
import json
import math
import random
import traceback

NAMES = ("a_i", "a_f", "a_g", "a_o", "c_prev")
POINTS, EPS = 15, 1e-30
HUGE = 1e300  # stands for whatever is no number; JSON has no infinity
SOURCE = "your code"


def sigmoid(x):
    return 1 / (1 + (cmath if isinstance(x, complex) else math).exp(-x))


def tanh(x):
    return (cmath if isinstance(x, complex) else math).tanh(x)


def step(a, carry, p):
    ai, af, ag, ao = a
    (c_prev,) = carry
    i, f, g, o = sigmoid(ai), sigmoid(af), tanh(ag), sigmoid(ao)
    c = f * c_prev + i * g
    tanh_c = tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def errors(derivative):
    """The largest deviation of each value over its largest size, as in check_step."""
    rng = random.Random(0)
    off, size = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0.0)
    for _ in range(POINTS):
        at = [rng.gauss(0, 1) for _ in NAMES]
        dh, dc = rng.gauss(0, 1), rng.gauss(0, 1)
        state, kept = step(at[:4], at[4:], ())
        da, dcarry, dp = derivative((dh, dc), state, kept, tuple(at[4:]), ())
        if (len(da), len(dcarry), len(dp)) != (4, 1, 0):
            raise ValueError("derivative must return tuples of 4, of 1 and of 0 values")
        for k, (name, found) in enumerate(zip(NAMES, (*da, *dcarry), strict=True)):
            nudged = [x + EPS * 1j if j == k else x for j, x in enumerate(at)]
            (h, c), _ = step(nudged[:4], nudged[4:], ())
            true = (dh * h + dc * c).imag / EPS
            gap = abs(found - true)
            off[name] = max(off[name], gap if gap < HUGE else HUGE)
            size[name] = max(size[name], abs(true))
    return {name: off[name] / size[name] for name in NAMES}


def judge(source):
    """JSON: the `errors` of the derivative that `source` defines, or the `problem` with it."""
    names = {"sigmoid": sigmoid, "tanh": tanh, "math": math}
    try:
        exec(compile(source, SOURCE, "exec"), names)
        return json.dumps({"errors": errors(names["derivative"])})
    except KeyError as error:
        problem = f"there is no function {error}" if "derivative" not in names else repr(error)
    except SyntaxError as error:
        problem = f"line {error.lineno}: {error.msg}"
    except Exception as error:
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__)]
        files = [at.filename for at in traceback.extract_tb(error.__traceback__)]
        own = [line for line, file in zip(lines, files, strict=True) if file == SOURCE]
        problem = f"{f'line {own[-1]}: ' if own else ''}{type(error).__name__}: {error}"
    return json.dumps({"problem": problem})
