"""Synthetic voices: text spoken by espeak-ng while the program runs. Needs scipy."""

import _ctypes
import ctypes
import hashlib
import io
import json
import os
import tempfile
from contextlib import suppress
from importlib import metadata
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from companion.data.folders import data_folder

ACCENTS = {
    "train": ("en-us", "en-gb-x-rp", "en-gb-x-gbclan", "en-029"),
    "valid": ("en-gb-x-gbcwmd",),
    "test": ("en-gb-scotland", "en-us-nyc"),
}
VARIANTS = {
    "train": ("f1", "f2", "f5", "Annie", "m1", "m2", "m3", "m4", "m5", "Alex"),
    "valid": ("aunty", "m6", "Michael"),
    "test": ("f3", "f4", "m7", "m8"),
}
# Voices of a split, accent + variant: no accent and no variant is in two splits.
VOICES = {
    part: tuple(f"{accent}+{variant}" for accent in ACCENTS[part] for variant in VARIANTS[part])
    for part in ACCENTS
}


class Sound(NamedTuple):
    """A phoneme, or a word, and the second at which it starts."""

    name: str
    start: float


class Speech(NamedTuple):
    """What `speak` returns: float32 (N,) between -1 and 1, samples a second, and what was said.

    events: a `Sound` for every phoneme; the last one is a pause, whose name begins with "_", as
    that of every pause. words: a `Sound` for every word.
    """

    wave: np.ndarray
    rate: int
    events: tuple[Sound, ...]
    words: tuple[Sound, ...]


def speak(text: str, voice: str, rate: int = 8000) -> Speech:
    """A text in a synthetic voice, the same in every process: a `Speech`.

    text: plain English; write numbers as words. voice: an accent of espeak-ng, or accent + variant,
    such as "en-us+f1"; `VOICES` has some. rate: samples a second, a whole number; espeak-ng's own
    22,050 are resampled, which needs scipy.
    Returns `wave`, float32 (N,) between -1 and 1; `rate`; and `events` and `words`, tuples with an
    entry for every phoneme and for every word. An entry has a `name` and its `start` in seconds.
    The last phoneme is a pause; the name of a pause begins with `_`. Names of phonemes are
    espeak-ng's, without the stress mark, `'` or `,`, before them.
    Raises ImportError without the package espeakng-loader, and ValueError for an unknown accent
    or variant or a text that makes no sound.

    What was spoken once is read from a cache, `voices` in the folder of all data sets.
    espeak-ng is GPLv3+: run it, and ship no audio that it made.
    """
    key = json.dumps([text, voice, rate, _version(), 1])  # 1: the form of the entry
    path = data_folder("voices") / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    # An entry that is missing or broken is made again.
    with suppress(Exception):
        return _loaded(path.read_bytes(), rate)
    wave, own, events, words = _espeak(text, voice)
    if rate != own:
        from scipy.signal import resample_poly

        d = gcd(rate, own)
        wave = resample_poly(wave.astype(np.float64), rate // d, own // d)
    whole = np.rint(wave).clip(-32768, 32767).astype(np.int16)  # 16 bits, as a recording has
    fields = {"wave": whole}
    for name, sounds in (("events", events), ("words", words)):
        fields[name] = np.array([sound.name for sound in sounds], str)
        fields[f"{name}_start"] = np.array([sound.start for sound in sounds])
    buffer = io.BytesIO()
    np.savez(buffer, **fields)
    with suppress(OSError):  # a folder that cannot be written costs time, no more
        _write(path, buffer.getvalue())
    return _loaded(buffer.getvalue(), rate)


def _loaded(content, rate):
    with np.load(io.BytesIO(content)) as fields:
        wave = fields["wave"].astype(np.float32) / 32768
        pairs = ((fields[name], fields[f"{name}_start"]) for name in ("events", "words"))
        events, words = (
            tuple(Sound(str(name), float(start)) for name, start in zip(*pair, strict=True))
            for pair in pairs
        )
    return Speech(wave, rate, events, words)


def _write(path, content):
    """Whole or not at all, also when two processes write the same entry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _version():
    try:
        return metadata.version("espeakng-loader")
    except metadata.PackageNotFoundError as error:
        raise ImportError("synthetic voices need espeak-ng: pip install espeakng-loader") from error


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_SYNCHRONOUS, _PHONEME_EVENTS, _DONT_EXIT, _UTF8 = 2, 0x0001, 0x8000, 1
_END, _WORD, _PHONEME = 0, 1, 7  # types of events; 0 ends a list of them


def _espeak(text, voice):
    """Samples of 16 bits (N,), their rate, phonemes and words.

    The library is loaded anew for every text: it keeps oscillators and a generator of noise
    running from one text to the next, and only the latter can be set back.
    """
    import espeakng_loader

    lib = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data = espeakng_loader.get_data_path()
        rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _PHONEME_EVENTS | _DONT_EXIT)
        if rate <= 0:
            raise ImportError(f"espeak-ng does not find its data in {data}")
        return _synthesise(lib, rate, text, voice)
    finally:
        lib.espeak_Terminate()
        handle = lib._handle
        del lib
        close: Any = getattr(_ctypes, "dlclose", getattr(_ctypes, "FreeLibrary", None))
        close(handle)


def _known_variant(voice):
    """espeak-ng would speak without a variant that it does not find."""
    import espeakng_loader

    _, plus, variant = voice.partition("+")
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    return not plus or variant in {path.name for path in folder.iterdir()}


def _synthesise(lib, rate, text, voice):
    waves, events, words = [], [], []

    @_CALLBACK
    def callback(wave, n, event):
        if wave and n:
            waves.append(np.ctypeslib.as_array(wave, (n,)).copy())
        k = 0
        while event[k].type != _END:
            start = event[k].sample / rate
            if event[k].type == _PHONEME:
                events.append(Sound(bytes(event[k].id.string).decode().lstrip("',"), start))
            elif event[k].type == _WORD:
                first = event[k].text_position - 1
                words.append(Sound(text[first : first + event[k].length], start))
            k += 1
        return 0

    lib.espeak_SetSynthCallback(callback)
    known = lib.espeak_SetVoiceByName(voice.encode()) == 0
    if not (known and _known_variant(voice)):
        raise ValueError(f"voice must be one of espeak-ng's, such as en-us+f1, got {voice!r}")
    lib.espeak_ng_SetRandSeed(ctypes.c_long(1))
    content = text.encode() + b"\0"
    size = ctypes.c_size_t(len(content))
    lib.espeak_Synth(content, size, 0, 1, 0, _UTF8, None, None)
    wave = np.concatenate(waves) if waves else np.zeros(0, np.int16)
    if not wave.any():
        raise ValueError(f"text must have something to say, got {text!r}")
    return wave, rate, tuple(events), tuple(words)
