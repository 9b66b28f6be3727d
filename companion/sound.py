"""From a sound wave to features that a network reads: 25 ms frames, mel bands, logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from companion.types import Array

WIDTH = 0.025  # seconds of sound in a frame
HOP = 0.010  # seconds from the start of a frame to the start of the next one
FLOOR = 1e-6  # energy that silence counts as: the logarithm of 0 is no number


def log_mel(wave: Array, rate: float, bands: int = 26) -> Array:
    """Log energies of a wave in mel bands, frame by frame: float32 of shape (T, bands).

    The energy of a band is the sum of `spectrogram` weighted by a row of `mel_filters`; of it the
    natural logarithm is taken. Energies below 1e-6 count as 1e-6. For the frames see `frames`.

    wave: floats (N,), full scale being -1 … 1. rate: samples a second. bands: number of filters.
    Raises ValueError as `frames` and `mel_filters` do.
    Source: Davis and Mermelstein (1980), without their last step, the cosine transform.
    """
    power = spectrogram(wave, rate)
    energies = power @ mel_filters(bands, power.shape[1], rate).T
    return np.log(np.maximum(energies, FLOOR)).astype(np.float32)


def spectrogram(wave: Array, rate: float) -> Array:
    """Power of each frame at equally spaced frequencies: float64 of shape (T, size).

    Each frame is multiplied by a Hann window, which fades it in and out, and filled up with zeros
    to n samples, the smallest power of 2 that holds it; size is n / 2 + 1. The power is the squared
    absolute value of the Fourier transform, not divided by n. Column k is the frequency
    k · rate / 2 / (size - 1) Hz, from 0 to rate / 2.

    wave, rate: as in `log_mel`.
    Raises ValueError as `frames` does.
    """
    cut = frames(wave, rate)
    n = 1 << (cut.shape[1] - 1).bit_length()
    return np.abs(np.fft.rfft(cut * np.hanning(cut.shape[1]), n)) ** 2


def frames(wave: Array, rate: float) -> Array:
    """Overlapping pieces of a wave, 25 ms long, one every 10 ms: a copy of shape (T, samples).

    Frame t holds the sound from 10 t to 10 t + 25 ms, t from 0; what is left over at the end and
    fills no frame is not used. A frame starts at the sample nearest to its time, so that frames do
    not drift where 10 ms are no whole number of samples.

    wave, rate: as in `log_mel`.
    Raises ValueError unless wave is a vector of floats, at least 25 ms long, all of it finite.
    """
    wave, width = np.asarray(wave), round(WIDTH * rate)
    if not np.issubdtype(wave.dtype, np.floating):
        raise ValueError(f"wave must be floats, full scale being -1 … 1, got {wave.dtype}")
    if wave.ndim != 1 or len(wave) < max(width, 2) or not np.isfinite(wave).all():
        raise ValueError(
            f"wave must be a vector of at least 25 ms, {width} finite samples at {rate} Hz, "
            f"got shape {wave.shape}"
        )
    T = 1 + int((len(wave) - width) / (HOP * rate) + 1e-9)
    starts = np.rint(np.arange(T) * HOP * rate).astype(int)
    return wave[starts[:, None] + np.arange(width)]


def mel_filters(bands: int, size: int, rate: float) -> Array:
    """Triangular filters, equally spaced on the mel scale: float64 of shape (bands, size).

    Filter k rises from 0 in the middle of filter k - 1 to 1 in its own middle, and falls to 0 in
    the middle of filter k + 1; the first begins at 0 Hz, the last ends at rate / 2.

    bands: number of filters. size: number of frequencies, from 0 to rate / 2, as `spectrogram` has
    them. rate: samples a second.
    Raises ValueError where there is no band, or where there are so many that a filter meets no
    frequency.
    """
    if bands < 1:
        raise ValueError(f"bands must be at least 1, got {bands}")
    edges = hertz(np.linspace(0, mel(rate / 2), bands + 2))
    low, middle, high = (edges[k : k + bands, None] for k in range(3))
    f = np.linspace(0, rate / 2, size)
    filters = np.minimum((f - low) / (middle - low), (high - f) / (high - middle)).clip(0)
    if not filters.any(1).all():
        raise ValueError(
            f"bands must be fewer for {size} frequencies up to {rate / 2:g} Hz, got {bands}: "
            "a filter lies between two frequencies"
        )
    return filters


def mel(f: ArrayLike) -> Any:
    """Hertz to mel, a scale on which equal steps sound about equally wide.

    f: frequencies in Hz, a number or an array.
    Returns 2595 log10(1 + f / 700), of the same shape.
    Source: O'Shaughnessy (1987).
    """
    return 2595 * np.log10(1 + np.asarray(f) / 700)


def hertz(m: ArrayLike) -> Any:
    """Mel to hertz, the inverse of `mel`: a number or an array of the shape of m."""
    return 700 * (10 ** (np.asarray(m) / 2595) - 1)
