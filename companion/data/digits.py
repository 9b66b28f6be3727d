"""People who say the digits from zero to nine, one digit a recording."""

import io
import wave
from importlib.resources import files
from os import PathLike
from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256
from companion.data.folders import read
from companion.data.sources import whole_folder
from companion.types import Array

RATE = 8000
FILE = "asterisk_digits.npz"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50


class Recordings(NamedTuple):
    """One speaker: `waves`, a list of float32 arrays in -1 … 1, one a digit, and the `digits`.

    digits: int64 of shape (N,), 0 to 9.
    """

    waves: list[Array]
    digits: np.ndarray


class FSDD(NamedTuple):
    """What `fetch_fsdd` returns: `Recordings` by the speaker's name, samples a second, a card."""

    speakers: dict[str, Recordings]
    rate: int
    card: Card


class AsteriskDigits(NamedTuple):
    """What `load_asterisk_digits` returns: `Recordings`, samples a second, and a card."""

    recordings: Recordings
    rate: int
    card: Card


def fetch_fsdd(folder: str | PathLike | None = None, download: bool = True) -> FSDD:
    """Free Spoken Digits: six people, each of whom says each of ten digits fifty times.

    folder: has `recordings/{digit}_{speaker}_{take}.wav`, of which the takes 0 to 49 are read; None
    means `fsdd` in the folder of all data sets.
    download: whether to download what the folder lacks, checked by its checksum; False raises
    FileNotFoundError instead.
    Returns `speakers`; `rate`, 8000 samples a second; and a `card`. `speakers` is a dict by name,
    in alphabetical order. Each entry has `waves`, a list of 500 float32 arrays (samples,) in
    -1 … 1, fifty takes of zero, then of one, and so on, and their `digits`, int64 (500,). A split
    by speaker is what tells how a stranger will be understood.
    Raises DownloadError where no download succeeds, FileNotFoundError that names a missing file,
    and ValueError for one that is no mono recording of 16 bits at 8000 samples a second.
    Source: Jackson and others, Free Spoken Digit Dataset.
    """
    folder = whole_folder("fsdd", folder, download)
    contents, speakers = [], {}
    for speaker in SPEAKERS:
        names = [f"{digit}_{speaker}_{take}.wav" for digit in range(10) for take in range(TAKES)]
        own = [read(folder, f"recordings/{name}") for name in names]
        waves = [read_wav(name, content) for name, content in zip(names, own, strict=True)]
        speakers[speaker] = Recordings(waves, np.repeat(np.arange(10), TAKES))
        contents += own
    card = Card(
        name="Free Spoken Digit Dataset",
        what="six people say zero to nine in English, one digit a recording",
        source="github.com/Jakobovski/free-spoken-digit-dataset",
        licence="CC BY-SA 4.0",
        size="3,000 recordings of 16 bits at 8 kHz: 6 speakers, 10 digits, 50 takes",
        split="by speaker; takes 0 to 49 of each digit",
        checksum=sha256(b"".join(contents)),
    )
    return FSDD(speakers, RATE, card)


def load_asterisk_digits() -> AsteriskDigits:
    """The digits of a telephone exchange: one woman says zero to nine, once each.

    Returns `recordings`; `rate`, 8000 samples a second; and a `card`. `recordings` has `waves`, a
    list of ten float32 arrays (samples,) in -1 … 1, and `digits`, 0 to 9, int64 (10,).
    Source: the English sounds of Asterisk, recorded by Allison Smith.
    """
    content = files("companion.data").joinpath(FILE).read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        waves = [_floats(arrays[str(digit)]) for digit in range(10)]
    card = Card(
        name="Asterisk digits",
        what="one professional speaker says zero to nine in English, one digit a recording",
        source="Asterisk core sounds 1.6.1, English; recorded by Allison Smith for Digium",
        licence="CC BY-SA 3.0",
        size="10 recordings of 16 bits at 8 kHz",
        split="all of it for tests: too little to learn from",
        checksum=sha256(content),
    )
    return AsteriskDigits(Recordings(waves, np.arange(10)), RATE, card)


def read_wav(name: str, content: bytes) -> Array:
    """The samples of a WAV file's bytes, float32 in -1 … 1.

    Raises ValueError, with the file's name, unless it is mono, 16 bits, 8000 samples a second.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            found = file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{name} must be a WAV file, got {error or 'its end too early'}") from None
    if found != (1, 16, RATE):
        raise ValueError(
            f"{name} must have 1 channel of 16 bits at {RATE} samples a second, got {found}"
        )
    return _floats(np.frombuffer(frames, "<i2"))


def _floats(samples):
    return samples.astype(np.float32) / 32768
