"""Searches among word vectors, against plain loops and against gensim."""

import numpy as np
import pytest

from companion.data import load_glove
from companion.word_vectors import analogies, nearest, questions, units

gensim = pytest.importorskip("gensim")


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((40, 6))


def test_units_have_length_one_and_zero_stays(vectors):
    vectors[3] = 0
    found = units(vectors)
    lengths = np.linalg.norm(found, axis=1)
    assert np.allclose(np.delete(lengths, 3), 1, atol=1e-15) and lengths[3] == 0
    assert np.allclose(found * np.linalg.norm(vectors, axis=1)[:, None], vectors, atol=1e-14)


def test_nearest_is_what_sorting_everything_gives(vectors):
    rng = np.random.default_rng(1)
    queries = rng.standard_normal((2100, 6))  # more than two blocks
    without = np.array([rng.permutation(40)[:3] for _ in queries])
    found = nearest(vectors, queries, 4, without)
    for k in (0, 1, 999, 1000, 2099):
        order = [j for j in np.argsort(-vectors @ queries[k]) if j not in without[k]]
        assert found[k].tolist() == order[:4]
    own = nearest(units(vectors), units(vectors), 1)[:, 0]
    assert own.tolist() == list(range(40))  # nothing is nearer than the word itself


@pytest.mark.parametrize("n", [0, 38])
def test_nearest_says_how_many_rows_there_are(vectors, n):
    with pytest.raises(ValueError, match=f"1 … 37, got {n}"):
        nearest(vectors, vectors[:2], n, np.zeros((2, 3), int) + [0, 1, 2])


def test_nearest_changes_nothing(vectors):
    queries, without = vectors[:5].copy(), np.arange(5)[:, None]
    nearest(vectors, queries, 2, without)
    assert np.array_equal(queries, vectors[:5]) and without.shape == (5, 1)


def test_analogies_add_and_leave_out():
    # Columns: king, man, woman, queen, girl; queen comes second, king first.
    vectors = np.array([[3, 1, 0], [0, 1, 0.1], [0.2, 1, 0.5], [1, 1, 1], [0.3, 1, 0.9]])
    asked = np.array([[1, 0, 2, 3]])  # man : king as woman : ?
    plain = units(vectors)
    target = plain[0] - plain[1] + plain[2]
    assert analogies(vectors, asked, exclude=False)[0] == np.argmax(plain @ target) == 0
    assert analogies(vectors, asked)[0] == 3
    assert analogies(vectors, asked, offset=False)[0] == 4  # the word nearest to woman
    assert analogies(vectors, asked, exclude=False, offset=False)[0] == 2


def test_questions_are_those_of_the_file():
    words = "athens greece baghdad iraq boy girl brother sister king queen".split()
    found = questions(words)
    assert found["capital-common-countries"].tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert len(found["family"]) == 6 and set(found) == {
        "capital-common-countries",
        "capital-world",
        "family",
    }


def test_analogies_agree_with_gensim():
    """On a part of GloVe; gensim, too, excludes and ignores capitals."""
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath

    glove = load_glove()
    words, vectors = glove.words[:2000], glove.vectors[:2000]
    wv = KeyedVectors(50)
    wv.add_vectors(words, vectors)
    _, sections = wv.evaluate_word_analogies(datapath("questions-words.txt"))
    theirs = {s["section"]: (len(s["correct"]), len(s["incorrect"])) for s in sections}
    found = questions(words)
    assert len(found) > 6
    for kind, rows in found.items():
        right = int((analogies(vectors, rows) == rows[:, 3]).sum())
        assert (right, len(rows) - right) == theirs[kind], kind
