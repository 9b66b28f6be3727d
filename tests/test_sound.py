"""Features of sound, checked on waves whose spectrum is known."""

import numpy as np
import pytest

from companion.sound import FLOOR, frames, hertz, log_mel, mel, mel_filters, spectrogram

RATES = (8000, 22050)


def tone(f, rate, seconds=0.5):
    return np.sin(2 * np.pi * f * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_is_loudest_at_its_frequency_and_in_its_band(rate):
    power = spectrogram(tone(1000, rate), rate)
    f = np.linspace(0, rate / 2, power.shape[1])
    assert np.abs(f[power.argmax(1)] - 1000).max() <= f[1] / 2 + 1e-9
    features = log_mel(tone(1000, rate), rate)
    middles = hertz(np.linspace(0, mel(rate / 2), 28))[1:-1]
    assert set(features.argmax(1)) == {np.abs(middles - 1000).argmin()}


@pytest.mark.parametrize("rate", RATES)
def test_frames_are_25_ms_long_one_every_10_ms_and_do_not_drift(rate):
    seconds = np.arange(10 * rate) / rate  # the value of a sample is its time
    cut = frames(seconds, rate)
    assert cut.shape == (998, round(0.025 * rate))  # 9.995 s end the last one, at most
    assert np.abs(cut[:, 0] - 0.01 * np.arange(998)).max() <= 0.5 / rate + 1e-9
    assert np.allclose(cut[:, -1] - cut[:, 0], (cut.shape[1] - 1) / rate)


def test_as_many_frames_as_fit():
    assert [len(frames(np.zeros(n), 8000)) for n in (200, 279, 280, 359, 360)] == [1, 1, 2, 2, 3]
    assert len(frames(np.zeros(202 + 403), 8060)) == 6  # 5 times 80.6 samples, to the last bit
    # 10 ms are 220.5 samples there: the second frame would end half a sample behind the wave.
    assert len(frames(np.zeros(771), 22050)) == 1


def test_a_frame_has_at_least_two_samples():
    assert frames(np.arange(2.0), 80).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="wave must be"):
        frames(np.arange(1.0), 40)


@pytest.mark.parametrize(("rate", "size"), [(10240, 129), (10280, 257)])
def test_frames_are_filled_up_to_the_next_power_of_2(rate, size):
    """25 ms are 256 and 257 samples."""
    assert spectrogram(np.zeros(300), rate).shape == (1, size)


def test_a_spectrum_is_the_sum_over_the_samples():
    """The fast transform against the definition, for one frame."""
    wave = np.random.default_rng(0).standard_normal(200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199)
    n, k = np.arange(200), np.arange(129)[:, None]
    slow = np.abs((wave * window * np.exp(-2j * np.pi * k * n / 256)).sum(1)) ** 2
    assert np.allclose(spectrogram(wave, 8000), slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "rate"), [(129, 8000), (513, 22050)])
def test_filters_are_triangles_that_overlap_by_half(size, rate):
    filters = mel_filters(26, size, rate)
    f = np.linspace(0, rate / 2, size)
    edges = hertz(np.linspace(0, mel(rate / 2), 28))
    for k, filter in enumerate(filters):
        assert np.allclose(filter, np.interp(f, edges[k : k + 3], [0, 1, 0]))
    inside = (f >= edges[1]) & (f <= edges[-2])
    assert np.allclose(filters.sum(0)[inside], 1)


def test_one_filter_is_one_triangle():
    f, top = np.linspace(0, 4000, 129), mel(4000)
    wanted = np.interp(f, [0, hertz(top / 2), 4000], [0, 1, 0])
    assert np.allclose(mel_filters(1, 129, 8000), wanted)


def test_mel_of_some_frequencies():
    assert mel(0) == 0 and mel(700) == pytest.approx(2595 * np.log10(2))
    assert mel(1000) == pytest.approx(1000, abs=0.1)
    assert np.allclose(hertz(mel(np.array([0, 50, 4000]))), [0, 50, 4000])


def test_twice_as_loud_adds_ln_4_to_every_feature():
    wave = 0.1 * np.random.default_rng(1).standard_normal(4000)
    assert np.allclose(log_mel(2 * wave, 8000) - log_mel(wave, 8000), np.log(4), atol=1e-5)


def test_silence_is_the_floor():
    features = log_mel(np.zeros(4000), 8000, bands=20)
    assert features.shape == (48, 20) and features.dtype == np.float32
    assert np.allclose(features, np.log(FLOOR))


@pytest.mark.parametrize("wave", [np.zeros(199), np.zeros((400, 2)), np.full(400, np.nan)])
def test_a_wave_that_makes_no_frame_is_refused(wave):
    with pytest.raises(ValueError, match="wave must be a vector of at least 25 ms, 200"):
        log_mel(wave, 8000)


def test_too_many_bands_are_refused():
    with pytest.raises(ValueError, match="bands must be fewer for 129 .* got 100"):
        log_mel(np.zeros(4000), 8000, bands=100)


def test_no_band_is_refused():
    with pytest.raises(ValueError, match="bands must be at least 1, got 0"):
        log_mel(np.zeros(4000), 8000, bands=0)


def test_whole_numbers_are_refused():
    """Samples of 16 bits would give features that are off by a constant."""
    with pytest.raises(ValueError, match="wave must be floats, .* got int16"):
        log_mel(np.zeros(4000, np.int16), 8000)
