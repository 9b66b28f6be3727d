"""The experiments on speech: who is heard in training, who in the test, and what is counted."""

import jiwer
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fit_cases import Fit, rates, same  # noqa: E402

from book.experiments import framewise, microphone, nbest, spoken_digits  # noqa: E402
from book.experiments.lab import digit_networks, digit_strings  # noqa: E402
from book.experiments.lab.digit_networks import Person  # noqa: E402
from book.experiments.lab.digit_strings import String  # noqa: E402
from companion.data.digits import SPEAKERS, Recordings  # noqa: E402
from companion.models import recogniser  # noqa: E402
from companion.models.framewise import Recurrent, Window, labelled  # noqa: E402

SILENCE = framewise.SILENCE


@pytest.fixture
def fit(monkeypatch):
    found = Fit()
    for module in (framewise, nbest, digit_networks):
        monkeypatch.setattr(module, "fit", found)
    digit_networks.one_version.cache_clear()
    with torch.random.fork_rng():
        yield found
    digit_networks.one_version.cache_clear()


# Frames


def frames(rng, many):
    """Strings of one digit a second frame, of unlike means."""
    found = []
    for k in range(many):
        y = np.array([SILENCE, k % 10, k % 10, SILENCE, 3])
        found.append((rng.normal(k, 2, (5, 26)).astype(np.float32), y, np.array([-1, 0, 0, -1, 1])))
    return found


def test_networks_hear_what_their_method_says():
    for method in framewise.METHODS.values():
        for context in method["context"]:
            net = framewise.network(method["net"], context)
            if method["net"] in ("linear", "feed-forward"):
                assert type(net) is Window and net.n == context
                assert len(net.net) == (1 if method["net"] == "linear" else 3)
            else:
                both = method["net"] == "bidirectional LSTM"
                assert type(net) is Recurrent and net.delay == context
                assert net.lstm.bidirectional == both
                assert net.lstm.hidden_size == (42 if both else 64)


def test_a_frame_network_is_trained_with_noise_and_chosen_by_another_speaker(fit, monkeypatch):
    rng = np.random.default_rng(0)
    train, valid = frames(rng, 90), frames(rng, 7)
    # Of the second string's three frames of speech one is wrong, of all others none.
    monkeypatch.setattr(
        framewise, "posteriors", lambda model, xs: [np.eye(11)[y] for _, y, _ in changed]
    )
    changed = [
        (x, np.where(np.arange(5) == 1, (y + (k == 1)) % 11, y), w)
        for k, (x, y, w) in enumerate(valid)
    ]
    longer = [(x[:3], y[:3], w[:3]) if k == 1 else (x, y, w) for k, (x, y, w) in enumerate(valid)]
    changed[1] = tuple(part[:3] for part in changed[1])
    model, share, best = framewise.learn("LSTM", 0, train, longer, 8)
    called, options = fit.called, fit.called.options
    assert (options.epochs, options.clip, options.patience, options.seed) == (12, 1.0, 4, 8)
    assert rates(options, 1) == [0.01] and best == 1 and called.model is model
    xs, ys, _ = zip(*train, strict=True)
    assert same(list(called.batches(1)), list(labelled(xs, ys, 40, 8, 0.5)(1)))
    xs, ys, _ = zip(*longer, strict=True)
    assert same(called.validation, list(labelled(xs, ys, 7)(0)))
    assert share == 1 / (3 * 6 + 2)


def test_the_test_speaker_is_heard_once_and_late_takes_apart(monkeypatch):
    takes = {name: [(name, k) for k in range(500)] for name in SPEAKERS}
    monkeypatch.setattr(framewise, "recordings", lambda: (takes, "c"))
    monkeypatch.setattr(framewise, "scaled", lambda parts, *_: parts)
    for known in (False, True):
        learned, valid, test, _ = framewise.data({"speaker": "theo", "seed": 0, "known": known})
        said = sorted(sum(learned, []))
        late = [("theo", k) for k in range(500) if k % 50 >= 40]
        assert sorted(sum(test[-25:], [])) == late
        assert sorted(sum(test, [])) == (late if known else takes["theo"])
        assert len({name for name, _ in said}) == 4 + known and not {*said} & {*sum(test, [])}
        assert sorted(sum(valid, [])) == takes[valid[0][0][0]] and not {*said} & {*sum(valid, [])}


def test_each_band_is_scaled_by_its_string_or_by_those_of_the_training():
    rng = np.random.default_rng(0)
    parts = {
        name: [[(rng.normal(k, 3, (6, 2)), np.arange(6) % 11)] * 2] * 3
        for k, name in enumerate(("a", "b", "test"))
    }
    for scale in ("string", "training"):
        found = framewise.scaled(parts, scale, ("a", "b"))
        known = np.concatenate([x for n in ("a", "b") for string in parts[n] for x, _ in string])
        for name, own in found.items():
            for (x, y, word), string in zip(own, parts[name], strict=True):
                whole = np.concatenate([x for x, _ in string])
                by = whole if scale == "string" else known
                np.testing.assert_allclose(
                    x, (whole - by.mean(0)) / by.std(0), rtol=1e-4, atol=1e-5
                )
                assert y.tolist() == [*range(6)] * 2 and word.tolist() == [0] * 6 + [1] * 6
    flat = framewise.scaled({"a": [[(np.full((3, 2), 5.0), np.full(3, 1))]]}, "string", ("a",))
    assert not flat["a"][0][0].any()  # a band that never changes is not divided by 0
    _, _, word = framewise.join([(np.zeros((2, 1)), np.array([SILENCE, 4]))] * 2)
    assert word.tolist() == [-1, 0, -1, 1]


def test_frames_of_speech_words_and_tenths_are_counted(monkeypatch):
    """One string of four words of 20 frames, in which some frames are wrong."""
    y = np.concatenate([[SILENCE], np.repeat([1, 2, 3, 4], 20)])
    word = np.concatenate([[-1], np.repeat(range(4), 20)])
    guess = y.copy()
    guess[0] = 5  # silence does not count
    guess[[1, 2, 21]] = 7  # the first tenth of the first word, and half of that of the second
    guess[61:81] = SILENCE  # the last word is not heard at all; 9 is its second choice
    p = 0.9 * np.eye(11)[guess] + 0.01
    p[61:80, 9] += 0.02
    p[80, 4] += 0.03  # though its last frame says 4
    p[41:61, SILENCE] = 0.9  # the third is 3, but for silence, which is no digit
    tests = [(np.zeros((81, 26)), y, word)]
    learned = []

    def learn(net, context, train, valid, seed):
        learned.append((net, context, train, valid, seed))
        return torch.nn.Linear(2, 3), {10: 0.5, 20: 0.25, 30: 0.75, 40: 0.5}[context], context

    monkeypatch.setattr(framewise, "data", lambda job: ("train", "valid", tests, "c"))
    monkeypatch.setattr(framewise, "learn", learn)
    monkeypatch.setattr(framewise, "posteriors", lambda model, xs: [p] * len(xs))
    found = framewise.outcome({"speaker": "theo", "seed": 6, "method": "linear, window"})
    assert learned == [("linear", n, "train", "valid", 6) for n in (10, 20, 30, 40)]
    assert (found["context"], found["best"], found["parameters"]) == (20, 20, 9)
    assert found["validation"] == {"10": 0.5, "20": 0.25, "30": 0.75, "40": 0.5}
    assert (found["wrong"], found["frames"]) == ([23], [80])
    confusion = np.zeros((11, 11), int)
    np.add.at(confusion, (y, guess), 1)
    assert found["confusion"] == confusion.tolist() and confusion[1, 7] == 2
    assert found["tenths"] == [[5, 8]] + [[2, 8]] * 9
    assert found["words"] == [3, 4]  # the last word is taken for a 9


# Strings of digits


def person(name, seed, many=50):
    rng = np.random.default_rng(seed)
    waves = [rng.normal(size=800 + 16 * k).astype(np.float32) for k in range(many)]
    return Person(name, Recordings(waves, np.arange(many) % 10))


def test_an_utterance_sounds_as_its_ways_say(monkeypatch):
    waves = [np.sin(np.arange(2400) * f) for f in (0.3, 0.7, 1.1)]
    digits = np.array([4, 0, 9])
    plain = digit_strings.utterance(waves, digits, (), np.random.default_rng(0))
    lengths = plain.ends - plain.starts  # hundredths of a second: 0.3 s are 30 frames
    assert lengths.tolist() == [30, 30, 30] and plain.ends[-1] <= len(plain.x) + 3
    np.testing.assert_allclose(plain.x.mean(0), 0, atol=1e-4)
    factors = set()
    for seed in range(20):
        fast = digit_strings.utterance(waves, digits, ("speed",), np.random.default_rng(seed))
        factors |= {30 / n for n in fast.ends - fast.starts}
    assert 0.8 < min(factors) < 0.95 and 1.05 < max(factors) < 1.25
    masked = digit_strings.utterance(waves, digits, ("mask",), np.random.default_rng(0))
    np.testing.assert_array_equal(masked.x[masked.x != 0], plain.x[masked.x != 0])
    assert (masked.x == 0).mean() > 0.015 and (plain.x == 0).mean() < 0.01
    steps = digit_strings.steps(plain.x)  # four frames each
    np.testing.assert_array_equal(steps[1], plain.x[4:8].ravel())
    noisy = digit_strings.utterance(waves, digits, ("noise",), np.random.default_rng(0))
    assert noisy.x.shape == plain.x.shape and 0.05 < np.abs(noisy.x - plain.x).mean() < 1.5
    levels = []
    monkeypatch.setattr(
        digit_strings, "add_noise", lambda wave, level, _: levels.append(level) or wave
    )
    for seed in range(20):
        digit_strings.utterance(waves, digits, ("noise",), np.random.default_rng(seed))
    assert 10 < min(levels) < 15 and 35 < max(levels) < 40  # decibels below the voice


def test_a_room_has_silence_noise_and_a_loudness():
    rng, tone = np.random.default_rng(0), np.sin(np.arange(8000) * 0.5)
    before, after, peaks, ratios, colors = [], [], [], [], []
    for _ in range(300):
        sound, silence = digit_strings.in_a_room(tone, rng)
        before.append(silence / 8000)
        after.append((len(sound) - silence) / 8000 - 1)
        peaks.append(np.abs(sound).max())
        said = sound[silence : silence + 8000] @ tone / (tone @ tone) * tone
        noise = np.delete(sound, range(silence, silence + 8000))
        whole = np.mean(said**2) * 8000 / len(sound)
        ratios.append(10 * np.log10(whole / np.mean(noise**2)))
        colors.append(noise[1:] @ noise[:-1] / (noise @ noise))
    for found, low, high in ((np.log(peaks), np.log(0.02), 0), (colors, 0, 0.95)):
        width = high - low
        assert low - 0.05 * width < min(found) < low + 0.05 * width
        assert high - 0.05 * width < max(found) < high + 0.05 * width
        assert abs(np.mean(found) - (low + high) / 2) < 0.06 * width
    assert 3 < min(ratios) < 9 and 56 < max(ratios) < 62 and 30 < np.mean(ratios) < 35
    for found in (before, after):  # at most as long as is drawn first: one half of it on average
        assert min(found) < 0.05 and 1.7 < max(found) < 2 and 0.4 < np.mean(found) < 0.6
    assert sound.dtype == np.float32 and 0.2 < np.corrcoef(before, after)[0, 1] < 0.7


def test_in_a_room_strings_are_longer_and_of_other_lengths():
    recordings = person("a", 0).recordings
    found = digit_strings.strings(recordings, ("room",), np.random.default_rng(0))
    assert sorted(len(string.digits) for string in found) == sorted([1, 2, 3, 4, 5, 10] * 2)
    own = {len(wave) / 80: digit for wave, digit in zip(*recordings, strict=True)}
    for string in found:
        heard = [own[round(n, 6)] for n in (string.ends - string.starts).tolist()]
        assert heard == string.digits.tolist()
        assert 0 <= string.starts[0] <= 260 and -3 <= len(string.x) - string.ends[-1] <= 260
        np.testing.assert_allclose(string.x.mean(0), 0, atol=1e-4)
    gaps = [max([0, *(string.starts[1:] - string.ends[:-1])]) for string in found]
    assert 0 < np.median(gaps) < 30 < max(gaps) <= 60
    waves, digits = [np.sin(np.arange(2400) * 0.7)], np.array([4])
    factors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        fast = digit_strings.utterance(waves, digits, ("speed", "room"), rng)
        factors += (30 / (fast.ends - fast.starts)).tolist()
    assert 0.73 < min(factors) < 0.8 and 1.25 < max(factors) < 1.36


def test_a_string_has_the_digits_of_its_waves():
    recordings = person("a", 0).recordings
    found = digit_strings.strings(recordings, (), np.random.default_rng(1))
    own = {len(wave) / 80: digit for wave, digit in zip(*recordings, strict=True)}
    for string in found:
        heard = [own[round(n, 6)] for n in (string.ends - string.starts).tolist()]
        assert heard == string.digits.tolist()
    assert digit_strings.said(found)[0] == " ".join(map(str, found[0].digits))
    order = np.concatenate([string.ends - string.starts for string in found])
    assert (np.diff(order) < 0).sum() > 10  # in random order
    counts = [len(string.digits) for string in found]
    assert counts != sorted(counts)
    many = person("a", 0, 100).recordings
    assert len(digit_strings.takes(many, range(3)).waves) == 6  # 3 of each fifty


@pytest.mark.parametrize("framewise_too", [False, True])
def test_a_network_hears_every_recording_once_an_epoch(framewise_too, fit, monkeypatch):
    monkeypatch.setattr(
        digit_networks, "SETTINGS", digit_networks.SETTINGS | {"versions": 2, "B": 4}
    )
    people = [person("a", 0), person("b", 1)]
    model, losses = digit_networks.train(people, ("noise",), 5, 6, framewise_too)
    called, options = fit.called, fit.called.options
    assert losses == [3, 2, 1] and called.model is model
    sizes = (model.lstm.input_size, model.lstm.hidden_size, model.readout.out_features)
    assert sizes == (4 * 26, digit_networks.SETTINGS["H"], 11)
    assert (options.epochs, options.clip, options.batch_dim, options.seed) == (6, 5, (1, 0), 5)
    assert called.loss is (digit_networks.frame_loss if framewise_too else recogniser.loss)
    updates = [rate / 0.007 for rate in rates(options, 30)]
    assert np.argmax(updates) == 3 and 0.99 < max(updates) <= 1 and updates[-1] < 0.01
    epochs = []
    for epoch in range(3):
        spoken = [
            s for p in people for s in digit_networks.one_version(p, ("noise",), 5, epoch % 2)
        ]
        key = {x.tobytes(): (y, k) for x, y, k in spoken}
        met, order = [], []
        for (x, lengths), (y, own, many) in called.batches(epoch):
            assert torch.equal(lengths, own) and len(lengths) == 4
            assert lengths.max() - lengths.min() <= 30
            for b, n in enumerate(lengths.tolist()):
                digits, classes = key[x[:n, b].numpy().tobytes()]
                wanted = classes + 1 if framewise_too else digits
                assert y[b, : many[b]].tolist() == wanted.tolist()
                met.append(x[:n, b].numpy().tobytes())
            order.append(lengths.float().mean().item())
        assert sorted(met) == sorted(key)
        epochs.append((set(met), order))
    assert epochs[0][0] == epochs[2][0] != epochs[1][0]
    assert epochs[0][1] != epochs[2][1] and epochs[0][1] != sorted(epochs[0][1])
    drawn = digit_strings.strings(
        people[0].recordings, ("noise",), np.random.default_rng([5, 0, *b"a"])
    )
    x, transcript, classes = digit_networks.one_version(people[0], ("noise",), 5, 0)[0]
    np.testing.assert_array_equal(x, digit_strings.steps(drawn[0].x))
    assert transcript.tolist() == (drawn[0].digits + 1).tolist()
    assert classes.tolist() == digit_strings.per_step(drawn[0]).tolist()
    assert not np.array_equal(x, digit_networks.one_version(people[0], ("noise",), 6, 0)[0][0])


def test_what_is_heard_is_read_off_the_probabilities(monkeypatch):
    path = [0, 3, 3, 3, 3, 0, 0, 5, 5, 5, 5, 5]
    sure = np.log(0.9 * np.eye(11)[path] + 0.01)
    unsure = np.log(np.array([[0.6, 0.4] + [0.0] * 9] * 2) + 1e-9)  # the best path is empty
    spoken = [String(np.zeros((8, 26)), np.array([2, 4]), None, None)] * 2
    monkeypatch.setattr(digit_networks, "log_probabilities", lambda model, xs: [sure, unsure])
    assert digit_networks.read(None, spoken) == {
        "said": ["2 4", "2 4"], "greedy": ["2 4", ""], "beam": ["2 4", "0"]
    }  # fmt: skip
    sure[4:6] = sure[0]  # a run of three is too short
    assert digit_networks.read(None, spoken, True) == {"said": ["2 4", "2 4"], "greedy": ["4", ""]}


PEOPLE = {name: person(name, k, 500) for k, name in enumerate(SPEAKERS)}


@pytest.fixture
def heard(monkeypatch):
    """Who is trained on and how, and what is read."""
    trained, asked = [], []
    monkeypatch.setattr(spoken_digits, "fsdd", lambda: (PEOPLE, "c"))
    monkeypatch.setattr(
        spoken_digits, "strings", lambda r, ways, rng: (r, ways, rng.bit_generator.state)
    )
    monkeypatch.setattr(
        spoken_digits, "train", lambda *call: trained.append(call) or ("model", [1.23456])
    )
    monkeypatch.setattr(
        spoken_digits, "read", lambda *call: asked.append(call) or {"said": [len(asked)]}
    )
    monkeypatch.setattr(spoken_digits, "picture", lambda model: "picture")
    spoken_digits.rest_of.cache_clear()
    yield trained, asked
    spoken_digits.rest_of.cache_clear()


@pytest.mark.parametrize("method", ["plain", "all", "speed", "noise", "mask", "framewise"])
def test_who_is_tested_was_never_heard(method, heard):
    trained, asked = heard
    found = spoken_digits.outcome({"method": method, "speaker": "theo", "seed": 7})
    ((people, ways, seed, epochs, framewise_too),) = trained
    assert people == [PEOPLE[name] for name in SPEAKERS if name != "theo"]
    ways_of = {"all": {"speed", "noise", "mask"}, "plain": set(), "framewise": set()}
    assert {*ways} == ways_of.get(method, {method}) and (seed, epochs) == (7, 60)
    assert framewise_too == (method == "framewise") and ("picture" in found) == (method == "all")
    assert [call[0] for call in asked] == ["model"] * 2
    assert {call[2] for call in asked} == {method == "framewise"}
    (own, ways, state), (asterisk, _, _) = (call[1] for call in asked)
    takes = digit_strings.takes(PEOPLE["theo"].recordings, range(25))
    assert all(map(np.array_equal, own.waves, takes.waves)) and ways == ()
    assert state == np.random.default_rng(0).bit_generator.state
    assert len(asterisk.waves) == 100 and list(found["heard"]) == ["theo", "asterisk"]
    assert all(asterisk.waves[k] is asterisk.waves[k % 10] for k in range(100))
    assert asterisk.digits.tolist() == [*range(10)] * 10 and found["training"] == [1.235]


def test_who_shares_a_voice_shares_other_takes(heard):
    trained, asked = heard
    found = spoken_digits.outcome({"method": "shared", "seed": 7})
    ((people, ways, seed, epochs, _),) = trained
    assert list(found["heard"]) == [*SPEAKERS, "asterisk"] and (ways, epochs) == ((), 100)
    for one, (_, (tested, _, _), _) in zip(people, asked, strict=False):
        learned = {wave.tobytes() for wave in one.recordings.waves}
        assert len(learned) == 250 and not learned & {wave.tobytes() for wave in tested.waves}
    assert len({one.name for one in people}) == 6


def test_templates_are_the_recordings_of_the_others(monkeypatch):
    pieces = []
    x = np.arange(24.0).reshape(12, 2)
    string = String(x, np.array([7, 2]), np.array([2.0, 7.9]), np.array([6.0, 11.1]))
    monkeypatch.setattr(spoken_digits, "strings", lambda *call: [string])
    monkeypatch.setattr(spoken_digits, "Templates", lambda *call: pieces.append(call))
    spoken_digits.templates([person("a", 0)])
    ((found, words),) = pieces
    steps = x.reshape(6, 4)  # two frames are a step
    assert words == [8, 3]
    assert [piece.tolist() for piece in found] == [steps[1:3].tolist(), steps[3:6].tolist()]


def test_a_penalty_is_chosen_on_takes_and_people_apart(heard, monkeypatch):
    trained, asked = heard
    books, tried = [], []
    monkeypatch.setattr(
        spoken_digits, "templates", lambda people: books.append(people) or len(books)
    )
    monkeypatch.setattr(spoken_digits, "strings", lambda r, ways, rng: [r] * 99)

    def by_templates(book, spoken, penalty):
        tried.append((book, spoken, penalty))
        return {"said": ["1 2 3"], "greedy": ["1 2 3" if penalty == 10 else "1 2"]}

    monkeypatch.setattr(spoken_digits, "by_templates", by_templates)
    found = spoken_digits.outcome({"method": "templates", "speaker": "george"})
    others = [PEOPLE[name] for name in SPEAKERS if name != "george"]
    assert found["penalty"] == 10 and books == [others[1:], others] and not trained
    *choice, (book, spoken, penalty) = tried
    assert [penalty for *_, penalty in choice] == [0, 5, 10, 20, 40] and (book, penalty) == (2, 10)
    rest = digit_strings.takes(others[0].recordings, range(25, 50))
    for _, spoken, _ in choice:
        assert len(spoken) == 20 and all(map(np.array_equal, spoken[0].waves, rest.waves))
    assert list(found["heard"]) == ["george"]
    assert jiwer.wer("1 2 3", "1 2") > 0


def test_a_picture_shows_probabilities(monkeypatch):
    shown = []
    monkeypatch.setattr(
        spoken_digits,
        "log_probabilities",
        lambda model, xs: shown.append(xs) or [np.log([[0.25, 0.75]])],
    )
    assert spoken_digits.picture("model") == [[0.25, 0.75]] and len(shown[0]) == 1


# Lists of guesses


def test_a_recogniser_of_words_is_trained_in_the_voices_for_training(fit, monkeypatch):
    spoken = []
    monkeypatch.setattr(
        nbest,
        "recordings",
        lambda *call: spoken.append(call) or [np.zeros((5, 8), np.float32)] * 40,
    )
    texts = ["the baker", "who ate at two"] * 20
    nbest.train(texts, 3)
    called, options = fit.called, fit.called.options
    ((heard, voices, rng),) = spoken
    assert heard is texts and voices is nbest.VOICES["train"]
    assert rng.bit_generator.state == np.random.default_rng([2, 3]).bit_generator.state
    assert (options.epochs, options.clip, options.seed) == (8, 5.0, 3)
    assert np.argmax(rates(options, 16)) in (4, 5) and rates(options, 16)[-1] < 1e-4
    for _, (y, _, many) in called.batches(0):
        for row, n in zip(y.tolist(), many.tolist(), strict=True):
            assert " ".join(nbest.WORDS[k - 1] for k in row[:n]) in texts


def test_noise_is_some_decibels_below_the_voice(monkeypatch):
    waves, asked = [], []

    class Spoken:
        wave = 8 * np.sin(np.arange(8000))

    monkeypatch.setattr(nbest, "speak", lambda *call: asked.append(call) or Spoken)
    monkeypatch.setattr(
        nbest,
        "log_mel",
        lambda wave, *_: waves.append(wave) or np.outer(np.arange(8.0), [1, 2]) + [3, 9],
    )
    found = nbest.recordings(["a"] * 5, ["v", "w"], np.random.default_rng(0))
    assert [voice for _, voice, _ in asked] == ["v", "w", "v", "w", "v"]
    rng = np.random.default_rng(0)
    for wave in waves:
        decibels, _ = rng.uniform(5, 15), rng.normal(size=8000)
        ratio = Spoken.wave.var() / (wave - Spoken.wave).var()
        assert 10 * np.log10(ratio) == pytest.approx(decibels, abs=0.3)
    steps = (np.outer(np.arange(8.0) - 3.5, [1, 2]) / 3).reshape(2, 8)
    np.testing.assert_allclose(found[0], steps)


def test_lists_are_of_the_parts_and_voices_that_were_not_trained_on(monkeypatch):
    parts = {
        "train": ["the baker", "who ate"],
        "valid": ["the baker"],
        "test": ["who ate", "the cook"],
        "outside": ["ate who the"],
    }
    trained, spoken = [], []
    monkeypatch.setattr(nbest, "material", lambda seed: dict(parts))
    monkeypatch.setattr(nbest, "train", lambda *call: trained.append(call) or ("model", [1.0]))

    def recordings(texts, voices, rng):
        spoken.append((texts, voices, rng.bit_generator.state["state"]["state"]))
        return texts

    def log_probabilities(model, heard):
        path = [[0, *(1 + nbest.WORDS.index(w) for w in text.split()), 0] for text in heard]
        return [np.log(0.9 * np.eye(65)[row] + 0.1 / 65) for row in path]

    monkeypatch.setattr(nbest, "recordings", recordings)
    monkeypatch.setattr(recogniser, "log_probabilities", log_probabilities)
    found = nbest.outcome({"seed": 2})
    ((texts, seed),) = trained
    assert seed == 2 and [sorted(text.split()) for text in texts] == [
        ["baker", "the"],
        ["ate", "who"],
    ]
    shuffled = [
        nbest.shuffled(np.random.default_rng([4, k]), t) for k, t in enumerate(parts["train"])
    ]
    assert texts == shuffled
    assert [voices for _, voices, _ in spoken] == [
        nbest.VOICES[p] for p in ("valid", "test", "test")
    ]
    assert spoken[0][2] == np.random.default_rng([3, 2]).bit_generator.state["state"]["state"]
    for part, own in parts.items():
        for text, one in zip(own, found.get(part, []), strict=part != "train"):
            letters = "".join(nbest.LETTERS[nbest.WORDS.index(word)] for word in text.split())
            assert one["said"] == one["heard"][0] == letters and one["errors"][0] == 0
            assert one["errors"] == [nbest.errors(letters, other) for other in one["heard"]]
    assert "train" not in found and "test steps" not in found
    assert len(nbest.outcome({"seed": 0})["test steps"]) == 2
    assert nbest.errors("a", "abc") == 2


def test_only_sure_blanks_become_one():
    blank = np.array([0.9995, 0.9995, 0.99, 0.99, 0.9995, 0.5, 0.9995, 0.9995])
    log_p = np.log(np.stack([blank, 1 - blank], 1))
    np.testing.assert_array_equal(nbest.compact(log_p), log_p[[0, 2, 3, 4, 5, 6]].round(2))


def test_the_words_outside_are_in_another_order():
    parts = nbest.material(0)
    grammar = nbest.sentences(np.random.default_rng(0), 550)
    ours, theirs = parts["outside"], grammar[450:]
    assert [sorted(text.split()) for text in ours] == [sorted(text.split()) for text in theirs]
    assert sum(a != b for a, b in zip(ours, theirs, strict=True)) > 80


def test_who_speaks_into_a_microphone_was_never_heard(monkeypatch):
    ways, trained = ("speed", "room"), []
    monkeypatch.setattr(microphone, "fsdd", lambda: (PEOPLE, "c"))
    monkeypatch.setattr(
        microphone, "train", lambda *call: trained.append(call) or ("model", [1.23456])
    )
    monkeypatch.setattr(microphone, "spoken_by", lambda person, ways: (person, ways))
    monkeypatch.setattr(microphone, "asterisk", lambda ways: ("asterisk", ways))
    monkeypatch.setattr(microphone, "understood", lambda model, spoken: (model, *spoken))
    found = microphone.outcome({"speaker": "lucas", "seed": 7})
    others = [PEOPLE[name] for name in SPEAKERS if name != "lucas"]
    assert trained == [(others, ways, 7, 50)] and found["training"] == [1.235]
    assert found["heard"] == {
        "lucas": ("model", PEOPLE["lucas"], ("room",)),
        "asterisk": ("model", "asterisk", ("room",)),
    }
    found = microphone.outcome({"speaker": microphone.NOBODY, "seed": 3})
    assert found["heard"].keys() == {"asterisk"}
    assert trained[1] == ([PEOPLE[name] for name in SPEAKERS], ways, 3, 50)
    assert len(microphone.jobs(range(2))) == 14


def test_strings_in_a_room_are_tested_by_best_path(monkeypatch):
    recordings = PEOPLE["theo"].recordings
    (room, plain) = (spoken_digits.spoken_by(PEOPLE["theo"], ways=w) for w in (("room",), ()))
    kept = digit_strings.takes(recordings, range(25)).digits
    for strings in (room, plain):
        assert sorted(np.concatenate([s.digits for s in strings])) == sorted(kept)
    assert max(len(s.digits) for s in room) == 10 and max(len(s.digits) for s in plain) == 7
    assert max(len(s.digits) for s in spoken_digits.asterisk(("room",))) == 10
    monkeypatch.setattr(microphone, "greedy", lambda model, xs: [(model, len(x)) for x in xs])
    found = microphone.understood(5, room[:2])
    assert found["said"] == digit_strings.said(room[:2])
    assert found["greedy"] == [f"4 {-(-len(s.x) // 4) - 1}" for s in room[:2]]
