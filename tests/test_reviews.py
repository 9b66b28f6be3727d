import numpy as np
import pytest
import torch
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from companion.data import fetch_imdb, load_glove, load_movie_snippets, padded, tokens
from companion.models.nbsvm import counter, naive_bayes, nbsvm, ngrams
from companion.models.sentiment import (
    PADDING,
    UNKNOWN,
    Bag,
    Reader,
    first_vectors,
    loss,
    numbered,
    vocabulary,
)


def test_snippets_are_there_and_no_sentence_is_in_two_parts():
    train, valid, test, card = load_movie_snippets()
    assert [len(part.texts) for part in (train, valid, test)] == [7418, 1084, 2103]
    assert sum(len(part.texts) for part in (train, valid, test)) == 10_605
    assert all(part.scores.shape == (len(part.texts),) for part in (train, valid, test))
    assert -4 <= min(part.scores.min() for part in (train, valid, test))
    assert 3.9 <= max(part.scores.max() for part in (train, valid, test)) <= 4
    known = dict(zip(train.texts, train.scores, strict=True))
    assert known["Effective but too tepid biopic"] == -0.6
    words = [{" ".join(w for w in tokens(t) if w.isalnum()) for t in part.texts}
             for part in (train, valid, test)]  # fmt: skip
    assert not (words[0] & words[1] or words[0] & words[2] or words[1] & words[2])
    assert "10,605" in card.size and len(card.checksum) == 64


def test_the_part_of_a_sentence_depends_on_its_words_alone():
    from companion.data.reviews import _part

    assert _part("A pretentious mess.") == _part("a pretentious, MESS")
    assert len({_part(f"film {k}") for k in range(200)}) == 10


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I don't, can't!", "i do n't , ca n't !"),
        ("Film's well-made...", "film 's well - made ..."),
        ("So''good''<br />they’d", 'so " good " they \'d'),
        ("It isn't 'it'", "it is n't ' it '"),
        ("", ""),
        ("café 1984", "café 1984"),
    ],
)
def test_words_are_cut_as_glove_cuts_them(text, wanted):
    assert tokens(text) == wanted.split()


def test_glove_knows_which_words_are_near():
    words, vectors, card = load_glove()
    assert words[:3] == ["the", ",", "."] and len(set(words)) == len(words) == 10_000
    assert vectors.shape == (10_000, 50) and vectors.dtype == np.float32
    # The first numbers of the original file, as far as half precision has them.
    assert np.allclose(vectors[0, :3], [0.418, 0.24968, -0.41242], atol=5e-4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = {
        word: [words[k] for k in np.argsort(-unit @ unit[words.index(word)])[1:4]]
        for word in ("france", "film")
    }
    assert "movie" in near["film"] and {"belgium", "french"} & set(near["france"])
    assert "n't" in words and "'s" in words and "PDDL" in card.licence


def write(folder, part, kind, name, text):
    place = folder / part / kind
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text, encoding="utf-8")


@pytest.fixture
def small(tmp_path):
    for part in ("train", "test"):
        for kind, star in (("pos", 9), ("neg", 2)):
            for number in (10, 2):
                write(tmp_path, part, kind, f"{number}_{star}.txt", f"{part} {kind} {number} é")
    write(tmp_path, "train", "unsup", "0_0.txt", "not read")
    (tmp_path / "train" / "labeledBow.feat").write_text("not read")
    return tmp_path


def test_imdb_is_read_in_the_order_of_its_numbers(small):
    train, test, card = fetch_imdb(small)
    assert train.texts == [f"train {k} {n} é" for k in ("pos", "neg") for n in (2, 10)]
    assert test.texts[0] == "test pos 2 é"
    assert train.scores.tolist() == [9, 9, 2, 2]
    assert "8 reviews" in card.size and "4 train, 4 test" in card.split
    write(small, "test", "neg", "2_2.txt", "other")
    assert fetch_imdb(small).card.checksum != card.checksum


def test_imdb_says_what_is_missing_or_wrong(small):
    (small / "test" / "pos" / "2_9.txt").unlink()
    assert "4 train, 3 test" in fetch_imdb(small).card.split
    (small / "test" / "pos" / "10_9.txt").unlink()
    with pytest.raises(FileNotFoundError, match="pos must have reviews"):
        fetch_imdb(small)
    write(small, "train", "neg", "nine_2.txt", "x")
    with pytest.raises(ValueError, match="<number>_<stars>.txt"):
        fetch_imdb(small)


def test_batches_of_like_length_have_every_sequence_once_with_its_label():
    rng = np.random.default_rng(0)
    texts = [np.full(n, n) for n in rng.integers(1, 40, 103)]
    labels = [int(text[0]) for text in texts]
    plain, alike = padded(texts, labels, 8, 0), padded(texts, labels, 8, 0, alike=5)
    seen, spread = [], {}
    for name, batches in (("plain", plain), ("alike", alike)):
        found = [(x, lengths, y) for (x, lengths), y in batches(1)]
        assert sorted(n for _, _, y in found for n in y.tolist()) == sorted(labels)
        for x, lengths, y in found:
            assert torch.equal(lengths, y) and torch.equal((x > 0).sum(0), lengths)
        seen.append([y.tolist() for _, _, y in found])
        spread[name] = sum(int(y.max() - y.min()) for _, _, y in found)
    assert spread["alike"] < 0.5 * spread["plain"]
    again = [y.tolist() for _, y in padded(texts, labels, 8, 0, alike=5)(1)]
    assert seen[1] == again != [y.tolist() for _, y in alike(2)]
    assert [len(y) for y in seen[1]].count(7) == 1  # 103 = 12 * 8 + 7
    falls = np.diff([np.mean(batch) for batch in seen[1]]) < 0
    assert falls.sum() > 2  # not from short to long in each of the three groups
    with pytest.raises(ValueError, match="alike must be"):
        padded(texts, labels, 8, alike=2)


TEXTS = [
    t.split() for t in ("good film", "not good", "good good fun", "bad", "bad film", "not bad")
]
LABELS = np.array([1, 0, 1, 0, 0, 1])


def test_runs_of_words():
    assert ngrams(["a", "b", "c"], 2) == ["a", "b", "c", "a b", "b c"]
    assert ngrams(["a"], 3) == ["a"] and ngrams([], 2) == []


@pytest.mark.parametrize("part", [slice(None), slice(0, 5)])
def test_naive_bayes_is_that_of_scikit_learn(part):
    count = counter(2)
    X = count.fit_transform(TEXTS[part])
    assert X.max() == 1
    weights, bias = naive_bayes(X, LABELS[part])
    library = MultinomialNB(alpha=1).fit(X, LABELS[part])
    logs = library.predict_log_proba(X)
    # Both compute in float64; sums of a few logarithms.
    assert np.allclose(X @ weights + bias, logs[:, 1] - logs[:, 0], atol=1e-12)


def test_nbsvm_lies_between_naive_bayes_and_its_machine():
    X = counter(2).fit_transform(TEXTS)
    ratio, _ = naive_bayes(X, LABELS)
    even, _ = nbsvm(X, LABELS, beta=0.0)
    assert np.allclose(even / ratio, (even / ratio)[0]) and (even / ratio)[0] > 0
    machine, bias = nbsvm(X, LABELS, C=100.0, beta=1.0)
    assert (((X @ machine + bias) > 0) == LABELS).all()
    half, _ = nbsvm(X, LABELS, C=100.0, beta=0.75)
    own, size = machine / ratio, np.abs(machine / ratio).mean()
    assert np.allclose(half, ratio * (0.75 * own + 0.25 * size))
    less, _ = nbsvm(X, LABELS, C=0.01, beta=1.0)
    assert np.abs(less).sum() < np.abs(machine).sum()


def test_nbsvm_has_no_bias_although_the_classes_are_unequal():
    X = counter(2).fit_transform(TEXTS[:5])
    ratio, unequal = naive_bayes(X, LABELS[:5])
    weights, bias = nbsvm(X, LABELS[:5], beta=1.0)
    assert unequal != 0 and bias == 0
    machine = LinearSVC(fit_intercept=False).fit(X.multiply(ratio), LABELS[:5])
    assert np.allclose(weights, ratio * machine.coef_[0], rtol=1e-3)  # its solver stops at 1e-4


def test_vocabulary_has_the_most_frequent_words_and_two_numbers_are_kept():
    assert vocabulary(TEXTS, 2) == {}
    with pytest.raises(ValueError, match="K must be at least 2, for PADDING and UNKNOWN, got 1"):
        vocabulary(TEXTS, 1)
    known = vocabulary(TEXTS, 5)
    assert known == {"good": 2, "bad": 3, "film": 4}
    assert [x.tolist() for x in numbered([["bad", "fun"], []], known)] == [[3, UNKNOWN], [UNKNOWN]]


def test_first_vectors_are_those_of_glove_where_it_has_the_word():
    glove = load_glove()
    known = {"film": 2, "xyzzyx": 3}
    drawn, given = (first_vectors(known, 50, np.random.default_rng(0), g) for g in (None, glove))
    assert np.array_equal(given[2], glove.vectors[glove.words.index("film")])
    assert np.array_equal(given[3], drawn[3]) and given.shape == (4, 50)


def networks():
    vectors = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    yield Bag(vectors)
    for both in (False, True):
        for pool in ("last", "mean"):
            yield Reader(vectors, 4, both, pool)


def test_filling_changes_no_score():
    """Each text alone, all together, and together with more filling: the same scores."""
    texts = [np.array(x) for x in ([3, 4, 5], [6], [7, 8, 2, 3, 1])]
    (x, lengths), y = next(padded(texts, [1, 0, 1], 3)(0))
    more = torch.cat([x, torch.full((4, 3), PADDING)])
    for model in networks():
        model.eval()
        together = model((x, lengths))
        alone = [model((torch.from_numpy(t)[:, None], torch.tensor([len(t)]))) for t in texts]
        # float32, other orders of a few sums
        assert torch.allclose(together, torch.cat(alone), atol=1e-6)
        assert torch.allclose(together, model((more, lengths)), atol=1e-6)
        assert loss(together, y).shape == ()
        loss(together, y).backward()
        assert not model.embedding.weight.grad[PADDING].any()


def test_what_is_dropped_while_training():
    texts = [np.array([3, 4, 5]), np.array([6])]
    batch, _ = next(padded(texts, [1, 0], 2)(0))
    for model, wanted in zip(
        networks(), [[(2, 6)]] + [[(3, 2, 6), (2, 4)]] * 2 + [[(3, 2, 6), (2, 8)]] * 2, strict=True
    ):
        shapes = []
        model.drop.register_forward_hook(lambda *parts, to=shapes: to.append(tuple(parts[2].shape)))
        model.drop.p = 1.0
        model.eval()(batch)
        assert len(set(model(batch).tolist())) == 2 and shapes == 2 * wanted
        assert torch.equal(model.train()(batch), model.readout.bias.expand(2))


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_the_running_score_is_that_of_every_beginning(pool):
    model = Reader(np.random.default_rng(1).standard_normal((9, 6)), 4, pool=pool).eval()
    words = np.array([3, 1, 4, 8, 5])
    wanted = [model((torch.from_numpy(words[: t + 1])[:, None], torch.tensor([t + 1])))
              for t in range(5)]  # fmt: skip
    assert np.allclose(model.running(words), torch.cat(wanted).detach(), atol=1e-6)


def test_a_reader_says_what_it_cannot_do():
    with pytest.raises(ValueError, match='"last" or "mean"'):
        Reader(np.zeros((3, 2)), 2, pool="max")
    with pytest.raises(ValueError, match="bidirectional"):
        Reader(np.zeros((3, 2)), 2, bidirectional=True).running([1])
