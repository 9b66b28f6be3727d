"""Joined recordings, and the ways to make them sound new."""

import numpy as np
import pytest

from companion.utterances import add_noise, join, mask, normalised, speed

RATE = 8000


def tone(f, n):
    return np.sin(2 * np.pi * f * np.arange(n) / RATE).astype(np.float32)


def test_join_says_where_the_words_are():
    waves = [tone(400, 3000), tone(900, 2000), tone(400, 1000)]
    whole, starts, ends = join(waves, RATE, np.random.default_rng(0), pause=0.2)
    assert (ends - starts).tolist() == [3000, 2000, 1000] and whole.dtype == np.float32
    pauses = np.diff(np.r_[0, np.stack([starts, ends], 1).ravel(), len(whole)])[::2]
    # The first numbers that are drawn are the pauses, in their order; a sample is cut off.
    drawn = np.random.default_rng(0).uniform(0, 1600, 4)
    assert len(pauses) == 4 and (0 <= drawn - pauses).all() and (drawn - pauses < 1).all()
    noise = whole.copy()
    for wave, start, end in zip(waves, starts, ends, strict=True):
        # The faint noise is 0.3 times as loud; a place that is wrong by some samples is not.
        assert np.corrcoef(whole[start:end], wave)[0, 1] > 0.9
        noise[start:end] -= wave
    quiet = np.quantile(np.abs(np.concatenate(waves)), 0.2)
    assert abs(noise.std() / quiet - 1) < 0.05  # of some thousand samples
    for start, end in zip(starts, ends, strict=True):
        assert abs(noise[start:end].std() / quiet - 1) < 0.1  # in the words, too
    for nothing in ([], [np.zeros(0)]):
        with pytest.raises(ValueError, match=f"at least one sample, got {len(nothing)} without"):
            join(nothing, RATE, np.random.default_rng(0))


def test_a_pause_is_0_3_seconds_at_most_unless_told():
    waves = [tone(400, 100)] * 2
    first, second = (join(waves, RATE, np.random.default_rng(0), *p)[0] for p in ((), (0.3,)))
    assert np.array_equal(first, second)


def test_speed_raises_the_tone_as_it_shortens_the_wave():
    fast = speed(tone(400, 8000), 1.25)
    assert len(fast) == 6400 and fast.dtype == np.float32
    assert np.abs(np.fft.rfft(fast)).argmax() * RATE / 6400 == 500
    assert np.array_equal(speed(tone(400, 800), 1.0), tone(400, 800))
    with pytest.raises(ValueError, match="factor must be positive, got 0"):
        speed(fast, 0)


def test_noise_has_the_power_that_was_asked_for():
    wave = tone(400, 80_000)
    added = add_noise(wave, 20, np.random.default_rng(0)) - wave
    assert abs(np.mean(added**2) / (np.mean(wave**2) / 100) - 1) < 0.03
    assert abs(np.corrcoef(added, wave)[0, 1]) < 0.02


def test_mask_sets_stretches_to_zero_and_changes_nothing_else():
    rng, kept, x = np.random.default_rng(0), [], np.ones((50, 26))
    for _ in range(300):
        y = mask(x, rng, 5, 7)  # bands and steps
        steps, bands = (y == 0).all(1), (y == 0).all(0)
        assert steps.sum() <= 14 and bands.sum() <= 10
        assert (y == np.where(steps[:, None] | bands, 0, 1)).all()
        kept.append((steps.sum(), bands.sum()))
    assert np.max(kept, 0).tolist() == [14, 10] and (x == 1).all()
    assert mask(x[:2], rng, 40, 40).shape == (2, 26)


class Largest:
    """Draws the largest number that may be drawn."""

    def integers(self, high):
        return high - 1


def test_the_last_stretch_that_mask_can_draw_ends_at_the_end():
    y = mask(np.ones((50, 26)), Largest(), bands=5, steps=7)
    assert np.array_equal(y != 0, (np.arange(50) < 43)[:, None] & (np.arange(26) < 21))


def test_normalised_forgets_loudness():
    x = np.random.default_rng(0).normal(3, 2, (40, 5))
    y = normalised(x)
    assert np.allclose(y, (x - x.mean(0)) / x.std(0), atol=1e-12)
    assert np.allclose(normalised(2 * x + 7), y, atol=1e-12)
    assert (normalised(np.ones((4, 2))) == 0).all()
    with pytest.raises(ValueError, match="at least one frame"):
        normalised(x[:0])
