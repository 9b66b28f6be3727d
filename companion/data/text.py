"""Real English text, and its way into arrays."""

from importlib.resources import files

import numpy as np

from companion.types import Array


def shakespeare() -> str:
    """Hamlet, Macbeth, Romeo and Juliet, and A Midsummer Night's Dream, as one string.

    About half a million characters of public-domain text; source and notice in
    `companion/data/README.md`.
    """
    return files("companion.data").joinpath("shakespeare.txt").read_text(encoding="utf-8")


def encode(text: str, alphabet: str | None = None) -> tuple[Array, str]:
    """Number the characters of a text.

    alphabet: a string of all characters in the order of their numbers; None takes the
    characters of the text itself, sorted.
    Returns the numbers, int64 of shape (len(text),), and the alphabet;
    `"".join(alphabet[k] for k in numbers)` is the text again.
    Raises ValueError for a character that is not in the alphabet.
    """
    if alphabet is None:
        alphabet = "".join(sorted(set(text)))
    if unknown := sorted(set(text) - set(alphabet)):
        raise ValueError(f"text must be written in the alphabet {alphabet!r}, got {unknown}")
    number = {character: k for k, character in enumerate(alphabet)}
    return np.array([number[character] for character in text], np.int64), alphabet
