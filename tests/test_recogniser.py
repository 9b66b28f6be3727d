"""The recogniser: filling is not read, its loss is that of companion.ctc, and it learns."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from companion.ctc import ctc_loss  # noqa: E402
from companion.models import recogniser  # noqa: E402
from companion.train import Options, fit  # noqa: E402

RNG = np.random.default_rng(0)
RECORDINGS = [RNG.normal(size=(T, 3)).astype(np.float32) for T in (9, 5, 12)]
TRANSCRIPTS = [[1, 2], [3], [2, 2, 1]]


def model(seed=0, layers=1):
    torch.manual_seed(seed)
    return recogniser.Recogniser(3, 4, 5, layers)


def test_probabilities_add_up_and_filling_is_not_read():
    net = model(layers=2)
    together = recogniser.log_probabilities(net, RECORDINGS)
    for x, log_p in zip(RECORDINGS, together, strict=True):
        alone = recogniser.log_probabilities(net, [x])[0]
        assert log_p.shape == (len(x), 4)
        # float32, and sums whose order depends on the batch
        assert np.allclose(alone, log_p, rtol=0, atol=1e-5)
        assert np.allclose(np.exp(log_p).sum(1), 1, rtol=0, atol=1e-5)


def test_loss_is_that_of_the_book():
    net = model()
    x, y = next(recogniser.transcribed(RECORDINGS, TRANSCRIPTS, 3)(0))
    total, count = recogniser.loss(net(x), y)
    expected, _ = ctc_loss(net(x).detach().double().numpy(), TRANSCRIPTS, [9, 5, 12])
    assert count == 3 and np.isclose(total.item(), expected.sum(), rtol=1e-5, atol=0)


def test_batches_keep_recording_and_transcript_together():
    batches = recogniser.transcribed(RECORDINGS, TRANSCRIPTS, 2, seed=1)
    seen = []
    for (x, lengths), (y, again, many) in batches(3):
        assert torch.equal(lengths, again)
        for b, T in enumerate(lengths.tolist()):
            k = [len(r) for r in RECORDINGS].index(T)
            assert np.array_equal(x[:T, b], RECORDINGS[k])
            assert y[b, : many[b]].tolist() == TRANSCRIPTS[k]
            assert not y[b, many[b] :].any()
            seen.append(k)
    assert sorted(seen) == [0, 1, 2]


@pytest.mark.parametrize("wrong", [[], [2, 0], [-1]])
def test_transcripts_without_a_class_or_with_a_blank(wrong):
    with pytest.raises(ValueError, match="all above 0, got .* as number 1"):
        recogniser.transcribed(RECORDINGS, [[1], wrong, [3]], 2)
    with pytest.raises(ValueError, match="3 sequences, 2 labels"):
        recogniser.transcribed(RECORDINGS, [[1], [2]], 2)
    with pytest.raises(ValueError, match="0 sequences"):
        recogniser.transcribed([], [], 2)


def test_joined_keeps_every_frame():
    x = np.arange(10.0).reshape(5, 2)
    found = recogniser.joined(x, 2)
    assert found.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 8, 9]]
    assert np.array_equal(recogniser.joined(x, 1), x)
    with pytest.raises(ValueError, match="at least 1, got 2 and 0"):
        recogniser.joined(x[:0], 2)


def test_it_learns_to_spell_what_it_is_shown():
    net = model()
    batches = recogniser.transcribed(RECORDINGS, TRANSCRIPTS, 3, seed=0)
    options = Options(epochs=150, optimizer=partial(torch.optim.Adam, lr=0.03), batch_dim=(1, 0))
    history = fit(net, recogniser.loss, batches, options)
    assert history.train[-1] < 0.1 < 3 < history.train[0]
    assert recogniser.greedy(net, RECORDINGS, B=2) == [tuple(y) for y in TRANSCRIPTS]


@pytest.mark.parametrize("layers", [1, 2])
def test_both_ways_is_what_a_packed_batch_gives(layers):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 5, num_layers=layers, bidirectional=True).double()
    x, lengths = torch.randn(9, 4, 3).double(), torch.tensor([9, 1, 6, 7])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0])
    found = recogniser.both_ways(lstm, x, lengths)
    inside = (torch.arange(9)[:, None] < lengths)[..., None]
    assert torch.allclose(found * inside, expected, rtol=0, atol=1e-12)
    (expected * torch.arange(10)).sum().backward()
    wanted = [value.grad.clone() for value in lstm.parameters()]
    lstm.zero_grad()
    (found * inside * torch.arange(10)).sum().backward()
    for value, grad in zip(lstm.parameters(), wanted, strict=True):
        assert torch.allclose(value.grad, grad, rtol=0, atol=1e-10)
