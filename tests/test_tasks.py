import itertools
import re

import numpy as np
import pytest

from companion import tasks
from companion.scores import wilson_interval
from companion.tasks import grammar, order

# Every task in a short form; its success rule and the error that the rule allows, where it is one.
TASKS = {
    "adding": (lambda rng, B: tasks.adding(rng, B, 30), tasks.adding_solved, 0.04),
    "multiplication": (
        lambda rng, B: tasks.multiplication(rng, B, 30),
        tasks.multiplication_solved,
        0.04,
    ),
    "order_2": (lambda rng, B: tasks.temporal_order(rng, B, 30), tasks.temporal_order_solved, 0.3),
    "order_3": (
        lambda rng, B: tasks.temporal_order(rng, B, 30, relevant=3),
        tasks.temporal_order_solved,
        0.3,
    ),
    "noise_free_lag": (
        lambda rng, B: tasks.noise_free_lag(rng, B, 12),
        tasks.noise_free_lag_solved,
        0.25,
    ),
    "random_lag": (lambda rng, B: tasks.random_lag(rng, B, 12), tasks.random_lag_solved, 0.25),
    "anbn": (tasks.anbn, tasks.anbn_solved, 0.5),
    "parity": (lambda rng, B: tasks.parity(rng, B, 20), tasks.parity_solved, 0.1),
    "measure_delays": (
        lambda rng, B: tasks.measure_delays(rng, B, 10, (0, 1), 3),
        tasks.spikes_solved,
        0.49,
    ),
    "generate_spikes": (
        lambda rng, B: tasks.generate_spikes(rng, B, 10, (0, 1), 3),
        tasks.spikes_solved,
        0.49,
    ),
    "periodic": (lambda rng, B: tasks.periodic("cosine"), tasks.periodic_solved, 0.3),
    "continual_reber": (
        lambda rng, B: tasks.continual_reber(rng, B, 50),
        lambda outputs, batch: tasks.continual_reber_correct(outputs, batch).all(0),
        None,
    ),
    "copy": (lambda rng, B: tasks.copy(rng, B, 7), tasks.copy_solved, None),
    "reber": (tasks.reber, tasks.reber_solved, None),
    "embedded_reber": (tasks.embedded_reber, tasks.embedded_reber_solved, None),
}


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", TASKS)
def test_the_form_of_a_batch(name):
    make = TASKS[name][0]
    batch, again = make(generator(), 40), make(generator(), 40)
    T, B, _ = batch.xs.shape
    assert batch.xs.dtype == batch.targets.dtype == np.float32 and batch.mask.dtype == bool
    assert batch.targets.shape[:2] == batch.mask.shape == (T, B)
    assert batch.mask.any(0).all() and batch.mask[-1].any()
    for ours, theirs in zip(batch, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Nothing follows the last target of a sequence.
    ended = ~np.logical_or.accumulate(batch.mask[::-1])[::-1]
    assert not batch.xs[ended].any() and not batch.targets[ended].any()


@pytest.mark.parametrize("name", [name for name in TASKS if TASKS[name][2]])
def test_the_rule_takes_errors_below_its_limit_and_no_larger_ones(name):
    make, solved, limit = TASKS[name]
    batch = make(generator(), 40)
    B = batch.xs.shape[1]
    # What happens at steps without a target is free.
    free = generator(1).normal(size=batch.targets.shape) * ~batch.mask[..., None]
    perfect = batch.targets + free
    assert solved(perfect, batch).tolist() == [True] * B
    last = len(batch.mask) - 1 - batch.mask[::-1, 0].argmax()
    for error, right in ((0.99 * limit, True), (1.01 * limit, False), (np.nan, False)):
        for sign in (-1, 1):
            outputs = perfect.copy()
            outputs[last, 0, -1] += sign * error
            assert solved(outputs, batch).tolist() == [right] + [True] * (B - 1)


def test_a_network_that_does_not_decide_solves_nothing():
    batch = tasks.anbn(generator(), 20)
    assert not tasks.anbn_solved(np.full_like(batch.targets, 0.5), batch).any()


@pytest.mark.parametrize("name", TASKS)
def test_the_rule_wants_outputs_for_every_target(name):
    make, solved, _ = TASKS[name]
    batch = make(generator(), 4)
    with pytest.raises(ValueError, match=r"outputs must have shape \(.*\), got \("):
        solved(batch.targets[1:], batch)


def test_adding_and_multiplication_by_the_words_of_the_paper():
    for make, low, answer in (
        (tasks.adding, -1, lambda x: 0.5 + sum(x) / 4),
        (tasks.multiplication, 0, lambda x: np.prod(x)),
    ):
        batch = make(generator(), 3000, 100)
        firsts, seconds, lengths, numbers = [], [], [], []
        for b in range(3000):
            (end,) = np.flatnonzero(batch.mask[:, b])
            values, markers = batch.xs[: end + 1, b].T
            assert 100 <= end + 1 <= 110
            assert markers[0] == markers[end] == -1 and set(markers[1:end]) <= {0, 1}
            marked = np.flatnonzero(markers == 1)
            assert (
                len(marked) in (1, 2)
                and marked.max() < 50
                and (marked < 10).any() | (len(marked) == 1)
            )
            # The paper's "rare case": a mark on the first step counts as the neutral element.
            assert batch.targets[end, b, 0] == pytest.approx(answer(values[marked]), abs=1e-6)
            lengths.append(end + 1)
            if len(marked) == 2:
                firsts.append(marked[0])
                seconds.append(marked[1])
            numbers.append(values)
        numbers = np.concatenate(numbers)
        assert set(lengths) == set(range(100, 111))
        # Of two marks the earlier is one of the first ten; the later goes up to half of T.
        assert set(firsts) == set(range(1, 10)) and max(seconds) == 49
        assert low <= numbers.min() < low + 0.001 and 0.999 < numbers.max() <= 1
        assert numbers.mean() == pytest.approx((low + 1) / 2, abs=0.01)
        # P(mark on step 0) = 1/10 as first, and (9/10)(1/49) as second.
        share = 1 - len(firsts) / 3000
        assert share == pytest.approx(0.1 + 0.9 / 49, abs=4 * np.sqrt(0.12 * 0.88 / 3000))


@pytest.mark.parametrize("T", [4, 7, 18])
def test_the_marks_of_short_sequences_are_in_the_first_half(T):
    batch = tasks.adding(generator(), 500, T)
    found = {k for k in range(len(batch.xs)) if (batch.xs[k, :, 1] == 1).any()}
    assert found == set(range(1, T // 2))


def test_temporal_order_by_the_words_of_the_paper():
    for relevant, windows, classes in (
        (2, [(10, 20), (50, 60)], ["XX", "XY", "YX", "YY"]),
        (3, [(10, 20), (33, 43), (66, 76)], list(map("".join, itertools.product("XY", repeat=3)))),
    ):
        batch = tasks.temporal_order(generator(), 2000, relevant=relevant)
        seen = {k: set() for k in range(relevant)}
        counts = dict.fromkeys(classes, 0)
        noise = ""
        assert set(batch.mask.argmax(0) + 1) == set(range(100, 111))
        for b in range(2000):
            (end,) = np.flatnonzero(batch.mask[:, b])
            assert 100 <= end + 1 <= 110 and np.all(batch.xs[: end + 1, b].sum(-1) == 1)
            string = "".join(order.SYMBOLS[k] for k in batch.xs[: end + 1, b].argmax(-1))
            assert re.fullmatch("E[abcdXY]*B", string)
            where = [m.start() for m in re.finditer("[XY]", string)]
            assert len(where) == relevant
            for k, (at, (low, high)) in enumerate(zip(where, windows, strict=True)):
                assert low <= at <= high
                seen[k].add(at)
            name = re.sub("[^XY]", "", string)
            counts[name] += 1
            assert batch.targets[end, b].tolist() == [float(name == c) for c in classes]
            noise += re.sub("[^abcd]", "", string)
        assert all(len(places) == 11 for places in seen.values())
        assert all(abs(n / 2000 - 1 / len(classes)) < 0.04 for n in counts.values())
        assert all(abs(noise.count(s) / len(noise) - 0.25) < 0.01 for s in "abcd")


L3 = "(?:XT*VP)*(?:S|XT*VV)"
REBER = f"B(?:TS*X{L3}|PT*V(?:V|P{L3}))E"
GRAMMARS = {
    "plain": (grammar.PLAIN, REBER, tasks.reber, 8),
    "embedded": (grammar.EMBEDDED, f"B(?:T{REBER}T|P{REBER}P)E", tasks.embedded_reber, 12),
}


def strings(batch):
    found = []
    for b in range(batch.xs.shape[1]):
        n = batch.mask[:, b].sum()
        numbers = [*batch.xs[:n, b].argmax(-1), batch.targets[n - 1, b].argmax()]
        assert np.array_equal(batch.xs[1:n, b], batch.targets[: n - 1, b])
        found.append("".join(grammar.SYMBOLS[k] for k in numbers))
    return found


@pytest.mark.parametrize("name", GRAMMARS)
def test_reber_strings_are_those_of_the_grammar(name):
    _, expression, make, mean = GRAMMARS[name]
    found = strings(make(generator(), 4000))
    assert all(re.fullmatch(expression, string) for string in found)
    short = min(map(len, found))
    assert short == mean - 3
    # Every string of the language that is short enough to be common, and no other, comes.
    inner = map("".join, itertools.product("TPSXV", repeat=6))
    expected = {s for s in (f"B{i}E" for i in inner) if re.fullmatch(REBER, s)}
    if name == "plain":
        assert {s for s in found if len(s) == 8} == expected
    else:
        assert {s[2:-2] for s in found if len(s) == 12} == expected
    # Mean length from the fixed point of the walk; its standard deviation is about 3.3.
    assert np.mean(list(map(len, found))) == pytest.approx(mean, abs=4 * 3.5 / np.sqrt(4000))
    assert np.mean([s[1] == "T" for s in found]) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("name", GRAMMARS)
def test_legal_symbols_are_those_that_some_string_goes_on_with(name):
    table, expression, make, mean = GRAMMARS[name]
    language = set(strings(make(generator(), 20000)))
    batch = make(generator(1), 300)
    allowed = grammar.legal(table, batch.xs)
    assert not allowed[~batch.mask].any()
    checked = 0
    for b, string in enumerate(strings(batch)):
        if len(string) > mean:  # a longer prefix is too rare to have all its continuations
            continue
        for t in range(len(string) - 1):
            prefix = string[: t + 1]
            follow = {s[t + 1] for s in language if s.startswith(prefix)}
            assert {grammar.SYMBOLS[k] for k in np.flatnonzero(allowed[t, b])} == follow
            checked += 1
    assert checked > 500
    with pytest.raises(ValueError, match="not legal"):
        grammar.legal(table, batch.xs[::-1])


def test_the_rule_for_reber_strings_wants_all_legal_symbols_above_all_others():
    batch = tasks.embedded_reber(generator(), 50)
    allowed = grammar.legal(grammar.EMBEDDED, batch.xs)
    outputs = np.where(allowed, 0.5, 0.1)
    assert tasks.embedded_reber_solved(outputs, batch).all()
    last = batch.mask[:, 0].sum() - 2  # the symbol before last: the long lag
    only = np.flatnonzero(allowed[last, 0])
    assert len(only) == 1 and grammar.SYMBOLS[only[0]] in "TP"
    other = grammar.SYMBOLS.index({"T": "P", "P": "T"}[grammar.SYMBOLS[only[0]]])
    for value, right in ((0.499, True), (0.5, False), (0.501, False), (np.nan, False)):
        outputs[last, 0, other] = value
        assert tasks.embedded_reber_solved(outputs, batch).tolist() == [right] + [True] * 49


def test_a_continual_stream_is_strings_one_after_the_other():
    batch = tasks.continual_reber(generator(), 5, 3000)
    assert batch.mask.all() and len(batch.xs) == 3000
    for stream in strings(batch):
        assert re.match(f"(?:{GRAMMARS['embedded'][1]})+", stream).end() > len(stream) - 60
    allowed = grammar.legal(grammar.EMBEDDED, batch.xs)
    halves = allowed / allowed.sum(-1, keepdims=True)
    correct = tasks.continual_reber_correct(halves, batch)
    assert tasks.steps_until_error(correct).tolist() == [3000] * 5
    # Who forgets the second symbol gives T and P 1/2 each at the symbol before last: wrong there,
    # though never off by more than 0.7.
    last_but_one = allowed.sum(-1) == 1
    last_but_one &= (allowed[..., 1] | allowed[..., 2]) & (batch.xs[..., 6] == 1)
    forgetful = np.where(last_but_one[..., None], np.eye(7)[[1, 2]].sum(0) / 2, halves)
    assert np.array_equal(tasks.continual_reber_correct(forgetful, batch), ~last_but_one)
    assert last_but_one.mean() == pytest.approx(1 / 12, rel=0.1)
    correct[7, 2] = correct[9, 2] = correct[0, 3] = False
    assert tasks.steps_until_error(correct).tolist() == [3000, 3000, 7, 0, 3000]


def test_lag_sequences_begin_and_end_with_the_same_symbol():
    for make in (tasks.noise_free_lag, tasks.random_lag):
        batch = make(generator(), 200, 20)
        assert batch.xs.shape == batch.targets.shape == (20, 200, 21) and batch.mask.all()
        xs, targets = batch.xs.argmax(-1), batch.targets.argmax(-1)
        assert np.array_equal(xs[1:], targets[:-1]) and np.array_equal(xs[0], targets[-1])
        assert set(xs[0]) == {19, 20} and abs(np.mean(xs[0] == 19) - 0.5) < 0.15
        middle = xs[1:]
        if make is tasks.noise_free_lag:
            assert np.array_equal(middle, np.repeat(np.arange(19)[:, None], 200, 1))
        else:
            assert set(middle.flat) == set(range(19)) and len(set(map(tuple, middle.T))) == 200
    # Task 2b asks for the last symbol only.
    outputs = batch.targets.copy()
    outputs[:-1] = 0
    assert tasks.random_lag_solved(outputs, batch).all()
    assert not tasks.noise_free_lag_solved(outputs, batch).any()


def test_copy_and_its_baseline():
    batch = tasks.copy(generator(), 100, 30)
    xs, targets = batch.xs.argmax(-1), batch.targets.argmax(-1)
    assert xs.shape == (50, 100)
    assert set(xs[:10].flat) == set(range(8))
    assert (xs[10:39] == 8).all() and (xs[39] == 9).all() and (xs[40:] == 8).all()
    assert (targets[:40] == 8).all() and np.array_equal(targets[40:], xs[:10])
    for value, right in ((0.99, True), (1, False), (1.01, False), (np.nan, False)):
        outputs = batch.targets.copy()
        outputs[-1, 0, 8] = value  # a blank instead of the last symbol
        assert tasks.copy_solved(outputs, batch).tolist() == [right] + [True] * 99
    # Sure of the blanks, uniform over the eight symbols at the end.
    probability = np.where(np.arange(50)[:, None] < 40, 1, 1 / 8)
    loss = -np.log(probability * np.ones((50, 100))).mean()
    assert tasks.copy_baseline(30) == pytest.approx(loss, rel=1e-12)


def test_anbn_says_what_may_follow():
    batch = tasks.anbn(generator(), 300, n_max=6)
    # The same by brute force: what some string of the language goes on with.
    language = ["S" + "a" * n + "b" * n + "T" for n in range(1, 9)]
    for b in range(300):
        length = batch.mask[:, b].sum()
        string = "".join("Sab"[k] for k in batch.xs[:length, b].argmax(-1))
        assert string + "T" in language[:6]
        for t in range(length):
            follow = {s[t + 1] for s in language if s.startswith(string[: t + 1])}
            assert {"abT"[k] for k in np.flatnonzero(batch.targets[t, b])} == follow
    assert set(batch.mask.sum(0)) == {3, 5, 7, 9, 11, 13}
    assert set(tasks.anbn(generator(), 50, n_max=9, n_min=8).mask.sum(0)) == {17, 19}


def test_parity_is_that_of_the_ones():
    batch = tasks.parity(generator(), 500, 50)
    for b in range(500):
        (end,) = np.flatnonzero(batch.mask[:, b])
        values = batch.xs[: end + 1, b, 0]
        assert set(values) == {1, -1}
        assert batch.targets[end, b, 0] == np.sum(values == 1) % 2
    assert set(batch.mask.argmax(0) + 1) == set(range(50, 61))
    assert 0.4 < batch.targets.sum() / 500 < 0.6


def test_spikes_come_a_delay_after_the_period():
    for make in (tasks.measure_delays, tasks.generate_spikes):
        batch = make(generator(), 60, 10, (0, 2, 5), 4)
        spikes, delays = (batch.xs, batch.targets)[:: 1 if make is tasks.measure_delays else -1]
        for b in range(60):
            times = np.flatnonzero(spikes[:, b, 0]) + 1
            assert len(times) == 4 and set(spikes[:, b, 0]) == {0, 1}
            extra = np.diff(times, prepend=0) - 10
            assert set(extra) <= {0, 2, 5}
            if make is tasks.measure_delays:
                assert np.array_equal(delays[times - 1, b, 0], extra)
                assert np.array_equal(np.flatnonzero(batch.mask[:, b]), times - 1)
            else:
                assert np.array_equal(delays[: times[-1], b, 0], np.repeat(extra, extra + 10))
                assert np.array_equal(np.flatnonzero(batch.mask[:, b]), np.arange(times[-1]))
    assert np.unique(extra).size > 1


def test_periodic_functions():
    for shape in ("cosine", "triangle", "rectangle"):
        batch = tasks.periodic(shape, F=10, periods=3)
        f = batch.targets[:, 0, 0]
        assert len(f) == 30 and not batch.xs.any() and batch.mask.all()
        np.testing.assert_array_equal(f[:10], f[10:20])
        assert f[0] == 0 and f.max() == 1 and f.min() == 0
    assert f[:10].tolist() == [0] * 6 + [1] * 4
    triangle = tasks.periodic("triangle", F=10).targets[:10, 0, 0]
    np.testing.assert_allclose(triangle, [0, 0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2], rtol=1e-6)
    cosine = tasks.periodic("cosine", F=4).targets[:4, 0, 0]
    np.testing.assert_allclose(cosine, [0, 0.5, 1, 0.5], atol=1e-6)


def test_training_stops_by_the_last_2000_sequences():
    correct, errors = [False] * 5 + [True] * 2000, [1.0] * 5 + [0.009] * 2000
    assert tasks.finished(correct, errors, limit=0.01)
    assert not tasks.finished(correct, errors, limit=0.009)
    assert not tasks.finished(correct[-1999:], errors[-1999:], limit=0.01)
    correct[100] = False
    assert not tasks.finished(correct, errors, limit=0.01)
    assert tasks.finished(correct, errors, wrong=1)


def test_an_error_of_just_the_limit_is_too_large():
    """Or a network that always answers 1/2 would pass for one that counts."""
    batch = tasks.anbn(generator(), 20)
    assert not tasks.anbn_solved(np.full_like(batch.targets, 0.5), batch).any()
    for sign in (-1, 1):
        outputs = batch.targets + sign * np.float32(0.25)
        assert not tasks.within(outputs, batch, 0.25).any()
        assert tasks.within(outputs, batch, 0.2501).all()
    with pytest.raises(ValueError, match="errors must be 4, as many as correct, got 1"):
        tasks.finished([True] * 4, [0.0], window=4)
    assert not tasks.finished([True] * 4, [0.25] * 4, limit=0.25, window=4)
    assert tasks.finished([True] * 4, [0.25] * 4, limit=0.2501, window=4)
    # Only the window counts, and as many as it may be wrong.
    assert tasks.finished([False, *[True] * 4], [9.0, *[0.25] * 4], limit=0.2501, window=4)
    assert tasks.finished([True, True, False, False], [0.0] * 4, wrong=2, window=4)
    assert not tasks.finished([True, False, False, False], [0.0] * 4, wrong=2, window=4)


def test_mean_error_counts_targets_only():
    batch = tasks.measure_delays(generator(), 3, 10, (0, 1), 2)
    outputs = batch.targets + 0.25 + 100 * ~batch.mask[..., None]
    np.testing.assert_allclose(tasks.mean_error(outputs, batch), 0.25, rtol=1e-6)
    batch = tasks.anbn(generator(), 20)  # of three outputs the mean, too
    np.testing.assert_allclose(tasks.mean_error(batch.targets + 0.25, batch), 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda rng: tasks.adding(rng, 0), "B must be a whole number of at least 1, got 0"),
        (lambda rng: tasks.adding(rng, 1, 3), "T must be a whole number of at least 4, got 3"),
        (lambda rng: tasks.temporal_order(rng, 1, 9.5), "T must be .* at least 10, got 9.5"),
        (lambda rng: tasks.temporal_order(rng, 1, relevant=4), "relevant must be 2 or 3, got 4"),
        (lambda rng: tasks.noise_free_lag(rng, 1, 1), "p must be .* at least 2, got 1"),
        (lambda rng: tasks.anbn(rng, 1, 2, 3), "n_max must be .* at least 3, got 2"),
        (lambda rng: tasks.measure_delays(rng, 1, delays=(-1,)), r"delays must be .*, got \[-1\]"),
        (lambda rng: tasks.periodic("saw"), "shape must be one of .*, got 'saw'"),
        (lambda rng: wilson_interval(3, 2), "successes must be in 0 … 2 .* got 3"),
        (lambda rng: wilson_interval(0, 0), "runs at least 1"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call(generator())
