"""Strings of digits out of recordings of single ones: how they sound, and what is said in them."""

from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from companion.data.digits import Recordings
from companion.models.recogniser import joined
from companion.sound import log_mel
from companion.utterances import PAUSE, add_noise, join, mask, normalised, speed

RATE = 8000
SETTINGS = {
    "digits": [3, 7],
    "frames": 4,
    "bands": 26,
    "speed": 0.2,
    "noise": [10, 40],
    "mask": [5, 6],
}
ROOM = {  # what a microphone hears of someone who tries it out
    "digits": [1, 2, 3, 4, 5, 10],
    # Some strings are dense and some are not: what is drawn first is how long it may be at most.
    "pause": 0.6,  # seconds between two digits, at most
    "silence": 2,  # seconds before and after, at most
    "noise": [5, 60],  # decibels below the rest
    "color": 0.95,  # of the noise: how much of a sample is still in the next one, at most
    "peak": [0.02, 1],  # of the loudest sample
    "speed": 0.3,
}


class String(NamedTuple):
    """Features x (T, bands), the digits said, and where each starts and ends, in frames."""

    x: np.ndarray
    digits: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def lengths(many, rng, ways=()):
    """How many digits each string has: each number equally often, in random order.

    many: recordings, each of which is in one string. ways: with "room" there are as many digits as
    ROOM says, else from 3 to 7.
    Raises ValueError unless it is a multiple of 25.
    """
    low, high = SETTINGS["digits"]
    each = np.array(ROOM["digits"]) if "room" in ways else np.arange(low, high + 1)
    if many % each.sum():
        raise ValueError(f"many must be a multiple of {each.sum()}, got {many}")
    return rng.permutation(np.tile(each, many // each.sum()))


def utterance(waves, digits, ways, rng):
    """The String of these waves; ways: which of "speed", "noise" and "mask" change its sound.

    With "room" it sounds as from a microphone; "speed" then goes as far as ROOM says.
    """
    room = "room" in ways
    if "speed" in ways:
        most = (ROOM if room else SETTINGS)["speed"]
        factor = np.exp(rng.uniform(-most, most))
        waves = [speed(wave, factor) for wave in waves]
    pause = rng.uniform(0, ROOM["pause"]) if room else PAUSE
    wave, starts, ends = join(waves, RATE, rng, pause)
    if room:
        wave, before = in_a_room(wave, rng)
        starts, ends = starts + before, ends + before
    if "noise" in ways:
        wave = add_noise(wave, rng.uniform(*SETTINGS["noise"]), rng)
    x = normalised(log_mel(wave, RATE, SETTINGS["bands"]))
    if "mask" in ways:
        x = mask(x, rng, *SETTINGS["mask"])
    return String(x, digits, starts / (RATE / 100), ends / (RATE / 100))


def in_a_room(wave, rng):
    """The wave with silence around it, noise of some color over all of it, and some loudness.

    Returns it, float32, and the samples of silence before it.
    """
    most = RATE * rng.uniform(0, ROOM["silence"])
    before, after = rng.uniform(0, most, 2).astype(int)
    wave = np.pad(wave, (before, after))
    noise = lfilter([1], [1, -rng.uniform(0, ROOM["color"])], rng.standard_normal(len(wave)))
    decibels = rng.uniform(*ROOM["noise"])
    wave = wave + noise * np.sqrt(np.mean(wave**2) / np.mean(noise**2) / 10 ** (decibels / 10))
    peak = np.exp(rng.uniform(*np.log(ROOM["peak"])))
    return (wave * peak / np.abs(wave).max()).astype(np.float32), before


def strings(recordings, ways, rng):
    """Every recording of a person once, in strings: a list of `String`."""
    waves, digits = recordings
    order = rng.permutation(len(waves))
    parts = np.split(order, np.cumsum(lengths(len(order), rng, ways))[:-1])
    return [utterance([waves[k] for k in part], digits[part], ways, rng) for part in parts]


def takes(recordings, numbers):
    """Some of the fifty takes of each digit of one person."""
    keep = [k for k in range(len(recordings.waves)) if k % 50 in numbers]
    return Recordings([recordings.waves[k] for k in keep], recordings.digits[keep])


def steps(x):
    """The features that a network reads: several frames as one step."""
    return joined(x, SETTINGS["frames"])


def per_step(string):
    """The class of each step of a string: a digit + 1 where the middle of the step is in it."""
    n = SETTINGS["frames"]
    middle = np.arange(-(-len(string.x) // n)) * n + n / 2
    inside = (middle[:, None] >= string.starts) & (middle[:, None] < string.ends)
    return (inside * (string.digits + 1)).sum(1)


def text(classes):
    """Digits of a transcript as one word each, for jiwer; class k is the digit k - 1."""
    return " ".join(str(k - 1) for k in classes)


def said(spoken):
    """What is said in the strings, as `text`."""
    return [text(string.digits + 1) for string in spoken]
