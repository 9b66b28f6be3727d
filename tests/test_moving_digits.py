"""Films of digits: they move as they should, and show what they are made of."""

import zlib

import numpy as np
import pytest

from companion.tasks.moving_digits import bounced, moving_digits

IMAGES = np.random.default_rng(0).uniform(0.1, 1, (20, 4, 4)).astype(np.float32)


def test_films_are_repeatable_and_of_the_right_form():
    films = moving_digits(np.random.default_rng(1), 3, IMAGES, 6, size=9)
    assert films.shape == (6, 3, 9, 9) and films.dtype == np.float32
    assert np.array_equal(films, moving_digits(np.random.default_rng(1), 3, IMAGES, 6, size=9))
    assert films.min() == 0 and films.max() <= 1
    assert moving_digits(np.random.default_rng(1), 1, IMAGES, 1).shape == (1, 1, 16, 16)
    lit = (films > 0).sum((2, 3))
    assert lit.min() >= 16 and lit.max() <= 32 and lit.max() > 16, "two digits of 16 pixels"


def test_a_seed_gives_the_films_that_stored_results_were_made_of():
    """Digits of one pixel, each with a brightness of its own, in all frames."""
    images = np.linspace(0.25, 1, 4, dtype=np.float32).reshape(4, 1, 1)
    films = moving_digits(np.random.default_rng(0), 50, images, 9, size=4)
    places = [[0, 0, 1], [0, 3, 1], [1, 1, 2], [1, 2, 0], [2, 1, 1], [2, 2, 3]]
    assert np.argwhere(films[:3, 0]).tolist() == places  # frame, row, column
    assert zlib.crc32(films.tobytes()) == 1307185433


def test_a_digit_moves_by_one_and_turns_at_the_side():
    row, column = bounced(np.array([[3], [0]]), np.array([[1], [-1]]), 8, room=4)
    assert row[:, 0].tolist() == [3, 4, 3, 2, 1, 0, 1, 2]
    assert column[:, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def test_every_frame_is_two_images_at_places_one_step_apart():
    images = np.stack([np.full((4, 4), 0.5), np.full((4, 4), 1.0)]).astype(np.float32)
    films = moving_digits(np.random.default_rng(2), 40, images, 7, size=10)
    seen = 0
    for film in films.swapaxes(0, 1):
        bright = film == 1
        if not (bright.sum((1, 2)) == 16).all():
            continue  # two bright digits, or none
        seen += 1
        corner = np.array([np.argwhere(frame).min(0) for frame in bright])
        assert (np.abs(np.diff(corner, axis=0)) == 1).all()
        for frame, (r, k) in zip(bright, corner, strict=True):
            assert frame[r : r + 4, k : k + 4].all()
    assert seen > 5


def test_digits_are_drawn_from_all_images_and_no_others():
    films = moving_digits(np.random.default_rng(3), 200, IMAGES, 1, size=9)
    assert set(np.unique(films)) - {0} == set(np.unique(IMAGES))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 4, 5))}, r"images must have shape \(N, n, n\)"),
        ({"images": np.zeros((0, 4, 4))}, "N at least 1"),
        ({"size": 4}, "size must be a whole number of at least 5"),
        ({"images": np.zeros((4, 4, 4, 4))}, r"images must have shape \(N, n, n\)"),
        ({"B": 0}, "B must be"),
        ({"T": 0}, "T must be"),
    ],
)
def test_bad_input(change, message):
    given = {"rng": np.random.default_rng(0), "B": 1, "images": IMAGES, "T": 2, "size": 9} | change
    with pytest.raises(ValueError, match=message):
        moving_digits(**given)


def test_digits_set_out_in_every_direction():
    """Digits of one pixel, away from the sides: how far both of a film have moved in one step."""
    films = moving_digits(np.random.default_rng(4), 400, np.ones((1, 1, 1)), 2, size=50)
    inner = (films[0, :, 1:-1, 1:-1].sum((1, 2)) == 2) & (films[1].sum((1, 2)) == 2)
    places = films[:, inner].nonzero()
    moved = [np.diff(place.reshape(2, -1, 2).sum(-1), axis=0).ravel() for place in places[2:]]
    for way in moved:
        assert set(way) == {-2, 0, 2} and abs(way.mean()) < 0.3
    assert (moved[0] != moved[1]).any()
