"""Networks that label frames: what they hear, what they count, and their batches."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from companion.models.framewise import (  # noqa: E402
    NO_LABEL,
    Recurrent,
    Window,
    labelled,
    loss,
    posteriors,
)

D, K, LENGTHS = 3, 4, (12, 7, 1)
NETS = {
    "linear": lambda: Window(D, K, 2),
    "window": lambda: Window(D, K, 2, 5),
    "lstm": lambda: Recurrent(D, K, 5),
    "delayed": lambda: Recurrent(D, K, 5, delay=3),
    "both": lambda: Recurrent(D, K, 5, bidirectional=True),
}
# Frames before and after a frame that its label may depend on.
HEARD = {"linear": (2, 2), "window": (2, 2), "lstm": (99, 0), "delayed": (99, 3), "both": (99, 99)}


@pytest.fixture(params=NETS)
def name(request):
    torch.manual_seed(0)
    return request.param


@pytest.fixture
def recordings():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((T, D)).astype(np.float32) for T in LENGTHS]


def test_a_label_depends_on_the_frames_that_are_heard_and_on_no_other(name, recordings):
    net, t = NETS[name](), 6
    x = torch.from_numpy(recordings[0])[:, None].requires_grad_()
    net((x, torch.tensor([12])))[t].sum().backward()
    moves = x.grad.abs().sum((1, 2)) > 0
    before, after = HEARD[name]
    assert moves.tolist() == [t - before <= s <= t + after for s in range(12)]


def test_company_in_the_batch_changes_nothing(name, recordings):
    net = NETS[name]()
    together = posteriors(net, recordings)
    assert [p.shape for p in together] == [(T, K) for T in LENGTHS]
    for p, x in zip(together, recordings, strict=True):
        assert np.allclose(p, posteriors(net, [x])[0], atol=1e-6)
        assert np.allclose(p.sum(1), 1, atol=1e-6)


def test_the_delayed_network_is_the_one_way_network_read_later(recordings):
    torch.manual_seed(1)
    late, net = Recurrent(D, K, 5, delay=3), Recurrent(D, K, 5)
    net.load_state_dict(late.state_dict())
    x = recordings[0]
    longer = np.concatenate([x, np.zeros((3, D), np.float32)])
    assert np.allclose(posteriors(late, [x])[0], posteriors(net, [longer])[0][3:], atol=1e-6)


def test_batches_hold_each_label_beside_its_frame(recordings):
    labels = [(x[:, 0] > 0).astype(int) for x in recordings]
    seen = 0
    for (x, lengths), y in labelled(recordings, labels, 2, seed=5)(0):
        assert x.shape[:2] == y.shape
        for b, T in enumerate(lengths.tolist()):
            assert torch.equal(y[:T, b], (x[:T, b, 0] > 0).long())
            assert (y[T:, b] == NO_LABEL).all() and (x[T:, b] == 0).all()
            seen += T
    assert seen == sum(LENGTHS)


def test_noise_is_new_in_every_epoch_repeats_and_spares_the_filling(recordings):
    labels = [np.zeros(len(x), int) for x in recordings]
    batches = labelled(recordings, labels, 3, noise=0.5)
    ((x, lengths), _), ((again, _), _) = next(batches(0)), next(batches(0))
    (other, _), _ = next(batches(1))
    (plain, _), _ = next(labelled(recordings, labels, 3)(0))
    assert torch.equal(x, again) and not torch.equal(x, other)
    inside = torch.arange(len(x))[:, None] < lengths
    assert (x[~inside] == 0).all()
    assert 0.3 < (x - plain)[inside].std() < 0.7  # 60 numbers of deviation 0.5


def test_the_loss_counts_frames_with_a_label_only():
    logits = torch.zeros(5, 2, K)
    y = torch.full((5, 2), NO_LABEL)
    y[:3, 0] = 1
    total, count = loss(logits, y)
    assert count == 3 and total.item() == pytest.approx(3 * np.log(K), rel=1e-6)
    logits[3:] = 50.0 * torch.arange(K)  # frames that do not count
    assert loss(logits, y)[0].item() == pytest.approx(3 * np.log(K), rel=1e-6)


def test_another_number_of_labels_is_refused(recordings):
    with pytest.raises(ValueError, match="labels must be one a frame, got 11 for 12 frames"):
        labelled(recordings[:1], [np.zeros(11, int)], 1)
    with pytest.raises(ValueError, match="0 sequences"):
        labelled([], [], 1)


def test_frames_before_the_present_are_refused():
    """A negative number would cut frames off, and say nothing."""
    with pytest.raises(ValueError, match="n must be at least 0 frames, got -1"):
        Window(D, K, -1)
    with pytest.raises(ValueError, match="delay must be at least 0 frames, got -3"):
        Recurrent(D, K, 5, delay=-3)


def test_the_experiment_keeps_speakers_and_takes_apart(monkeypatch):
    from book.experiments import framewise as experiment

    def marked():
        """Recordings whose every number says whose and which they are."""
        return {
            name: [(np.full((2, 26), 1000 * k + n), np.full(2, n // 50)) for n in range(500)]
            for k, name in enumerate(experiment.SPEAKERS)
        }, "checksum"

    def joined(parts, scale, known):
        return {name: [experiment.join(string) for string in own] for name, own in parts.items()}

    monkeypatch.setattr(experiment, "recordings", marked)
    monkeypatch.setattr(experiment, "scaled", joined)
    job = {"speaker": "theo", "seed": 0}
    for extra, learned, takes in (({}, range(4), 50), ({"known": True}, range(5), 40)):
        *parts, _ = experiment.data(job | extra)
        train, valid, test = (sorted(int(v) for x, _, _ in p for v in x[::2, 0]) for p in parts)
        assert train == [1000 * k + n for k in learned for n in range(500) if n % 50 < takes]
        assert valid == [5000 + n for n in range(500)]
        assert test == [4000 + n for n in range(500) if n % 50 >= takes % 50]
        for x, y, word in parts[2]:
            assert (y == x[:, 0] % 1000 // 50).all() and word.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_experiment_labels_as_speech_what_lies_between_loud_frames():
    from book.experiments.framewise import SILENCE, labels

    decibels = np.array([-40, -29, -50, 0, -29, -31, -60.0])
    features = np.repeat(decibels[:, None] / 10 * np.log(10), 26, axis=1)
    assert labels(features, 7).tolist() == [SILENCE, 7, 7, 7, 7, SILENCE, SILENCE]
