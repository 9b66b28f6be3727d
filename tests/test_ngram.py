"""n-gram models against textbook formulas, written out over dicts of tuples."""

from collections import Counter

import numpy as np
import pytest

from companion import ngram
from companion.data import encode, shakespeare

RNG = np.random.default_rng(0)
K = 5  # of which the texts use the first four
TEXT = RNG.choice(K - 1, 200, p=[0.5, 0.3, 0.15, 0.05])
SMOOTH = {
    "Kneser-Ney": lambda counts, order: ngram.kneser_ney(counts, order, 1),
    "modified Kneser-Ney": lambda counts, order: ngram.kneser_ney(counts, order, 3),
    "Witten-Bell": lambda counts, order: ngram.witten_bell(counts, order),
}


def given(model, history):
    """The probabilities of all symbols after a history, (K,)."""
    texts = [np.append(history, w).astype(int) for w in range(model.K)]
    return np.array([2 ** ngram.log2_probabilities(model, text)[-1] for text in texts])


class Textbook:
    """Chen and Goodman (1999), one probability at a time."""

    def __init__(self, text, K, order, smoothing):
        text = [int(w) for w in text]
        self.K, self.order, self.smoothing = K, order, smoothing
        self.times = Counter(
            tuple(text[t : t + n]) for n in range(1, order + 2) for t in range(len(text) - n + 1)
        )

    def c(self, gram):
        if self.smoothing == "Witten-Bell" or len(gram) == self.order:
            return self.times[gram]
        return sum((w, *gram) in self.times for w in range(self.K))

    def discount(self, c, n):
        if c == 0:
            return 0
        grams = [gram for gram in self.times if len(gram) == n]
        n1, n2, n3, n4 = (sum(self.c(gram) == k for gram in grams) for k in (1, 2, 3, 4))
        Y = n1 / (n1 + 2 * n2) if n1 + n2 else 0
        if self.smoothing == "Kneser-Ney":
            return Y if Y > 0 else 0.5
        c = min(c, 3)
        here, above = {1: (n1, n2), 2: (n2, n3), 3: (n3, n4)}[c]
        D = c - (c + 1) * Y * above / here if here and Y else 0
        return D if D > 0 else c / 2

    def p(self, history, w):
        return self.mix(tuple(history)[max(0, len(history) - self.order + 1) :], w)

    def mix(self, h, w):
        below = self.mix(h[1:], w) if h else 1 / self.K
        counts = [self.c((*h, v)) for v in range(self.K)]
        total, n = sum(counts), len(h) + 1
        if total == 0:
            return below
        if self.smoothing == "Witten-Bell":
            kinds = sum(c > 0 for c in counts)
            return (counts[w] + kinds * below) / (total + kinds)
        left = sum(self.discount(c, n) for c in counts)
        return (counts[w] - self.discount(counts[w], n)) / total + left / total * below


@pytest.mark.parametrize("smoothing", SMOOTH)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("N", [8, 15, 30, 60, 200])
def test_it_is_what_the_textbook_says(smoothing, order, N):
    model = SMOOTH[smoothing](ngram.count(TEXT[:N], K, 5), order)
    textbook = Textbook(TEXT[:N], K, order, smoothing)
    held = RNG.integers(K, size=40)  # every symbol, seen or not
    wanted = [textbook.p(held[max(0, t - order + 1) : t], w) for t, w in enumerate(held)]
    got = 2 ** ngram.log2_probabilities(model, held)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTH)
@pytest.mark.parametrize("times", [(1, 2, 4), (1, 3, 4, 4), (2, 2, 3), (1, 2, 3, 3, 9), (9, 1)])
def test_where_counts_of_counts_give_no_discount(smoothing, times):
    text = np.repeat(np.arange(len(times))[::-1], times[::-1])
    for order in (1, 2):
        model = SMOOTH[smoothing](ngram.count(text, K, 2), order)
        textbook = Textbook(text, K, order, smoothing)
        for history in ([], [0], [1], [4]):
            wanted = [textbook.p(history, w) for w in range(K)]
            np.testing.assert_allclose(given(model, history), wanted, rtol=1e-12)
            assert sum(wanted) == pytest.approx(1)


@pytest.mark.parametrize("smoothing", SMOOTH)
def test_an_order_does_not_depend_on_how_far_was_counted(smoothing):
    far, near = (SMOOTH[smoothing](ngram.count(TEXT, K, n), 3) for n in (6, 3))
    held = RNG.integers(K, size=50)
    first, second = (ngram.log2_probabilities(model, held) for model in (far, near))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("smoothing", SMOOTH)
def test_probabilities_sum_to_one(smoothing):
    numbers, alphabet = encode(shakespeare()[:30_000])
    model = SMOOTH[smoothing](ngram.count(numbers, len(alphabet), 8), 8)
    seen = [numbers[t : t + n] for t in RNG.integers(len(numbers) - 9, size=5) for n in (0, 3, 8)]
    unseen = [RNG.integers(len(alphabet), size=n) for n in (1, 2, 8)]
    for history in [*seen, *unseen, numbers[-7:]]:  # the last one was followed by nothing
        p = given(model, history)
        assert p.sum() == pytest.approx(1, abs=1e-12) and p.min() > 0


@pytest.mark.parametrize("smoothing", SMOOTH)
def test_a_text_that_repeats_makes_a_sure_model(smoothing):
    model = SMOOTH[smoothing](ngram.count(np.tile([0, 1, 2], 200), 4, 3), 3)
    assert given(model, [0, 1])[2] > 0.95
    assert given(model, [3, 3]).sum() == pytest.approx(1)  # never seen: the shortest history


def test_an_example_by_hand():
    # a b a b b: after a comes b twice; after b comes a once, and b once.
    model = ngram.witten_bell(ngram.count(np.array([0, 1, 0, 1, 1]), 2, 2))
    single = (np.array([2, 3]) + 2 / 2) / (5 + 2)
    np.testing.assert_allclose(given(model, [0]), (np.array([0, 2]) + 1 * single) / (2 + 1))
    np.testing.assert_allclose(given(model, [1]), (np.array([1, 1]) + 2 * single) / (2 + 2))
    # Kneser-Ney: a came after one symbol, b after two; n₁ = n₂ = 1, so D = 1/3.
    model = ngram.kneser_ney(ngram.count(np.array([0, 1, 0, 1, 1]), 2, 2), discounts=1)
    single = (np.array([1, 2]) - 1 / 3) / 3 + 2 / 3 / 3 / 2
    D = 2 / (2 + 2 * 1)  # of the pairs ba and bb occur once, ab twice
    np.testing.assert_allclose(given(model, [0]), [D / 2 * single[0], 1 - D / 2 * single[0]])
    np.testing.assert_allclose(given(model, [1]), (1 - D) / 2 + D * single)


def test_a_large_alphabet_and_a_long_history_do_not_overflow():
    large = 50_000  # to the power of 8 it is more than 64 bits hold
    text = RNG.integers(large - 5, large, size=300)
    small = Textbook(text - large + 5, 5, 8, "Witten-Bell")
    small.K = 5
    model = ngram.witten_bell(ngram.count(text, large, 8))
    for t in (20, 150, 299):
        got = 2 ** ngram.log2_probabilities(model, text[t - 7 : t + 1])[-1]
        wanted = small.p(text[t - 7 : t] - large + 5, text[t] - large + 5)
        assert got == pytest.approx(wanted, rel=0.05)  # below order 1 there are more symbols here


def test_nothing_given_is_changed_and_a_longer_history_helps():
    numbers, alphabet = encode(shakespeare())
    train, held = numbers[:200_000], numbers[200_000:220_000]
    copy = train.copy()
    counts = ngram.count(train, len(alphabet), 4)
    bits = [
        -ngram.log2_probabilities(ngram.kneser_ney(counts, n), held).mean() for n in range(1, 5)
    ]
    assert bits == sorted(bits, reverse=True) and bits[-1] < 2.6
    np.testing.assert_array_equal(train, copy)


@pytest.mark.parametrize(
    "text, K, order, words",
    [
        (np.array([0.0, 1.0]), 2, 1, "text must be whole numbers"),
        (np.array([[0, 1]]), 2, 1, "text must be whole numbers of shape"),
        (np.array([], int), 2, 1, "N > 0"),
        (np.array([0, 2]), 2, 1, "text must be in 0 … 1, got 0 … 2"),
        (np.array([-1, 1]), 2, 1, "text must be in 0 … 1, got -1 … 1"),
        (np.array([0, 1]), 2, 0, "order must be a whole number in 1 … 2, got 0"),
        (np.array([0, 1]), 2, 3, "order must be a whole number in 1 … 2, got 3"),
        (np.array([0, 1]), 2, 1.0, "order must be a whole number in 1 … 2, got 1.0"),
    ],
)
def test_count_refuses(text, K, order, words):
    with pytest.raises(ValueError, match=words):
        ngram.count(text, K, order)


@pytest.mark.parametrize("order", [1, 3])
def test_every_history_has_its_share_and_no_other(order):
    counts = ngram.count(TEXT, K, order)
    histories = [1, *map(len, counts.keys)][:order]
    for smooth in SMOOTH.values():
        assert [len(rest) for rest in smooth(counts, order).rest] == histories


def test_models_refuse():
    counts = ngram.count(TEXT, K, 3)
    for smooth in SMOOTH.values():
        with pytest.raises(ValueError, match="order must be a whole number in 1 … 3, got 4"):
            smooth(counts, 4)
        with pytest.raises(ValueError, match="order must be a whole number in 1 … 3, got 2.0"):
            smooth(counts, 2.0)
    with pytest.raises(ValueError, match="discounts must be 1 or 3, got 2"):
        ngram.kneser_ney(counts, discounts=2)
    with pytest.raises(ValueError, match="text must be in 0 … 4, got 0 … 5"):
        ngram.log2_probabilities(ngram.witten_bell(counts), np.array([0, 5]))
