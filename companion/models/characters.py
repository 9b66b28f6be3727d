"""A character model that comes with the package, trained: run it, look inside, let it write.

One LSTM layer and a linear layer read a text one character at a time and give a probability to
each character that could come next. `book/experiments/characters.py` trained it.
"""

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from companion.cells import CELLS
from companion.data import encode, shakespeare
from companion.engine import forward, history
from companion.readout import linear
from companion.types import Array, Params, State

LSTM = CELLS["lstm"]


class Characters(NamedTuple):
    """A character model of H units and K characters."""

    params: Params  #: of the LSTM, as of `init` with D = K, and of the readout, as of `init_linear`
    alphabet: str  #: the K characters, in the order of their numbers


class Reading(NamedTuple):
    """What a model does while it reads T characters."""

    probabilities: np.ndarray  #: (T, K): after each character, what it expects as the next
    bits: np.ndarray  #: (T - 1,): -log2 of the probability of each character but the first
    traces: Params  #: name -> (T, H): the gates i f o, the candidate g, the states c and h
    state: State  #: the last (h, c), each (1, H), to go on from


def load() -> Characters:
    """The trained model, in float32; its weights are stored in half precision.

    It has H = 256 units. Settings, loss while training and bits per character are in
    `companion.data.load_result("characters")`.
    """
    with files("companion.data").joinpath("characters.npz").open("rb") as file:
        stored = np.load(file)
        arrays = {name: stored[name] for name in stored.files}
    alphabet = str(arrays.pop("alphabet"))
    params = {name: value.astype(np.float32) for name, value in arrays.items()}
    return Characters(params, alphabet)


def parts() -> dict[str, str]:
    """The three parts of the text of `shakespeare`, as training used them: a dict of strings.

    "test" is the last tenth, from A Midsummer Night's Dream, "validation" a twentieth from the
    middle of Romeo and Juliet, which chose the epoch, and "training" is all the rest.
    """
    text = shakespeare()
    N = len(text)
    start, stop, end = 13 * N // 20, 14 * N // 20, 9 * N // 10
    return {
        "training": text[:start] + text[stop:end],
        "validation": text[start:stop],
        "test": text[end:],
    }


def run(model: Characters, text: str, state: State | None = None) -> Reading:
    """Read a text in one piece and keep all that happens: a `Reading`.

    For every character 7 H numbers are kept, so this is for up to some ten thousand characters;
    `bits` alone needs far less.
    model: such as `load` gives it. text: T ≥ 1 characters of the alphabet. state: where to go on
    from, as a Reading has it; None means zeros.
    Raises ValueError for an empty text or a character that is not in the alphabet.
    """
    numbers = _numbers(model, text)
    ys, last, tape = forward(LSTM, model.params, _one_hot(model, numbers), state)
    logs = _log2(linear(model.params, ys[:, 0]))
    values = history(LSTM, tape)
    traces = {name: values[name][:, 0] for name in "ifgoch"}
    return Reading(np.exp2(logs), _picked(logs, numbers), traces, last)


def bits(model: Characters, text: str, state: State | None = None) -> Array:
    """-log2 of the probability of each character but the first: float64 (T - 1,).

    Arguments and errors as of `run`.
    """
    numbers = _numbers(model, text)
    ys, _, _ = forward(LSTM, model.params, _one_hot(model, numbers), state, keep_tape=False)
    return _picked(_log2(linear(model.params, ys[:, 0])), numbers)


def sample(
    model: Characters, start: str, n: int, temperature: float, rng: np.random.Generator
) -> str:
    """Let the model write n characters after a start, each drawn and then read: a string.

    model: such as `load` gives it. start: at least one character of the alphabet. n: at least 0.
    temperature: what the scores are divided by; below 1, likely characters become more likely.
    rng: what the characters are drawn with.
    Returns start and the n characters, as one string.
    Raises ValueError for an empty start, a character that is not in the alphabet, or a
    temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature!r}")
    numbers, state, written = _numbers(model, start), None, start
    for _ in range(n):
        xs = _one_hot(model, numbers)
        ys, state, _ = forward(LSTM, model.params, xs, state, keep_tape=False)
        p = np.exp2(_log2(linear(model.params, ys[-1, 0]) / temperature))
        numbers = rng.choice(len(p), size=1, p=p / p.sum())
        written += model.alphabet[numbers[0]]
    return written


def _numbers(model, text):
    if not text:
        raise ValueError("text must have at least one character, got ''")
    return encode(text, model.alphabet)[0]


def _one_hot(model, numbers):
    dtype = model.params["weight_ih"].dtype
    return np.eye(len(model.alphabet), dtype=dtype)[numbers][:, None]


def _log2(scores):
    """Logarithms to base 2 of softmax(scores), in float64."""
    scores = scores.astype(np.float64)
    shifted = scores - scores.max(-1, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))) / np.log(2)


def _picked(logs, numbers):
    return -np.take_along_axis(logs[:-1], numbers[1:, None], -1)[:, 0]
