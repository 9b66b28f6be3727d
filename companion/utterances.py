"""Utterances out of recordings of single words, and ways to make them sound new."""

from collections.abc import Sequence

import numpy as np

from companion.types import Array

PAUSE = 0.3  # seconds of the longest pause between two words


def join(
    waves: Sequence[Array], rate: float, rng: np.random.Generator, pause: float = PAUSE
) -> tuple[Array, Array, Array]:
    """One wave of several, after one another, with pauses before, between and after them.

    All of it gets a faint noise, as loud as the quieter parts of the recordings: digital silence
    would tell where they were joined.

    waves: K float arrays (N_k,) of one speaker. rate: samples a second. pause: seconds; each pause
    is drawn uniformly between 0 and this.
    Returns the wave, float32 (N,), and starts and ends of the K waves in it, int64 (K,) each, in
    samples; an end is the first sample behind.
    Raises ValueError for waves without a sample.
    """
    if not sum(map(len, waves)):
        raise ValueError(f"waves must hold at least one sample, got {len(waves)} without any")
    pauses = rng.uniform(0, pause * rate, len(waves) + 1).astype(np.int64)
    lengths = np.array([len(wave) for wave in waves])
    ends = np.cumsum(pauses[:-1] + lengths)
    starts = ends - lengths
    faint = np.quantile(np.abs(np.concatenate(waves)), 0.2)
    whole = np.float32(faint) * rng.standard_normal(ends[-1] + pauses[-1], np.float32)
    for wave, start, end in zip(waves, starts, ends, strict=True):
        whole[start:end] += wave
    return whole, starts, ends


def speed(wave: Array, factor: float) -> Array:
    """The wave played `factor` times as fast: shorter, and higher in the same ratio.

    So a voice turns into that of a smaller or larger person. Between samples it is interpolated
    linearly, without a filter before.

    wave: floats (N,). factor: above 1 for faster and higher.
    Returns float32, of N / factor samples, rounded up.
    Raises ValueError unless factor is positive.
    Source: Ko, Peddinti, Povey and Khudanpur (2015).
    """
    if not factor > 0:
        raise ValueError(f"factor must be positive, got {factor}")
    at = np.arange(0, len(wave), factor)
    return np.interp(at, np.arange(len(wave)), wave).astype(np.float32)


def add_noise(wave: Array, decibels: float, rng: np.random.Generator) -> Array:
    """The wave with white Gaussian noise, whose power is so many decibels below its own.

    wave: floats (N,). decibels: the ratio of signal to noise; 20 is a hundredth of the power.
    Returns float32 (N,).
    """
    power = np.mean(np.square(wave, dtype=np.float64)) * 10 ** (-decibels / 10)
    noise = rng.standard_normal(len(wave), np.float32)
    return wave.astype(np.float32) + np.float32(np.sqrt(power)) * noise


def mask(x: Array, rng: np.random.Generator, bands: int, steps: int) -> Array:
    """Features (T, D) with two stretches of bands and two of steps set to 0.

    bands, steps: the most that one stretch takes, of the D and of the T; how many it does take is
    drawn anew for each, from 0 on.
    Returns a copy.
    Source: Park et al. (2019), section 2, without the warping of time.
    """
    x = x.copy()
    for axis, most in ((0, steps), (1, bands)) * 2:
        n = rng.integers(min(most, x.shape[axis]) + 1)
        start = rng.integers(x.shape[axis] - n + 1)
        x[(slice(None),) * axis + (slice(start, start + n),)] = 0
    return x


def normalised(x: Array) -> Array:
    """Features (T, D) with mean 0 and standard deviation 1 in each of the D over the utterance.

    It takes away how loud someone speaks, and most of the microphone. A standard deviation below
    0.001 counts as 0.001, so that a constant feature becomes 0.
    Raises ValueError for no frame.
    """
    if not len(x):
        raise ValueError("x must have at least one frame, got none")
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-3)
