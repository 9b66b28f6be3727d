"""Films of two handwritten digits that move through a small frame and bounce off its sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from companion.tasks.batch import check_at_least
from companion.types import Array


def moving_digits(
    rng: np.random.Generator, B: int, images: ArrayLike, T: int, size: int = 16
) -> Array:
    """Draw B films of T frames, two digits in each: float32 (T, B, size, size), from 0 to 1.

    A digit moves by one pixel a step along both axes and turns round where it meets a side; where
    two overlap, the brighter pixel shows. The first two frames decide all later ones, except for
    pixels that are covered in them.

    images: (N, n, n), from 0 to 1, among which the digits are drawn, such as those of
    `sklearn.datasets.load_digits` divided by 16. size: side of the frame in pixels, at least n + 1.
    Raises ValueError for images that are not square, a frame that is too small, and B or T below 1.
    Source: the Moving MNIST of Srivastava, Mansimov and Salakhutdinov (2015), smaller.
    """
    check_at_least(1, B=B, T=T)
    images = np.asarray(images, np.float32)
    if images.ndim != 3 or images.shape[1] != images.shape[2] or not len(images):
        raise ValueError(f"images must have shape (N, n, n) with N at least 1, got {images.shape}")
    n = images.shape[1]
    check_at_least(n + 1, size=size)
    frames, b = np.zeros((T, B, size, size), np.float32), np.arange(B)[:, None, None]
    t = np.arange(T)[:, None, None, None]
    for _ in range(2):
        shown = images[rng.integers(len(images), size=B)]
        start = rng.integers(size - n + 1, size=(2, B))
        speed = rng.choice([-1, 1], size=(2, B))
        row, column = bounced(start, speed, T, size - n)
        rows = row[..., None, None] + np.arange(n)[:, None]
        columns = column[..., None, None] + np.arange(n)
        frames[t, b, rows, columns] = np.maximum(frames[t, b, rows, columns], shown)
    return frames


def bounced(start: Array, speed: Array, T: int, room: int) -> Array:
    """Positions at T steps of points that move evenly between 0 and `room` and turn there.

    start: whole numbers (2, B), the positions at step 0. speed: whole numbers (2, B), by how much
    they move a step. room: a whole number of at least 1.
    Returns whole numbers (2, T, B).
    """
    there_and_back = (start[:, None] + speed[:, None] * np.arange(T)[:, None]) % (2 * room)
    return room - np.abs(room - there_and_back)
