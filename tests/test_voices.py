"""Synthetic voices: the same in every process, cached, and known by name."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")
pytest.importorskip("scipy")

from companion.data import VOICES, speak, voices  # noqa: E402
from companion.sound import log_mel  # noqa: E402

TEXT = "three seven two"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    return tmp_path / "voices"


def digest(speech):
    return hashlib.sha256(speech.wave.tobytes()).hexdigest()


def test_a_fresh_process_speaks_the_same_bytes(tmp_path):
    speak("something else first", "en-029+m3")
    program = (
        "import hashlib; from companion.data import speak; "
        f"print(hashlib.sha256(speak({TEXT!r}, 'en-us+f1').wave.tobytes()).hexdigest())"
    )
    # With a cache of its own.
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"COMPANION_DATA": str(tmp_path / "other"), "PATH": ""},
    )
    assert done.stdout.strip() == digest(speak(TEXT, "en-us+f1")), done.stderr


def test_the_order_of_texts_does_not_matter(folder):
    texts = ("one", TEXT, "nine")
    before = [digest(speak(text, "en-us+m7")) for text in texts]
    for entry in folder.iterdir():
        entry.unlink()
    assert before[::-1] == [digest(speak(text, "en-us+m7")) for text in reversed(texts)]


def test_speech_is_what_it_says():
    wave, rate, events, words = speak(TEXT, "en-us+f1")
    assert wave.dtype == np.float32 and rate == 8000 and 0.3 < np.abs(wave).max() <= 1
    assert [e.name for e in events] == "T r i: s E v @ n t u: _: _".split()
    assert [w.name for w in words] == TEXT.split()
    starts = [e.start for e in events]
    assert starts == sorted(starts) and starts[-1] <= len(wave) / rate
    assert words[1].start < starts[3] < starts[6] < words[2].start


def test_events_are_where_the_sound_is():
    """An s is noise above 2 kHz, an E is not: a shift of a few frames would show."""
    wave, rate, events, _ = speak(TEXT, "en-us+f1")
    power = np.exp(log_mel(wave, rate))
    share = power[:, 18:].sum(1) / power.sum(1)
    middles = 0.0125 + 0.01 * np.arange(len(share))
    s, e, v = (events[k].start for k in (3, 4, 5))
    assert share[(middles > s + 0.01) & (middles < e - 0.01)].min() > 0.3
    assert share[(middles > e + 0.01) & (middles < v - 0.01)].max() < 0.2


def test_resampled_speech_has_its_length_and_its_spectrum():
    low, own = (speak(TEXT, "en-us+f1", rate) for rate in (8000, 22050))
    assert abs(len(low.wave) / 8000 - len(own.wave) / 22050) < 1e-3
    assert low.events == own.events
    powers = [np.abs(np.fft.rfft(s.wave)[: len(low.wave) * 3 // 8]) ** 2 for s in (low, own)]
    shares = [p / p.sum() for p in powers]  # below 3 kHz, in steps of the whole length
    thirds = [[part.sum() for part in np.array_split(p, 3)] for p in shares]
    assert np.allclose(*thirds, rtol=0.05)


def test_every_voice_speaks_and_differs_from_the_others():
    every = [voice for part in VOICES.values() for voice in part]
    said = {digest(speak("seven", voice)) for voice in every}
    assert len(said) == len(every) == 51


def test_no_accent_and_no_variant_is_in_two_splits():
    for k in (0, 1):
        parts = [{voice.split("+")[k] for voice in VOICES[part]} for part in VOICES]
        assert sum(map(len, parts)) == len(set().union(*parts))


def test_the_cache_is_read_and_a_broken_entry_is_made_again(folder, monkeypatch):
    first = speak(TEXT, "en-us+f1")
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], b"x" * 1000):
        entry.write_bytes(broken)
        assert digest(speak(TEXT, "en-us+f1")) == digest(first)
        assert entry.read_bytes() == whole
    monkeypatch.setattr(voices, "_espeak", None)  # nothing is spoken now
    again = speak(TEXT, "en-us+f1")
    assert np.array_equal(again.wave, first.wave) and again[1:] == first[1:]


def test_another_text_voice_rate_or_version_is_another_entry(folder, monkeypatch):
    speak("one", "en-us+f1")
    speak("two", "en-us+f1")
    speak("one", "en-us+f2")
    speak("one", "en-us+f1", 22050)
    monkeypatch.setattr(voices, "_version", lambda: "another")
    speak("one", "en-us+f1")
    assert len(list(folder.iterdir())) == 5


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "file"))
    assert len(speak("one", "en-us+f1").events) > 3


@pytest.mark.parametrize("voice", ["xx", "en-us+nobody", "en-us+", "xx+f1"])
def test_an_unknown_voice_is_refused(voice):
    with pytest.raises(ValueError, match="voice must be one of espeak-ng's"):
        speak("one", voice)


@pytest.mark.parametrize("text", ["", " ", "..."])
def test_a_text_without_sound_is_refused(text):
    with pytest.raises(ValueError, match="text must have something to say"):
        speak(text, "en-us+f1")


def test_without_espeak_an_error_says_what_to_install(monkeypatch):
    def missing(name):
        raise voices.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(voices.metadata, "version", missing)
    with pytest.raises(ImportError, match="pip install espeakng-loader"):
        speak("one", "en-us+f1")
