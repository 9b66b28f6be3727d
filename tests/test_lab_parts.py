"""Experiments take each part of their data for what it is there for, and count to the end."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("sacrebleu")

import torch  # noqa: E402

from book.experiments import multi30k, nbest, number_words, state_tracking  # noqa: E402
from book.experiments import vectors_for_sentiment as few  # noqa: E402
from book.experiments.lab import texts  # noqa: E402


def by_model_1(english, german, rounds=10):
    """The likeliest German word of each English one: model 1 in loops over words."""
    english = [["<pad>", *words] for words in english]  # which is the empty word
    t = {(e, d): 1.0 for es, ds in zip(english, german, strict=True) for e in es for d in ds}
    for _ in range(rounds):
        counts = dict.fromkeys(t, 0.0)
        for es, ds in zip(english, german, strict=True):
            for d in ds:
                total = sum(t[e, d] for e in es)
                for e in es:
                    counts[e, d] += t[e, d] / total
        for e, d in t:
            t[e, d] = counts[e, d] / sum(c for (one, _), c in counts.items() if one == e)
    best = {}
    for (e, d), p in t.items():
        best[e] = max(best.get(e, (0, "")), (p, d))
    return {e: d for e, (_, d) in best.items()}


@pytest.mark.parametrize("seed", range(5))
def test_a_dictionary_is_that_of_model_1(seed):
    rng, said = np.random.default_rng(seed), {"en": [], "de": []}
    for _ in range(12):
        words = rng.choice(6, size=rng.integers(2, 5), replace=False)
        said["en"].append([f"e{w}" for w in words])
        # "so" stands in every German sentence and translates none of the words.
        said["de"].append([f"d{w}" for w in rng.permutation(words)] + ["so"] * rng.integers(1, 3))
    data = SimpleNamespace(words={("train", k): v for k, v in said.items()})
    found = multi30k.dictionary(data)
    assert found == by_model_1(said["en"], said["de"])


def test_the_nearest_sentence_is_weighed_by_the_training_part(monkeypatch):
    """There "dog" is rare and "man" is in nearly every sentence; in the test part both are rare."""
    english = ["a man in red", "the man eats", "one man sleeps", "old man there", "dog"]
    train = SimpleNamespace(en=english, de=[f"satz {k}" for k in range(len(english))])
    test = SimpleNamespace(en=["man dog", "dog"], de=["mann hund", "hund"])
    words = {
        (part, k): [line.split() for line in getattr(lines, k)]
        for part, lines in (("train", train), ("test", test))
        for k in ("en", "de")
    }
    data = SimpleNamespace(
        lines=SimpleNamespace(train=train, test=test), words=words, known={"en": set(), "de": set()}
    )
    monkeypatch.setattr(multi30k, "dictionary", lambda data: {})
    monkeypatch.setattr(multi30k, "scores", lambda own, references: {})
    fitted = []
    vectorizer = multi30k.TfidfVectorizer

    class Watched(vectorizer):
        def fit(self, lines):
            fitted.append(lines)
            return super().fit(lines)

    monkeypatch.setattr(multi30k, "TfidfVectorizer", Watched)
    found = multi30k.baselines(data)
    assert fitted == [english]
    assert found["examples"]["nearest sentence"] == ["satz 4", "satz 4"]


def test_a_word_ends_where_the_first_state_is_wrong():
    """Not where states begin to be wrong for good, nor by how many are."""
    table = state_tracking.TABLES["parity"]

    def net(xs):
        state, found = 0, []
        for t, symbol in enumerate(xs[:, 0].argmax(-1).tolist()):
            state = table[state, symbol]
            found.append(1 - state if t in (7, 9) else state)
        return torch.eye(2)[found][:, None]

    assert state_tracking.regular_words(net, "parity") == {"kept": 7, "repeated": 7}


def test_the_number_that_is_shown_is_in_no_other_part(monkeypatch):
    pytest.importorskip("num2words")
    shown, draw = number_words.SETTINGS["shown"], number_words.draw_numbers
    drawn = [shown, *draw(np.random.default_rng(3), 9000)]
    monkeypatch.setattr(number_words, "draw_numbers", lambda rng, N: drawn)
    parts, _ = number_words.pairs(3, False)
    (asked,) = parts["shown"][1]
    for name in ("train", "short", "long"):
        assert not any(np.array_equal(target, asked) for target in parts[name][1])


def test_a_sentence_without_a_known_word_has_the_mean_of_zeros(monkeypatch):
    vectors = np.arange(1.0, 1 + 2 * few.SETTINGS["D"], dtype=np.float32).reshape(2, -1)
    glove = SimpleNamespace(words=["good", "bad"], vectors=vectors)
    monkeypatch.setattr(few, "load_glove", lambda: glove)
    parts = [([["good", "bad", "?"], ["?"]], None)] * 3
    monkeypatch.setattr(few, "sentences", lambda: (parts, None))
    for found in few.means.__wrapped__():
        np.testing.assert_allclose(found, [vectors.mean(0), 0 * vectors[0]])


def test_a_recogniser_never_learns_its_own_test_sentences_nor_is_asked_seed_0s(monkeypatch):
    asked = []

    def sentences(rng, N, without=()):
        asked.append((N, list(without)))
        return [f"{len(asked)} {k}" for k in range(N)]

    monkeypatch.setattr(nbest, "sentences", sentences)
    monkeypatch.setattr(nbest, "shuffled", lambda rng, text: text)
    for seed in (0, 1):
        asked.clear()
        parts = nbest.material(seed)
        N, without = asked[-1]
        assert len(parts["train"]) == N and set(parts["test"]) <= set(without)
        assert all(f"1 {k}" in seen for _, seen in asked[1:] for k in range(asked[0][0]))


def test_lengths_are_of_the_training_part_and_copies_count_from_the_limit_on():
    half = "a b c d e f".split()  # of its two shingles of 5 words one is in the other text
    found = texts.statistics([half, ["a"] * 10], [half[:5]], "words")
    assert found["lengths"][0] == 6 and found["lengths"][-1] == 10
    assert found["copies"]["near"]["0.5"] == 1  # 1 of 2 shingles: just at the limit
