import numpy as np
import pytest
import torch

from companion.data.pairs import END, PAD, START, UNKNOWN, paired
from companion.decode import beam_search, greedy
from companion.models.translator import Translator, loss, searcher, translate

K, D, H = (11, 12), 5, 6
LENGTHS = [4, 1, 7, 3]


@pytest.fixture(params=[True, False], ids=["attention", "without"])
def model(request):
    torch.manual_seed(0)
    model = Translator(K, D, H, request.param).double().eval()
    for value in model.parameters():
        torch.nn.init.uniform_(value, -0.8, 0.8)  # so that outputs differ much
    return model


def batch():
    rng = np.random.default_rng(0)
    sources = [rng.integers(4, K[0], n) for n in LENGTHS]
    targets = [rng.integers(4, K[1], n) for n in (3, 6, 2, 5)]
    return next(iter(paired(sources, targets, 4)(0)))


def test_a_batch_of_unequal_lengths_equals_one_by_one(model):
    (source, lengths, read), _ = batch()
    together = model((source, lengths, read))
    more = torch.cat([source, torch.full((3, 4), 7)])  # filling that looks like words
    assert torch.allclose(model((more, lengths, read)), together, rtol=0, atol=1e-12)
    for b, n in enumerate(LENGTHS):
        alone = model((source[:n, b : b + 1], lengths[b : b + 1], read[:, b : b + 1]))
        assert torch.allclose(alone[:, 0], together[:, b], rtol=0, atol=1e-12)


def test_weights_sum_to_1_and_are_0_on_filling():
    torch.manual_seed(0)
    model = Translator(K, D, H).double()
    (source, lengths, read), _ = batch()
    memory = model.encode(source, lengths)
    state, weights = model.decode(memory, memory.state, model.target(read[0]))
    assert weights.shape == source.shape
    assert torch.allclose(weights.sum(0), torch.ones(4).double(), rtol=0, atol=1e-12)
    for b, n in enumerate(LENGTHS):
        assert (weights[n:, b] == 0).all() and (weights[:n, b] > 0).all()


def test_weights_by_hand():
    torch.manual_seed(1)
    model = Translator(K, D, H).double()
    (source, lengths, read), _ = batch()
    memory = model.encode(source, lengths)
    h, b, n = torch.randn(4, H).double(), 2, LENGTHS[2]
    (_, weights) = model.decode(memory, (h, h), model.target(read[0]))
    a = [
        model.score.weight[0]
        @ torch.tanh(model.query.weight @ h[b] + model.key.weight @ y + model.key.bias)
        for y in memory.ys[:n, b]
    ]
    assert torch.allclose(torch.stack(a).softmax(0), weights[:n, b], rtol=0, atol=1e-12)
    context = (weights[:n, b, None] * memory.ys[:n, b]).sum(0)
    x = torch.cat([model.target(read[0, b]), context])
    wanted = model.decoder(x[None], (h[b : b + 1], h[b : b + 1]))[0]
    found = model.decode(memory, (h, h), model.target(read[0]))[0][0][b]
    assert torch.allclose(found, wanted[0], rtol=0, atol=1e-12)


def test_one_step_at_a_time_equals_teacher_forcing(model):
    (source, lengths, read), y = batch()
    logits = model((source, lengths, read))
    logits[..., [PAD, START, UNKNOWN]] = -torch.inf
    wanted = logits.log_softmax(-1)
    for b, n in enumerate(LENGTHS):
        step, (state, token) = searcher(model, source[:n, b].numpy())
        assert token == START
        for t, word in enumerate(y[y[:, b] != PAD, b].tolist()):
            log_p, state = step(state, token)
            assert np.allclose(log_p, wanted[t, b].detach().numpy(), rtol=0, atol=1e-12)
            token = word


def test_a_batch_is_translated_as_greedy_search_does_it(model):
    (source, lengths, _), _ = batch()
    rows, weights = translate(model, source, lengths, limit=9)
    for b, n in enumerate(LENGTHS):
        step, start = searcher(model, source[:n, b].numpy())
        found = greedy(step, start, END, 9).tokens
        assert rows[b] == [k for k in found if k != END] and len(rows[b]) <= 9
        assert not {PAD, START, UNKNOWN} & {*rows[b]}
        best = beam_search(step, start, END, 9, 8)[0]
        assert best.score >= greedy(step, start, END, 9).score - 1e-12
    assert (weights is not None) == model.attention


def test_the_loss_counts_words_and_no_filling():
    (source, lengths, read), y = batch()
    logits = torch.randn(*y.shape, K[1], generator=torch.manual_seed(0)).double()
    total, count = loss(logits, y)
    by_hand = [
        -logits[t, b].log_softmax(0)[y[t, b]]
        for t in range(len(y))
        for b in range(4)
        if y[t, b] != PAD
    ]
    assert count == len(by_hand) == 3 + 6 + 2 + 5 + 4  # each ends with END
    assert torch.allclose(total, sum(by_hand), rtol=0, atol=1e-10)


def test_dropout_only_while_training():
    torch.manual_seed(0)
    model = Translator(K, D, H, dropout=0.5)
    x, _ = batch()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_a_translation_has_at_least_one_word(model):
    (source, lengths, _), _ = batch()
    with pytest.raises(ValueError, match="got 0"):
        translate(model, source, lengths, limit=0)
    rows, _ = translate(model, source, lengths, limit=1)
    assert max(map(len, rows)) <= 1


def test_the_decoder_starts_where_the_encoder_ended(model):
    (source, lengths, _), _ = batch()
    memory = model.encode(source, lengths)
    for b, n in enumerate(LENGTHS):
        ys, last = model.encoder(model.source(source[:n, b]))
        assert torch.allclose(memory.ys[:n, b], ys, rtol=0, atol=1e-12)
        for found, wanted in zip(memory.state, last, strict=True):
            assert torch.allclose(found[b], wanted[0], rtol=0, atol=1e-12)
