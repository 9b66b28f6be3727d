"""What does a unit follow, and what is it used for? Properties of a text, and a memory held."""

import re

import numpy as np

from companion.models.characters import LSTM, Characters
from companion.params import gate
from companion.types import Array, Params, State


def properties(text: str) -> Params:
    """What is so just after each character of a play: a dict name -> float64 of shape (T,).

    1 or 0: "stage direction", inside [ ]; "speaker", inside a name in capitals before a colon, on
    a line of its own; "vowel", the character is one; "word", the character is a letter or `'`.
    Numbers: "line", characters since the last line break; "speech", characters since the last
    blank line. Before the first of them they are counted from the beginning of the text.
    """
    found = {name: np.zeros(len(text)) for name in ("stage direction", "speaker")}
    for match in re.finditer(r"\[[^\]]*", text):
        found["stage direction"][match.start() : match.end()] = 1
    for match in re.finditer(r"^[A-Z][A-Z '&.,-]*(?=:$)", text, re.M):
        found["speaker"][match.start() : match.end()] = 1
    found["vowel"] = np.array([c in "aeiouAEIOU" for c in text], float)
    found["word"] = np.array([c.isalpha() or c == "'" for c in text], float)
    found["line"] = _since(text, r"\n")
    found["speech"] = _since(text, r"\n\n")
    return found


def places(text: str) -> Params:
    """To what does the next character belong? A dict name -> bool of shape (T - 1,).

    Entry k is about character k + 1, as entry k of `companion.models.characters.bits` is.
    "stage direction": [ is open, the ] itself included; "name": a speaker's; "line end": the line
    break after a spoken line, which does not end with : or ]; "other": none of the three.
    """
    found = properties(text)
    last, coming = np.array(list(text[:-1])), np.array(list(text[1:]))
    direction = found["stage direction"][:-1] == 1
    name = found["speaker"][1:] == 1
    end = (coming == "\n") & ~np.isin(last, list("\n:]")) & ~direction
    other = ~(direction | name | end)
    return {"stage direction": direction, "name": name, "line end": end, "other": other}


def hold(model: Characters, unit: int, value: float) -> tuple[Characters, State]:
    """The model with the memory of one unit held at a value, and the state to start from.

    The unit's input gate is shut and its forget gate open for good, so that its cell state, which
    is `value` at the start, stays there; its output gate goes on as before.
    model: a `companion.models.characters.Characters`. unit: 0 … H - 1. value: a finite number.
    Returns a new `Characters`, and the state (h, c), each (1, H), zero but for the value.
    Raises ValueError for a unit that the model lacks, or a value that is not finite.
    """
    H = model.params["weight_hh"].shape[1]
    if not (isinstance(unit, (int, np.integer)) and 0 <= unit < H):
        raise ValueError(f"unit must be a whole number in 0 … {H - 1}, got {unit!r}")
    if not np.isfinite(value):
        raise ValueError(f"value must be finite, got {value!r}")
    params = {name: array.copy() for name, array in model.params.items()}
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for letter in "if":
            gate(LSTM, params[name], letter)[unit] = 0
    gate(LSTM, params["bias_ih"], "i")[unit] = -100
    gate(LSTM, params["bias_ih"], "f")[unit] = 100
    h, c = (np.zeros((1, H), params["weight_hh"].dtype) for _ in range(2))
    c[0, unit] = value
    return Characters(params, model.alphabet), (h, c)


def correlations(values: Array, wanted: Array) -> Array:
    """Pearson's correlation of every unit with one property, or with each of P.

    values: (T, H), one trace a unit. wanted: the property, (T,), or the properties, (P, T).
    Returns float64 (H,) or (P, H), 0 where the unit or the property never changes.
    Raises ValueError unless both have the same T ≥ 2.
    """
    fits = values.ndim == 2 and wanted.ndim in (1, 2) and wanted.shape[-1] == len(values)
    if not fits or len(values) < 2:
        raise ValueError(
            f"values and wanted must have shapes (T, H) and (T,) or (P, T) with T ≥ 2, "
            f"got {values.shape} and {wanted.shape}"
        )
    values = values - values.mean(0, dtype=np.float64)
    wanted = wanted - wanted.mean(-1, keepdims=True, dtype=np.float64)
    spread = np.sqrt((values**2).sum(0) * (wanted**2).sum(-1, keepdims=True))
    return np.divide(wanted @ values, spread, out=np.zeros(spread.shape), where=spread > 0)


def _since(text, mark):
    """Number of characters since the end of the last mark; 0 for the mark's own last one."""
    steps = np.arange(len(text))
    last = np.full(len(text), -1)
    for match in re.finditer(mark, text):
        last[match.end() - 1] = match.end() - 1
    return (steps - np.maximum.accumulate(last)).astype(float)
