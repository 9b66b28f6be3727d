"""The memory network against its equations word by word, and both readers against filling."""

import numpy as np
import pytest
import torch

from companion.data import padded
from companion.models.memory_network import MemoryNetwork, Reader, sentence_vectors
from companion.tasks.stories import WORDS, numbered, stories

K, D = len(WORDS), 5


@pytest.fixture
def batch():
    rows, answers = numbered(stories(np.random.default_rng(0), 6, 2))
    return next(padded(rows, answers, 6)(0))[0]


def network(kind):
    torch.manual_seed(1)
    model = Reader(K, D, 7) if kind == "reader" else MemoryNetwork(K, D, kind, 20)
    for value in model.parameters():
        torch.nn.init.uniform_(value, -0.7, 0.7)  # so that weights are far from even
    return model.double()


def by_hand(model, rows):
    """Logits and weights of one story (S + 1, W), in plain loops."""
    C, T = ([v.detach().numpy() for v in part] for part in (model.words, model.ages))

    def vector(matrix, sentence):
        words = [k for k in sentence if k > 0]
        total = np.zeros(D)
        for j, word in enumerate(words, 1):
            for d in range(1, D + 1):
                place = (1 - j / len(words)) - d / D * (1 - 2 * j / len(words))
                total[d - 1] += place * matrix[word, d - 1]
        return total

    *story, question = rows
    u, looked = vector(C[0], question), []
    for k in range(len(C) - 1):
        m = [vector(C[k], s) + T[k][len(story) - 1 - n] for n, s in enumerate(story)]
        c = [vector(C[k + 1], s) + T[k + 1][len(story) - 1 - n] for n, s in enumerate(story)]
        e = np.exp([u @ v for v in m])
        p = e / e.sum()
        u = u + sum(weight * v for weight, v in zip(p, c, strict=True))
        looked.append(p)
    return C[-1] @ u, looked


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_network_is_its_equations(hops, batch):
    model, (rows, lengths) = network(hops), batch
    logits, weights = model.look(batch)
    assert weights.shape == (hops, len(rows), 6)
    for b, n in enumerate(lengths):
        expected, looked = by_hand(model, rows[:n, b].numpy())
        # the same sums in another order, of at most some hundred terms of size 1
        assert np.allclose(logits[b].detach(), expected, rtol=0, atol=1e-12)
        for hop in range(hops):
            assert np.allclose(weights[hop, : n - 1, b].detach(), looked[hop], rtol=0, atol=1e-12)
            assert (weights[hop, n - 1 :, b] == 0).all(), "neither the question nor filling"


@pytest.mark.parametrize("kind", [1, 3, "reader"])
def test_a_story_alone_gives_what_it_gives_in_a_batch(kind, batch):
    model, (rows, lengths) = network(kind), batch
    together = model(batch)
    more = torch.cat([rows, torch.zeros((2, 6, 7), dtype=torch.int64)]), lengths
    assert torch.allclose(model(more), together, rtol=0, atol=1e-12)
    for b, n in enumerate(lengths):
        alone = model((rows[:n, b : b + 1], lengths[b : b + 1]))
        assert torch.allclose(alone[0], together[b], rtol=0, atol=1e-12)


def test_order_of_words_and_of_sentences_counts(batch):
    model, (rows, lengths) = network(2), batch
    n = int(lengths[0])
    story = rows[:n, :1].clone()
    turned = story.clone()
    turned[: n - 1] = story[: n - 1].flip(0)
    one = torch.tensor([n])
    assert not torch.allclose(model((story, one)), model((turned, one)), atol=1e-3)
    words = model.words[0]
    sentence = story[0, 0]
    backwards = torch.cat([sentence[sentence > 0].flip(0), sentence[sentence == 0]])
    assert not torch.allclose(sentence_vectors(words, sentence), sentence_vectors(words, backwards))


def test_linear_start_is_for_training_only(batch):
    model = network(2)
    model.linear = True
    weights = model.train().look(batch)[1]
    assert (weights < 0).any()
    (rows, lengths) = batch
    for b, n in enumerate(lengths):
        assert (weights[:, n - 1 :, b] == 0).all()
    total = model.eval().look(batch)[1].sum(1)
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [2, "reader"])
def test_every_parameter_has_a_gradient_that_differences_confirm(kind, batch):
    model = network(kind)
    y = torch.arange(1, 7)

    def cost():
        return torch.nn.functional.cross_entropy(model(batch), y)

    cost().backward()
    eps = 1e-6
    for name, value in model.named_parameters():
        flat, slope = value.data.view(-1), value.grad.view(-1)
        k = int(slope.abs().argmax())
        assert slope[k].abs() > 1e-5, name
        kept = flat[k].item()
        flat[k] = kept + eps
        up = cost().item()
        flat[k] = kept - eps
        down = cost().item()
        flat[k] = kept
        # rounding 1e-16 / eps, and eps² times a third derivative of about 1
        assert abs((up - down) / (2 * eps) - slope[k].item()) < 1e-8, name


def test_bad_input(batch):
    with pytest.raises(ValueError, match="hops must be at least 1, got 0"):
        MemoryNetwork(K, D, 0, 20)
    with pytest.raises(ValueError, match="at most 2 sentences, got"):
        MemoryNetwork(K, D, 1, 2)(batch)
