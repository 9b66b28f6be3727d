"""The counting behind the page on data sets, on texts whose answer is known."""

import numpy as np
import pytest

from companion.data.words import Words

pytest.importorskip("scipy")
corpora = pytest.importorskip("book.experiments.corpora")
lab = corpora.texts


def split(*lines):
    return [line.split() for line in lines]


def test_words_that_training_lacks_are_counted_by_token_and_by_type():
    train = split("a b a", "c <unk> <eos>")
    found = lab.statistics(train, split("a d d b", "<unk> e"), "line")
    assert found["tokens"] == [6, 6] and found["types"] == [5, 5]
    assert found["unk"] == [1 / 6, 1 / 6] and found["once"] == 4
    assert found["unseen"] == 3 / 6 and found["unseen_types"] == 2 / 5
    assert found["lengths"] == [3.0] * 21


def test_a_list_covers_what_its_most_frequent_words_cover(monkeypatch):
    monkeypatch.setattr(lab, "LISTS", (1, 2, 9))
    found = lab.statistics(split("a a a b b c"), split("a b x y"), "line")
    assert found["covered"] == {"1": 0.25, "2": 0.5}


@pytest.mark.parametrize("slope", [0.8, 1.0, 1.5])
def test_the_slope_of_zipfs_law_is_found_again(slope):
    """Counts that are drawn from the law; the standard error is below 0.005."""
    p = np.arange(1, 3001.0) ** -slope
    counts = np.random.default_rng(1).multinomial(4_000_000, p / p.sum())
    slopes = lab.zipf(counts[counts > 0])["slopes"]
    assert abs(slopes["first"] - slope) < 0.02
    assert set(slopes) == {"first", "least squares"}  # too few words for the later range


def test_the_slope_of_rarer_words_is_found_where_they_come_often_enough():
    """Chance mixes ranks, the more the rarer; at 20 times and more it shifts the slope by 0.03."""
    p = 1 / np.arange(1, 50_001.0)
    for N, found in ((4_000_000, True), (200_000, False)):
        counts = np.random.default_rng(1).multinomial(N, p / p.sum())
        slopes = lab.zipf(counts[counts > 0])["slopes"]
        assert ("later" in slopes) == found
        if found:
            assert abs(slopes["later"] - 1) < 0.04


def test_copies_are_found_whatever_their_case_and_marks():
    train = split("It rose , by 2 % .", "a b c", "a b c", "x y z u v w q")
    test = split("it ROSE by 2", "A b c !", "x y z u v w", "k l m n o p")
    found = lab.copies(train, test)
    assert found["exact"] == 2 and found["exact_within_train"] == 1
    assert found["near"] == {"0.5": 3, "0.8": 2}  # 2 of 3 runs of five words in common


def test_the_nearest_text_is_that_of_the_largest_jaccard_index():
    train, test = split("a b c d", "b c d e f"), split("b c d e", "z z z")
    best, seen = lab.nearest(train, test, 2)
    assert np.allclose(best, [3 / 4, 0]) and seen == 3 / 4  # pairs bc, cd, de of 4; "z z" is one


def test_the_runs_of_words_are_told_apart_by_their_order():
    best, _ = lab.nearest(split("a b c d e"), split("e d c b a"), 5)
    assert best == [0]


def test_wikitext_is_cut_at_headings_of_the_first_level():
    rows = ["", "= One =", "", "it = 1 .", "", "= = Part = =", "", "more", "", "= Two =", "", "x"]
    text = [word for row in rows for word in [*row.split(), "<eos>"]]
    vocabulary = sorted(set(text))
    numbers = np.array([vocabulary.index(word) for word in text])
    words = Words(numbers, numbers, numbers, vocabulary, None)
    found, titles = corpora.articles(words, "test")
    assert titles == ["One", "Two"] and [len(t) for t in found] == [13, 4]
    assert corpora.lines(words, "test") == split(*rows)
