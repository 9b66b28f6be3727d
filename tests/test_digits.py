"""Spoken digits: what is read, and what is refused."""

import io
import wave

import numpy as np
import pytest

from companion.data import fetch_fsdd, load_asterisk_digits
from companion.data.digits import SPEAKERS, TAKES, Recordings, read_wav


def wav(samples, channels=1, width=2, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", ""))
        out.writeframes(np.asarray(samples, "<i2").tobytes())
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of the same form: each wave tells its digit, speaker and take."""
    top = tmp_path_factory.mktemp("fsdd")
    (top / "recordings").mkdir()
    for digit in range(10):
        for k, speaker in enumerate(SPEAKERS):
            for take in range(TAKES):
                name = f"recordings/{digit}_{speaker}_{take}.wav"
                (top / name).write_bytes(wav([digit, k, take, -32768, 32767]))
    return top


def test_fsdd_is_grouped_by_speaker(folder):
    speakers, rate, card = fetch_fsdd(folder)
    assert tuple(speakers) == SPEAKERS and rate == 8000
    assert card.licence == "CC BY-SA 4.0" and len(card.checksum) == 64
    for k, (waves, digits) in enumerate(speakers.values()):
        told = np.array([wave[:3] for wave in waves]) * 32768
        assert len(waves) == 500 and (told[:, 0] == digits).all() and (told[:, 1] == k).all()
        assert (told[:, 2] == np.tile(np.arange(TAKES), 10)).all()
        assert waves[0].dtype == np.float32 and waves[0].tolist()[3:] == [-1, 32767 / 32768]


def test_the_folder_may_come_from_the_environment(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_DATA", str(folder.parent))
    (folder.parent / "fsdd").symlink_to(folder)
    assert fetch_fsdd().card == fetch_fsdd(folder).card
    with pytest.raises(FileNotFoundError, match=r"recordings must be in the folder"):
        fetch_fsdd(tmp_path / "empty", download=False)


def test_one_changed_sample_changes_the_checksum(folder):
    before = fetch_fsdd(folder).card.checksum
    path = folder / "recordings" / "9_yweweler_49.wav"
    kept = path.read_bytes()
    path.write_bytes(kept[:-2] + b"\0\0")
    assert fetch_fsdd(folder).card.checksum != before
    path.write_bytes(kept)


def test_another_kind_of_file_is_refused():
    for kind in ({"channels": 2}, {"rate": 16000}, {"width": 1}):
        with pytest.raises(ValueError, match=r"a\.wav must have 1 channel of 16 bits at 8000"):
            read_wav("a.wav", wav([1, 2, 3, 4], **kind))
    for content in (b"no sound", wav([1, 2])[:20]):
        with pytest.raises(ValueError, match=r"a\.wav must be a WAV file"):
            read_wav("a.wav", content)


def test_the_human_digits_of_the_package():
    (waves, digits), rate, card = load_asterisk_digits()
    assert digits.tolist() == list(range(10)) and rate == 8000
    assert "Allison Smith" in card.source and card.licence == "CC BY-SA 3.0"
    seconds = np.array([len(wave) for wave in waves]) / rate
    assert 0.6 < seconds.min() and seconds.max() < 1
    # "six" ends in a hiss, "nine" does not: the sign changes far more often there.
    ends = [waves[d][-3600:] for d in (6, 9)]
    crossings = [(np.diff(np.sign(end[np.abs(end) > 0.01])) != 0).mean() for end in ends]
    assert all(wave.dtype == np.float32 and 0.3 < abs(wave).max() < 1 for wave in waves)
    assert crossings[0] > 1.5 * crossings[1]


def exhaustive(book, x, penalty):
    """Cost of the best way to make up all of x, by going through all ways, step by step."""
    from functools import cache

    ends = dict(zip(book.last.tolist(), book.words.tolist(), strict=True))
    quiet = x[x.mean(1).argsort()[: max(1, round(0.1 * len(x)))]].mean(0)

    @cache
    def rest(t, place):
        """Best (cost, words) of x[t:], frame t being at this place; None is a pause."""
        target = quiet if place is None else book.frames[place]
        here = float(np.linalg.norm(x[t] - target))
        words = () if place is None else (ends[place],) if place in ends else None
        if t == len(x) - 1:
            return (here, words) if words is not None else (np.inf, ())
        found = []
        if place is not None:
            for step in (0, 1, 2):
                if not any(place <= end < place + step for end in ends):
                    found.append(rest(t + 1, place + step))
        if words is not None:
            for first in [None, *book.first.tolist()]:
                cost, more = rest(t + 1, first)
                found.append((cost + penalty * (first is not None), (*words, *more)))
        cost, more = min(found, key=lambda pair: pair[0])
        return here + cost, more

    starts = [
        (rest(0, k)[0] + penalty * (k is not None), rest(0, k)[1])
        for k in (None, *book.first.tolist())
    ]
    return min(starts, key=lambda pair: pair[0])[1]


def test_templates_are_compared_as_an_exhaustive_search_would():
    from book.experiments.lab.templates import Templates

    rng = np.random.default_rng(0)
    several = 0
    for T in [7] * 25 + [30] * 5:  # the quietest tenth is one frame, or three
        pieces = [rng.normal(size=(n, 2)) for n in (3, 2, 1)]
        book = Templates(pieces, [1, 2, 3])
        x = rng.normal(size=(T, 2))
        found = book.recognise(x, penalty=0.3)
        assert found == exhaustive(book, x, 0.3)
        several += len(found) > 1
    assert several > 10
    with pytest.raises(ValueError, match="at least one frame"):
        book.recognise(x[:0], 0.3)
    for wrong in (pieces, [pieces[0], x[:0]]):
        with pytest.raises(ValueError, match="a frame and a word each"):
            Templates(wrong, [1, 2])


def test_runs_of_a_framewise_answer():
    from book.experiments.lab.digit_networks import runs_of

    path = np.array([0, 3, 3, 3, 5, 3, 3, 0, 0, 2, 2, 0, 2, 2])
    assert runs_of(path, 1) == [3, 5, 3, 2, 2]
    assert runs_of(path, 2) == [3, 2]  # a piece that is too short parts nothing
    assert runs_of(path, 4) == []
    assert runs_of(np.array([0, 3]), 1) == [3]


def test_labels_of_steps_are_those_of_their_middles():
    from book.experiments.lab.digit_strings import String, per_step

    string = String(np.zeros((12, 26)), np.array([6, 0]), np.array([4.5, 9]), np.array([7.5, 12]))
    assert per_step(string).tolist() == [0, 7, 1]
    string = String(np.zeros((12, 26)), np.array([5]), np.array([2]), np.array([6]))
    assert per_step(string).tolist() == [6, 0, 0]  # from the start on, and not at the end


def test_strings_have_every_recording_once_and_batches_every_string():
    from book.experiments.lab.digit_networks import by_length
    from book.experiments.lab.digit_strings import lengths, strings, takes

    rng = np.random.default_rng(0)
    waves = [rng.normal(size=900 + 40 * k) for k in range(50)]
    recordings = Recordings(waves, np.arange(50) % 10)
    found = strings(recordings, ("speed", "noise", "mask"), rng)
    assert sorted(len(string.digits) for string in found) == [3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    heard = np.concatenate([string.digits for string in found])
    assert sorted(heard) == sorted(recordings.digits) and (heard != recordings.digits).any()
    plain = strings(recordings, (), np.random.default_rng(1))
    for string in plain:
        frames = string.ends - string.starts
        own = [len(waves[k]) for k in range(50) if k % 10 in string.digits]
        assert all((np.abs(np.array(own) / 80 - n) < 1e-9).any() for n in frames)
    kept = takes(recordings, range(3, 7))
    assert kept.digits.tolist() == [3, 4, 5, 6] and kept.waves[0] is waves[3]
    many = rng.integers(20, 90, 45)
    order = by_length(many, rng)
    assert sorted(order) == list(range(45))
    assert max(np.ptp(many[order[k : k + 20]]) for k in (0, 20)) < np.ptp(many) * 0.7
    with pytest.raises(ValueError, match="multiple of 25, got 30"):
        lengths(30, rng)


def test_loss_of_labels_is_cross_entropy_without_the_filling():
    torch = pytest.importorskip("torch")
    from book.experiments.lab.digit_networks import frame_loss
    from companion.models.recogniser import transcribed

    rng = np.random.default_rng(0)
    classes = [rng.integers(0, 4, T) for T in (6, 4)]
    xs = [np.zeros((len(k), 2), np.float32) for k in classes]
    ((_, y),) = transcribed(xs, [k + 1 for k in classes], 2)(0)
    log_p = torch.from_numpy(rng.normal(size=(6, 2, 4))).log_softmax(-1)
    total, count = frame_loss(log_p, y)
    own = [log_p[range(len(k)), b, k].sum().item() for b, k in enumerate(classes)]
    assert count == 10 and np.isclose(total.item(), -sum(own), rtol=1e-12)
