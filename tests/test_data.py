import hashlib
from functools import partial
from importlib.resources import files

import numpy as np
import pytest
import torch
from torch import nn

from companion import tasks
from companion.data import (
    draws,
    encode,
    load_japanese_vowels,
    load_result,
    packed,
    padded,
    shakespeare,
    streams,
    stretches,
)
from companion.nn import LSTM
from companion.train import Options, fit


def test_a_result_is_named_or_refused():
    assert load_result("gradient_norm")["runs"]
    with pytest.raises(ValueError, match="name must be one of .*'time_lag'.* got 'lag'"):
        load_result("lag")


def test_the_text_is_plain_english():
    text = shakespeare()
    assert 500_000 < len(text) < 600_000
    assert all(
        line in text for line in ("To be, or not to be", "Out, damned spot!", "wherefore art thou")
    )
    assert set(text) <= set(map(chr, range(32, 127))) | {"\n"}


def test_encode_is_undone_by_its_alphabet():
    numbers, alphabet = encode("hello")
    assert alphabet == "ehlo" and numbers.tolist() == [1, 0, 2, 2, 3]
    assert "".join(alphabet[k] for k in numbers) == "hello"
    assert encode("he", alphabet)[0].tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"got \['x'\]"):
        encode("xe", alphabet)


def test_streams_go_on_where_they_stopped():
    columns = streams(np.arange(11), 3)
    assert columns.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    with pytest.raises(ValueError, match="B must be in 1 … 2"):
        streams(np.arange(2), 3)
    numbers = np.arange(12)
    streams(numbers, 3)[:] = 0
    assert numbers.tolist() == list(range(12))  # a copy


def test_stretches_read_every_stream_to_its_end():
    batches = stretches(np.arange(23), 2, 4)
    for _ in range(2):  # every epoch anew
        pairs = list(batches(0))
        assert [len(x) for x, _ in pairs] == [4, 4, 2]
        x, y = (torch.cat(side) for side in zip(*pairs, strict=True))
        assert x.T.tolist() == [list(range(10)), list(range(11, 21))]
        assert torch.equal(y, x + 1)
    with pytest.raises(ValueError, match="numbers must be whole numbers, got float64"):
        stretches([0.2, 1.7, 2.9, 3.0], 2, 4)
    for numbers, n in ((np.arange(3), 4), (np.arange(9), 0)):
        with pytest.raises(ValueError, match="n must be at least 1 and streams at least 2 long"):
            stretches(numbers, 2, n)


def test_draws_are_the_same_for_an_epoch_and_other_for_the_next():
    batches = draws(partial(tasks.adding, T=7), 3, 2)
    one, again, other = (list(batches(epoch)) for epoch in (0, 0, 1))
    assert len(one) == 2
    rng = np.random.default_rng([0, 0])
    for (x, (targets, mask)), (same, _), (different, _) in zip(one, again, other, strict=True):
        for found, wanted in zip((x, targets, mask), tasks.adding(rng, 3, T=7), strict=True):
            assert np.array_equal(found, wanted)
        assert x.shape[1:] == (3, 2) and targets.shape[:2] == mask.shape == x.shape[:2]
        assert torch.equal(x, same) and x.shape != different.shape or not torch.equal(x, different)
    assert not torch.equal(one[0][0][:7], one[1][0][:7])


class Reader(nn.Module):
    """An LSTM and a linear layer, on vectors or on numbers of symbols."""

    def __init__(self, D, K, symbols):
        super().__init__()
        self.lstm, self.head, self.symbols = LSTM(D, 8), nn.Linear(8, K), symbols

    def forward(self, x, state=None):
        x = nn.functional.one_hot(x, self.lstm.input_size).float() if self.symbols else x
        ys, state = self.lstm(x, state)
        return (self.head(ys), state) if self.symbols else self.head(ys)


def test_fit_eats_both():
    adam = partial(torch.optim.Adam, lr=0.02)

    def masked(output, y):
        targets, mask = y
        return ((output - targets)[mask] ** 2).sum(), mask.sum()

    batches = draws(partial(tasks.adding, T=5), 16, 30)
    history = fit(Reader(2, 1, False), masked, batches, Options(epochs=4, optimizer=adam))
    assert history.train[-1] < 0.5 * history.train[0]

    def loss(output, y):
        return nn.functional.cross_entropy(output.flatten(0, 1), y.flatten())

    batches = stretches(np.tile([0, 1, 2], 40), 2, 5)
    options = Options(epochs=8, carry=True, optimizer=adam)
    history = fit(Reader(3, 3, True), loss, batches, options)
    assert history.train[-1] < 0.3 * history.train[0]


def test_the_vowels_are_those_that_were_published():
    train, test, card = load_japanese_vowels()
    assert np.bincount(train.labels).tolist() == [30] * 9
    assert np.bincount(test.labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    for split, count in ((train, 270), (test, 370)):
        assert len(split.sequences) == len(split.labels) == count
        lengths = {len(x) for x in split.sequences}
        assert 7 <= min(lengths) and max(lengths) <= 29
        assert all(x.shape[1] == 12 and x.dtype == np.float32 for x in split.sequences)
    # The first and the last number of the first utterance, as the files have them.
    first = train.sequences[0]
    assert len(first) == 20 and first[0, 0] == np.float32(1.860936)
    assert first[-1, -1] == np.float32(-0.175986) and first[0, 1] == np.float32(-0.207383)
    train.sequences[0][:] = 0
    assert load_japanese_vowels().train.sequences[0].any()  # a copy


def test_a_card_tells_source_licence_and_bytes():
    card = load_japanese_vowels().card
    content = files("companion.data").joinpath("japanese_vowels.npz").read_bytes()
    assert len(content) < 500_000
    assert card.checksum == hashlib.sha256(content).hexdigest()
    lines = str(card).splitlines()
    assert [line.split()[0] for line in lines] == list(card._fields)
    assert "licence   CC BY 4.0" in lines and max(map(len, lines)) <= 90


def unequal():
    lengths = [3, 1, 5, 2, 4]
    return [np.full((T, 2), k + 1, np.float32) for k, T in enumerate(lengths)], [4, 3, 2, 1, 0]


def test_padded_batches_hold_each_sequence_once_with_its_length_and_label():
    sequences, labels = unequal()
    batches = padded(sequences, labels, 2, seed=3)
    for epoch in range(3):
        seen = []
        for (x, lengths), y in batches(epoch):
            assert x.shape == (lengths.max(), len(y), 2) and len(y) <= 2
            for column, T, label in zip(x.unbind(1), lengths, y, strict=True):
                k = 4 - int(label)
                assert torch.equal(column[:T], torch.from_numpy(sequences[k]))
                assert not column[T:].any()
                seen.append(k)
        assert sorted(seen) == [0, 1, 2, 3, 4]

    def order(batches, epoch):
        return [int(k) for _, y in batches(epoch) for k in y]

    assert order(batches, 1) == order(batches, 1) == order(padded(sequences, labels, 3, 3), 1)
    assert len({tuple(order(batches, epoch)) for epoch in range(6)}) > 3
    assert (
        order(padded(sequences, labels, 2), 0) == order(padded(sequences, labels, 2), 7) == labels
    )
    small = np.array(labels, np.int32)
    assert [y.dtype for _, y in padded(sequences, small, 3)(0)] == [torch.int64] * 2
    for broken in (([], [], 2), (sequences, labels[:4], 2), (sequences, labels, 0)):
        with pytest.raises(ValueError, match="sequences must be at least one"):
            padded(*broken)
    with pytest.raises(ValueError, match="none empty"):
        padded([np.zeros((0, 2))], [0], 1)


def test_packed_hides_the_filling_from_the_layer():
    (x, lengths), _ = next(padded(*unequal(), 5)(0))
    layer = LSTM(2, 3)
    _, (h, _) = layer(packed(x, lengths))
    _, (h_filled, _) = layer(x)
    for k, T in enumerate(lengths):
        alone = layer(x[:T, k])[1][0]
        torch.testing.assert_close(h[:, k], alone, rtol=0, atol=1e-6)  # float32, sums reordered
    assert (h - h_filled).abs().max() > 0.01
    back, counts = torch.nn.utils.rnn.pad_packed_sequence(packed(x, lengths))
    assert torch.equal(back, x) and torch.equal(counts, lengths)
