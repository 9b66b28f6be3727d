"""Every search against looking at everything there is."""

from math import log

import numpy as np
import pytest
from ctc_cases import exact

from companion import CELLS, forward, init
from companion.ctc import ctc_loss
from companion.decode import Hypothesis, beam_search, ctc_beam_search, ctc_greedy, greedy
from companion.readout import init_linear, linear, log_softmax

inf = np.inf


class Table:
    """A model that knows nothing: its probabilities after each beginning are drawn at random."""

    def __init__(self, seed, K, forbid=0.0):
        self.seed, self.K, self.forbid, self.calls = seed, K, forbid, []

    def step(self, state, token):
        beginning = (*state, token)
        self.calls.append(beginning)
        rng = np.random.default_rng([self.seed, *beginning])
        logits = rng.normal(0, 1.5, self.K)
        never = rng.random(self.K) < self.forbid
        logits[never & (np.arange(self.K) != rng.integers(self.K))] = -inf
        return log_softmax(logits), beginning

    def outputs(self, start, end, limit):
        """Every output of probability above 0 and its score, the likeliest first."""
        found, open_ = [], [((), 0.0, *start)]
        while open_:
            tokens, score, state, token = open_.pop()
            if tokens and (tokens[-1] == end or len(tokens) == limit):
                found.append(Hypothesis(tokens, score))
                continue
            log_p, state = self.step(state, token)
            for k in range(self.K):
                if log_p[k] > -inf:
                    open_.append(((*tokens, k), score + log_p[k], state, k))
        return sorted(found, key=lambda h: -h.score)


def same(found, expected):
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], rtol=1e-12)
    assert all(type(k) is int for h in found for k in h.tokens)


@pytest.mark.parametrize("forbid", [0, 0.4])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("K", "limit"), [(2, 6), (3, 4), (5, 3), (4, 1)])
def test_a_beam_as_wide_as_the_space_finds_all(K, limit, seed, forbid):
    model, start, end = Table(seed, K, forbid), ((), 1), seed % K
    every = model.outputs(start, end, limit)
    found = beam_search(model.step, start, end, limit, K**limit)
    same(found, every)
    assert np.exp([h.score for h in found]).sum() == pytest.approx(1, rel=1e-12)
    same(beam_search(model.step, start, end, limit, len(every)), every)


@pytest.mark.parametrize("seed", range(30))
def test_greedy_is_the_beam_of_width_1_and_its_own_definition(seed):
    model, end, limit = Table(seed, 4), 2, 6
    tokens, score = greedy(model.step, ((), end), end, limit)
    assert [tokens] == [h.tokens for h in beam_search(model.step, ((), end), end, limit, 1)]
    state, last, total = (), end, 0.0
    for place, token in enumerate(tokens):
        log_p, state = model.step(state, last)
        assert token == np.argmax(log_p)
        last, total = token, total + max(log_p)
        assert (token == end or place == limit - 1) == (place == len(tokens) - 1)
    assert score == pytest.approx(total, rel=1e-12)


def plain_beam(model, start, end, limit, width):
    """Beam search as the paper says it: extend by every token, keep the best."""
    beam, done = [((), 0.0, *start)], []
    for _ in range(limit):
        every = []
        for tokens, score, state, token in beam:
            log_p, after = model.step(state, token)
            every += [((*tokens, k), score + log_p[k], after, k) for k in range(model.K)]
        every = [entry for entry in every if entry[1] > -inf]
        every.sort(key=lambda entry: entry[1], reverse=True)
        places, beam = width - len(done), []
        for entry in every[:places]:
            (done if entry[3] == end else beam).append(entry)
    both = sorted(done + beam, key=lambda entry: entry[1], reverse=True)
    return [Hypothesis(*entry[:2]) for entry in both]


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_a_narrow_beam_keeps_the_best(width):
    for seed in range(20):
        model, start = Table(seed, 4, 0.2 * (seed % 2)), ((), 0)
        expected = plain_beam(model, start, 3, 6, width)
        model.calls = []
        found = beam_search(model.step, start, 3, 6, width)
        same(found, expected)
        assert len(found) <= width and len(model.calls) <= 1 + 5 * width
        longest = max(len(h.tokens) for h in found)
        assert max(len(call) for call in model.calls) <= longest  # it stops when all have ended


def by_text(table):
    """A model whose state is what it has written, from a dict text -> probabilities."""

    def step(text, token):
        text += "" if token is None else "$ab"[token]
        with np.errstate(divide="ignore"):
            return np.log(table[text]), text

    return step


def test_greedy_is_led_astray_and_a_beam_of_two_is_not():
    step = by_text({"": [0, 0.6, 0.4], "a": [0.5, 0.3, 0.2], "b": [0.9, 0.05, 0.05]})
    assert greedy(step, ("", None), 0, 2) == ((1, 0), pytest.approx(log(0.3)))
    found = beam_search(step, ("", None), 0, 2, 2)
    assert found == [((2, 0), pytest.approx(log(0.36))), ((1, 0), pytest.approx(log(0.3)))]


def test_a_sum_favours_short_outputs_and_a_mean_does_not():
    step = by_text({"": [0.4, 0.6, 0], "a": [0.1, 0.6, 0.3], "aa": [0.9, 0.1, 0]})
    found = beam_search(step, ("", None), 0, 3, 2)
    assert found[0] == ((0,), pytest.approx(log(0.4)))
    best = max(found, key=lambda h: h.score / len(h.tokens))
    assert best == ((1, 1, 0), pytest.approx(log(0.6 * 0.6 * 0.9)))


def test_an_output_that_has_ended_frees_no_place():
    step = by_text({"": [0.5, 0.3, 0.2], "a": [0.2, 0.5, 0.3], "b": [1, 0, 0], "aa": [1, 0, 0]})
    found = beam_search(step, ("", None), 0, 9, 2)
    assert [h.tokens for h in found] == [(0,), (1, 1, 0)]


def test_the_limit_cuts():
    step = by_text({"a" * n: [0.1, 0.9, 0] for n in range(9)})
    assert greedy(step, ("", None), 0, 4) == ((1,) * 4, pytest.approx(4 * log(0.9)))
    assert beam_search(step, ("", None), 0, 4, 1)[0].tokens == (1,) * 4
    assert greedy(
        lambda *arguments: list(step(*arguments)), ["", None], np.int64(0), np.int64(1)
    ).tokens == (1,)


def test_of_equal_tokens_the_lower_is_taken():
    step = by_text({text: [0.2, 0.4, 0.4] for text in ("", "a", "b")})
    assert greedy(step, ("", None), 0, 2).tokens == (1, 1)
    found = [h.tokens for h in beam_search(step, ("", None), 0, 2, 4)]
    assert found == [(0,), (1, 1), (1, 2), (2, 1)]


def test_an_lstm_writes_and_the_score_is_that_of_its_text():
    rng, K = np.random.default_rng(0), 5
    cell = CELLS["lstm"]
    params, readout = init(cell, K, 7, rng), init_linear(7, K, rng)
    params = {name: 4 * value for name, value in params.items()}

    def run(tokens, state):
        ys, state, _ = forward(cell, params, np.eye(K)[list(tokens)][:, None], state)
        return log_softmax(linear(readout, ys))[:, 0], state

    def step(state, token):
        log_p, state = run([token], state)
        return log_p[0], state

    found = beam_search(step, (None, 0), 0, 6, 5)
    assert len(found) == 5 and found[0].score >= greedy(step, (None, 0), 0, 6).score
    for tokens, score in found:
        log_p, _ = run((0, *tokens[:-1]), None)
        assert score == pytest.approx(log_p[np.arange(len(tokens)), tokens].sum(), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_log_probabilities_go_without_a_warning(dtype):
    least = np.finfo(dtype).min
    log_p = np.array([-inf, 0, least, -800, -7], dtype)

    def step(state, token):
        return log_p, None

    with np.errstate(all="raise"):
        assert greedy(step, (None, 0), 0, 5) == ((1,) * 5, 0)
        found = beam_search(step, (None, 0), 0, 3, 200)
        ctc = ctc_beam_search(np.stack([log_p] * 4), 200)
        best = ctc_greedy(np.stack([log_p] * 4))
        far = ctc_greedy(np.full((3, 2), least))
    assert len(found) == 4**3 and not any(np.isnan(h.score) for h in found)
    assert best == ((1,), 0) and far.tokens == ()
    assert ctc[0] == ((1,), 0)
    assert not any(np.isnan(h.score) or h.score == -inf for h in ctc)


CASES = [(1, 3, 0), (2, 2, 0), (4, 4, 0), (6, 3, 0), (5, 3, 1), (3, 5, 2), (7, 2, 3)]


def table(T, K, seed, forbid=0.0, scale=1.5):
    rng = np.random.default_rng([T, K, seed])
    logits = rng.normal(0, scale, (T, K))
    logits[(rng.random((T, K)) < forbid) & (np.arange(K) != rng.integers(K, size=(T, 1)))] = -inf
    return log_softmax(logits)


@pytest.mark.parametrize("forbid", [0, 0.4])
@pytest.mark.parametrize(("T", "K", "seed"), CASES)
def test_a_wide_ctc_beam_gives_every_labelling_its_probability(T, K, seed, forbid):
    log_probs = table(T, K, seed, forbid)
    known = exact(log_probs)
    found = ctc_beam_search(log_probs, 10**6)
    assert {h.tokens for h in found} == set(known) and len(found) == len(known)
    for tokens, score in found:
        assert score == pytest.approx(known[tokens], rel=1e-12, abs=1e-12)
        assert score == pytest.approx(-ctc_loss(log_probs[:, None], [tokens])[0][0], abs=1e-12)
        assert all(type(k) is int for k in tokens)
    scores = [h.score for h in found]
    assert scores == sorted(scores, reverse=True)
    assert np.exp(scores).sum() == pytest.approx(1, rel=1e-12)


def bigrams(K, seed, forbid=0.0):
    """A language score for every pair of neighbours; a blank's is not to be read."""
    rng = np.random.default_rng(seed)
    pairs = rng.normal(0, 2, (K, K))
    pairs[rng.random((K, K)) < forbid] = -inf
    pairs[:, 0] = np.nan
    calls = []

    def language(tokens):
        calls.append(tokens)
        return pairs[tokens[-1] if tokens else 0]

    def score(tokens):
        return sum(pairs[before, k] for before, k in zip((0, *tokens), tokens, strict=False))

    return language, score, calls


@pytest.mark.parametrize("forbid", [0, 0.4])
@pytest.mark.parametrize(("T", "K", "seed"), CASES)
def test_a_wide_ctc_beam_is_exact_with_a_language_score(T, K, seed, forbid):
    log_probs = table(T, K, seed)
    language, score, calls = bigrams(K, seed, forbid)
    known = {tokens: p + score(tokens) for tokens, p in exact(log_probs).items()}
    known = {tokens: s for tokens, s in known.items() if s > -inf}
    found = ctc_beam_search(log_probs, 10**6, language)
    assert {h.tokens for h in found} == set(known)
    for tokens, total in found:
        assert total == pytest.approx(known[tokens], rel=1e-12, abs=1e-12)
    assert found[0].score == max(h.score for h in found)
    assert len(calls) == len(set(calls))


def pull_beam(log_probs, width, language):
    """Graves and Jaitly's form: each kept beginning asks where its paths come from."""
    p, K = np.exp(log_probs), log_probs.shape[1]
    beam = {(): (1.0, 0.0)}
    for row in p:
        candidates = set(beam) | {(*y, k) for y in beam for k in range(1, K)}
        grown = {}
        for y in candidates:
            blank, label = beam.get(y, (0.0, 0.0))
            ends_blank, ends_label = row[0] * (blank + label), 0.0
            if y:
                ends_label = row[y[-1]] * label
                if y[:-1] in beam:
                    shorter_blank, shorter_label = beam[y[:-1]]
                    again = y[-2:-1] == y[-1:]
                    ways = shorter_blank if again else shorter_blank + shorter_label
                    ends_label += row[y[-1]] * ways * np.exp(language(y[:-1])[y[-1]])
            grown[y] = ends_blank, ends_label
        best = sorted(grown, key=lambda y: -sum(grown[y]))[:width]
        beam = {y: grown[y] for y in best if sum(grown[y]) > 0}
    return [Hypothesis(y, log(sum(ends))) for y, ends in beam.items()]


@pytest.mark.parametrize("width", [1, 2, 3, 6, 20])
def test_a_narrow_ctc_beam_keeps_the_best(width):
    for seed in range(10):
        log_probs = table(9, 4, seed, 0.3 * (seed % 2))
        language, _, _ = bigrams(4, seed) if seed % 3 else (lambda tokens: np.zeros(4), 0, 0)
        found = ctc_beam_search(log_probs, width, language)
        same(found, pull_beam(log_probs, width, language))
        if seed % 3 == 0:
            assert found == ctc_beam_search(log_probs, width)
            for tokens, score in found:  # what was dropped is missing, nothing is counted twice
                assert score <= -ctc_loss(log_probs[:, None], [tokens])[0][0] + 1e-12


def test_the_likeliest_path_is_not_the_likeliest_labelling():
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert ctc_greedy(log_probs) == ((), pytest.approx(log(0.36)))
    found = ctc_beam_search(log_probs, 2)
    assert found == [((1,), pytest.approx(log(0.64))), ((), pytest.approx(log(0.36)))]


def test_greedy_is_right_where_one_path_outweighs_all_others():
    sure = 0
    for seed in range(60):
        log_probs = table(5, 3, seed, scale=4)
        known, (tokens, score) = exact(log_probs), ctc_greedy(log_probs)
        assert score == pytest.approx(log_probs.max(1).sum(), rel=1e-12)
        assert score <= known[tokens] + 1e-12
        if score > log(0.5):
            sure += 1
            assert tokens == max(known, key=known.get) == ctc_beam_search(log_probs, 9)[0].tokens
    assert sure >= 10


@pytest.mark.parametrize(
    ("path", "tokens"),
    [
        ([0, 1, 1, 0, 1, 2], (1, 1, 2)),
        ([1, 1, 1], (1,)),
        ([0, 0], ()),
        ([2, 1, 2, 2, 0], (2, 1, 2)),
        ([], ()),
    ],
)
def test_greedy_merges_then_drops_blanks(path, tokens):
    log_probs = np.log(np.eye(3)[path] * 0.7 + 0.1)
    assert ctc_greedy(log_probs) == (tokens, pytest.approx(len(path) * log(0.8)))
    assert ctc_greedy(log_probs.astype(np.float32)).tokens == tokens


def test_no_steps_and_no_way():
    assert ctc_beam_search(np.zeros((0, 3)), 4) == [((), 0)]
    assert ctc_greedy(np.zeros((0, 3))) == ((), 0)
    with np.errstate(divide="ignore"):
        only_labels = np.log([[0, 0.5, 0.5]])
    assert ctc_beam_search(only_labels, 4, lambda tokens: np.full(3, -inf)) == []
    assert ctc_beam_search(np.zeros((3, 1)), 4) == [((), 0)]


def test_one_language_score_of_whole_numbers_is_as_good():
    found = ctc_beam_search(table(4, 3, 0), 99, lambda tokens: [7, 0, 1])
    known = {tokens: p + tokens.count(2) for tokens, p in exact(table(4, 3, 0)).items()}
    assert dict(found) == pytest.approx(known)


flat = np.log(np.full(3, 1 / 3))


def ok(state, token):
    return flat, state


def gives(value):
    return lambda state, token: value


def beam(step=ok, start=((), 0), end=0, limit=4, width=2):
    return beam_search(step, start, end, limit, width)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: greedy(ok, 0, 0, 4), r"start must be a pair \(state, token\), got int"),
        (lambda: beam(start=(1, 2, 3)), r"start must be a pair .* got tuple"),
        (lambda: beam(end=3), "end must be in 0 … 2, got 3"),
        (lambda: greedy(ok, (0, 0), 3, 4), "end must be in 0 … 2, got 3"),
        (lambda: beam(end=-1), "end must be a whole number of at least 0, got -1"),
        (lambda: beam(end="$"), r"end must be a whole number of at least 0, got '\$'"),
        (lambda: beam(limit=0), "limit must be a whole number of at least 1, got 0"),
        (lambda: greedy(ok, (0, 0), 0, 2.5), "limit must be a whole number .* got 2.5"),
        (lambda: beam(width=0), "width must be a whole number of at least 1, got 0"),
        (lambda: beam(gives(flat)), r"step must return a pair \(log.*\), got ndarray"),
        (lambda: beam(gives(np.stack([flat, flat]))), r"step must return a pair .* got ndarray"),
        (lambda: greedy(gives(None), (0, 0), 0, 4), r"step must return a pair .* got NoneType"),
        (lambda: beam(gives((flat, 0, 0))), r"step must return a pair \(log.*\), got tuple"),
        (
            lambda: beam(gives((flat[None], 0))),
            r"step returns must be .* 1 axes, K, got .* \(1, 3\)",
        ),
        (lambda: beam(gives((np.exp(flat), 0))), "step returns must be at most 0, got 0.3.*logits"),
        (lambda: beam(gives((flat * np.nan, 0))), "step returns must be at most 0, got nan"),
        (lambda: beam(gives((flat - inf, 0))), "step returns must give a class .* -inf for all"),
        (lambda: beam(gives((np.zeros(0), 0))), "step returns must be floats .* got .* shape"),
        (lambda: beam(gives(([-1, -1], 0))), "step returns must be floats .* got int64"),
        (lambda: ctc_greedy(flat), r"log_probs must be floats of 2 axes, T, K, got .* \(3,\)"),
        (lambda: ctc_greedy(np.zeros((4, 0))), r"log_probs must be floats .* shape \(4, 0\)"),
        (lambda: ctc_greedy(np.exp([flat])), "log_probs must be at most 0, got 0.3"),
        (lambda: ctc_greedy(np.array([[0.0, np.nan]])), "log_probs must be at most 0, got nan"),
        (lambda: ctc_beam_search([flat, flat - inf], 2), "log_probs must give a class .* above 0"),
        (lambda: ctc_beam_search(np.exp([flat]), 2), "log_probs must be at most 0"),
        (lambda: ctc_beam_search(flat, 2), r"log_probs must be floats of 2 axes, T, K, got"),
        (lambda: ctc_beam_search([flat], 1.0), "width must be a whole number of .* got 1.0"),
        (lambda: ctc_beam_search([flat], 2, lambda y: flat[1:]), r"language must .* \(3,\), got"),
        (lambda: ctc_beam_search([flat], 2, lambda y: flat + 1j), "language must .* complex128"),
        (lambda: ctc_beam_search([flat], 2, lambda y: [0, inf, 0]), "language must .* below inf"),
        (lambda: ctc_beam_search([flat], 2, lambda y: [0, 0, inf]), "language must .* below inf"),
        (lambda: ctc_beam_search([flat], 2, lambda y: flat * np.nan), "language must .* nan"),
        (lambda: ctc_beam_search([flat], 2, lambda y: "abc"), "language must return numbers"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
