"""From probabilities to a sequence: which one is the likeliest?

`greedy` and `beam_search` run a model that reads what it has written, such as a language model or
a translator. `ctc_greedy` and `ctc_beam_search` read a CTC network, which gives the probabilities
of all steps at once (`companion.ctc`). All take one sequence at a time, and natural logarithms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import exp, inf, log1p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion.ctc import BLANK

# From a state and a token to the log-probabilities of the next token, and the state after it.
NextToken = Callable[[Any, Any], tuple[ArrayLike, Any]]
Tokens = tuple[int, ...]
Scores = dict[Tokens, float]


class Hypothesis(NamedTuple):
    """An output that a search has found: `tokens`, a tuple of whole numbers, and `score`.

    The score is the output's natural log-probability, unless the search says otherwise.
    """

    tokens: Tokens
    score: float


def greedy(step: NextToken, start: tuple[Any, Any], end: int, limit: int) -> Hypothesis:
    """Take the likeliest token at each step.

    step: a pure function step(state, token) that returns a pair: natural log-probabilities of the
    next token, floats (K,), and the state after it.
    start: the pair (state, token) for its first call.
    end: the token after which an output ends, in 0 … K-1.
    limit: the most tokens of an output, `end` included.
    Returns a `Hypothesis`; its last token is `end`, unless the limit came first. Of equally
    likely tokens the lower is taken.
    Raises ValueError for bad arguments, or log-probabilities that are no floats, NaN, above 0 or
    all -inf.
    """
    state, token = _check_search(start, end, limit)
    tokens, score = (), 0.0
    for _ in range(limit):
        log_p, state = _next(step, state, token, end)
        token = int(log_p.argmax())
        tokens, score = (*tokens, token), score + float(log_p[token])
        if token == end:
            break
    return Hypothesis(tokens, score)


def beam_search(
    step: NextToken, start: tuple[Any, Any], end: int, limit: int, width: int
) -> list[Hypothesis]:
    """Go on with the `width` likeliest beginnings at each step, not with one.

    step, start, end, limit: as for `greedy`, which is the search of width 1.
    width: how many beginnings are kept, at least 1.

    An output that has ended leaves the beam and frees no place, so `width` outputs end the search.
    A beam as wide as there are outputs finds them all.
    Returns a list of at most `width` outputs, each a `Hypothesis`, the likeliest first, and none of
    probability 0. The last token of an output is `end`, unless the limit came first.
    A sum of log-probabilities favours short outputs; by the mean of a token the best is
    `max(outputs, key=lambda h: h.score / len(h.tokens))`.
    Raises ValueError as `greedy`, and for another width.
    Source: Sutskever, Vinyals and Le (2014), section 3.2; the mean: Graves (2012), algorithm 1.
    """
    state, token = _check_search(start, end, limit)
    _check_whole("width", width)
    beam = [(Hypothesis((), 0.0), state, token)]
    done: list[Hypothesis] = []
    for _ in range(limit):
        grown = []
        for (tokens, score), state, token in beam:
            log_p, state = _next(step, state, token, end)
            for k in np.argsort(-log_p, kind="stable")[:width].tolist():
                if log_p[k] > -inf:
                    longer = Hypothesis((*tokens, k), score + float(log_p[k]))
                    grown.append((longer, state, k))
        best = sorted(grown, key=lambda entry: -entry[0].score)[: width - len(done)]
        done += [h for h, _, token in best if token == end]
        beam = [entry for entry in best if entry[2] != end]
        if not beam:
            break
    return sorted(done + [h for h, _, _ in beam], key=lambda h: -h.score)


def ctc_greedy(log_probs: ArrayLike) -> Hypothesis:
    """Take the likeliest class at each step, merge equal neighbours, drop the blanks.

    log_probs: natural log-probabilities, floats (T, K), with the blank as class 0.
    Returns a `Hypothesis`. Its score is that of this one path: the tokens' own probability, the
    sum over all paths that spell them, is at least as high, and other tokens may be likelier.
    Raises ValueError for other shapes, NaN, values above 0 or a step all of -inf.
    Source: Graves, Fernández, Gomez and Schmidhuber (2006), best path decoding.
    """
    log_probs = _check_log_probs("log_probs", log_probs, ("T", "K"))
    path = log_probs.argmax(1)
    new = np.diff(path, prepend=BLANK) != 0
    tokens = tuple(path[new & (path != BLANK)].tolist())
    return Hypothesis(tokens, sum(log_probs.max(1).tolist(), 0.0))


def ctc_beam_search(
    log_probs: ArrayLike, width: int, language: Callable[[Tokens], ArrayLike] | None = None
) -> list[Hypothesis]:
    """Sum the paths of each beginning; go on with the `width` likeliest at each step.

    log_probs: natural log-probabilities, floats (T, K), with the blank as class 0.
    width: how many beginnings are kept, at least 1.
    language: None, or a function language(tokens) -> (K,), what each class adds to the score when
    it is written after these tokens, such as a weight times the log-probability of a language
    model, plus a bonus for a word; -inf forbids the class, and the entry for the blank is not
    read. It is called once for each beginning. What a language model says of the end of a sentence
    can be added to the result.
    Returns a list of at most `width` outputs, each a `Hypothesis`, that of the highest score first,
    and none of probability 0. What language adds is part of the score. Where the beam has dropped
    nothing, every score is exact.
    Raises ValueError as `ctc_greedy`, and for another width or bad values of language.
    Source: Graves and Jaitly (2014), algorithm 1; Hannun et al. (2014), algorithm 1, without its
    second look at beginnings that had been dropped.
    """
    log_probs = _check_log_probs("log_probs", log_probs, ("T", "K"))
    _check_whole("width", width)
    K = log_probs.shape[1]
    extra: dict[Tokens, list[float]] = {}  # what language says, once for each beginning
    beam: dict[Tokens, tuple[float, float]]
    beam = {(): (0.0, -inf)}  # log-probability of the paths that end in a blank, and in a label
    for log_p in log_probs.tolist():
        blank: Scores = defaultdict(lambda: -inf)
        label: Scores = defaultdict(lambda: -inf)
        for tokens, (after_blank, after_label) in beam.items():
            both = _log_add(after_blank, after_label)
            blank[tokens] = both + log_p[BLANK]
            if tokens:  # the last label goes on
                label[tokens] = _log_add(label[tokens], after_label + log_p[tokens[-1]])
            if tokens not in extra:
                extra[tokens] = _language(language, tokens, K)
            for k in range(1, K):
                # The same label again is a new one only after a blank.
                before = after_blank if tokens[-1:] == (k,) else both
                longer = (*tokens, k)
                label[longer] = _log_add(label[longer], before + log_p[k] + extra[tokens][k])
        grown = {tokens: (blank[tokens], label[tokens]) for tokens in blank | label}
        best = sorted(grown, key=lambda tokens: -_log_add(*grown[tokens]))[:width]
        beam = {tokens: grown[tokens] for tokens in best if max(grown[tokens]) > -inf}
    return [Hypothesis(tokens, _log_add(*ends)) for tokens, ends in beam.items()]


def _log_add(x, y):
    """log(exp x + exp y) of two numbers, also where one or both are -inf."""
    low, high = min(x, y), max(x, y)
    return high if low == -inf else high + log1p(exp(low - high))


def _next(step, state, token, end):
    found = step(state, token)
    if not (isinstance(found, tuple | list) and len(found) == 2):
        raise ValueError(
            f"step must return a pair (log-probabilities, state), got {type(found).__name__}"
        )
    log_p = _check_log_probs("the log-probabilities that step returns", found[0], ("K",))
    if end >= len(log_p):
        raise ValueError(f"end must be in 0 … {len(log_p) - 1}, got {end}")
    return log_p, found[1]


def _language(language, tokens, K):
    if language is None:
        return [0.0] * K
    extra = np.asarray(language(tokens))
    if extra.shape != (K,) or extra.dtype.kind not in "iuf" or not (extra[1:] < inf).all():
        raise ValueError(
            f"language must return numbers below inf of shape ({K},), "
            f"got {extra.dtype} of shape {extra.shape}: {extra}"
        )
    return extra.tolist()


def _check_search(start, end, limit):
    if not (isinstance(start, tuple | list) and len(start) == 2):
        raise ValueError(f"start must be a pair (state, token), got {type(start).__name__}")
    _check_whole("end", end, least=0)
    _check_whole("limit", limit)
    return start


def _check_whole(name, value, least=1):
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _check_log_probs(name, values, shape):
    values = np.asarray(values)
    if values.dtype.kind != "f" or values.ndim != len(shape) or not values.shape[-1]:
        raise ValueError(
            f"{name} must be floats of {len(shape)} axes, {', '.join(shape)}, "
            f"got {values.dtype} of shape {values.shape}"
        )
    if np.isnan(values).any() or (values > 1e-5).any():  # a sum of 1 may be rounded up
        raise ValueError(f"{name} must be at most 0, got {values.max()}: logarithms, not logits?")
    if not (values > -inf).any(-1).all():
        raise ValueError(f"{name} must give a class a probability above 0, got -inf for all")
    return values
