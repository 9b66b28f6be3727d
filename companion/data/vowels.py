"""Nine speakers, two vowels: short human utterances of unequal length."""

import io
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256
from companion.types import Array

FILE = "japanese_vowels.npz"


class Split(NamedTuple):
    """A list of arrays (T, D), one a sequence, and their labels, int64 of shape (N,)."""

    sequences: list[Array]
    labels: np.ndarray


class JapaneseVowels(NamedTuple):
    """What `load_japanese_vowels` returns."""

    train: Split
    test: Split
    card: Card


def load_japanese_vowels() -> JapaneseVowels:
    """Utterances of the vowels /ae/ by nine men; the label, 0 to 8, is who speaks.

    Returns splits `train` of 270 and `test` of 370 utterances, as their authors made them, and a
    `card`. A split has `sequences`, a list of N arrays, and `labels`, int64 (N,). An utterance is a
    float32 array (T, 12), T from 7 to 29: in each frame of 25.6 ms, one every 6.4 ms, twelve LPC
    cepstrum coefficients. `train` has 30 utterances of each speaker, in the order of the speakers;
    `test` has 24 to 88.
    Source: Kudo, Toyama and Shimbo (1999).
    """
    content = files("companion.data").joinpath(FILE).read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        train, test = (_split(arrays, name) for name in ("train", "test"))
    card = Card(
        name="Japanese Vowels",
        what="nine men say /ae/; who speaks? 12 LPC cepstrum coefficients a frame",
        source="UCI Machine Learning Repository; Kudo, Toyama and Shimbo (1999)",
        licence="CC BY 4.0",
        size="640 utterances of 7 to 29 frames",
        split="270 train (30 a speaker), 370 test (24 to 88 a speaker), as published",
        checksum=sha256(content),
    )
    return JapaneseVowels(train, test, card)


def _split(arrays, name):
    ends = np.cumsum(arrays[f"{name}_lengths"], dtype=np.int64)[:-1]
    sequences = [frames.copy() for frames in np.split(arrays[f"{name}_frames"], ends)]
    return Split(sequences, arrays[f"{name}_labels"].astype(np.int64))
