import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import scipy
from threadpoolctl import threadpool_limits

from book.experiments import hs1997, timing
from book.experiments.lab import runner, streams, training
from book.experiments.lab.machine import machine
from book.experiments.lab.training import Network, Settings, Task, count, examine, train, units
from companion import forward, gate, init, tasks
from companion.gradcheck import check_cell
from companion.tasks import Batch, grammar

SMALL = Settings("lstm1997", H=3, lr=0.01, B=4, budget=200)
LAG = Task(lambda rng, B: tasks.noise_free_lag(rng, B, 4), tasks.noise_free_lag_solved, window=50)


def without_time(outcome):
    return {name: value for name, value in outcome.items() if name != "seconds"}


def test_the_same_seed_gives_the_same_outcome_and_another_one_does_not():
    first, again, other = (train(LAG, SMALL, seed, tests=50) for seed in (0, 0, 1))
    assert without_time(first) == without_time(again) != without_time(other)
    assert first["sequences"] == 200 and not first["solved"]
    stream = Settings("lstm1997", H=3, lr=0.01, B=2, budget=2000)
    first, again = (streams.train_on_stream(stream, 0, test=1000) for _ in range(2))
    assert without_time(first) == without_time(again)


def test_training_stops_by_the_rule_and_its_proof():
    easy = Task(LAG.make, lambda outputs, batch: np.ones(batch.mask.shape[1], bool), window=50)
    assert train(easy, SMALL, 0, tests=50)["sequences"] == 52
    tried = []
    never = replace(easy, proof=lambda net, rng: tried.append(rng.bit_generator.state))
    outcome = train(never, SMALL, 0, tests=50)
    assert not outcome["solved"] and outcome["sequences"] == 200
    # Three times, on sequences that are drawn as those of the test are.
    assert tried == [np.random.default_rng([0, 2]).bit_generator.state] * 3
    fresh = Task(easy.make, LAG.solved, window=50, fresh=lambda rng, B: tasks.random_lag(rng, B, 9))
    with pytest.raises(ValueError, match="weight_ih"):  # the test sequences have other inputs
        train(fresh, SMALL, 0, tests=50)


def test_the_rule_asks_for_the_error_and_the_window_of_the_task():
    """A network that errs by 0.3 everywhere, on sequences of which all count as right."""
    batch = tasks.adding(np.random.default_rng(0), 4, 8)

    class Constant(Network):
        def learn(self, batch, state=None, lr=None):
            return batch.targets + 0.3, None

    found = {}
    for limit, window in ((0.31, 40), (0.29, 40), (0.31, 80)):
        task = Task(lambda rng, B: batch, lambda *_: np.ones(4, bool), limit, window)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "Network", Constant)
            found[limit, window] = train(task, SMALL, 0, tests=4)["sequences"]
    assert found == {(0.31, 40): 40, (0.29, 40): 200, (0.31, 80): 80}


def test_the_rule_counts_from_the_first_sequence_on(monkeypatch):
    """One that is far off spoils the mean until it has left the window."""
    batch = tasks.adding(np.random.default_rng(0), 4, 8)

    class Late(Network):
        def learn(self, batch, state=None, lr=None):
            outputs = batch.targets + 0.3
            outputs[:, 0] += 50 * (self.seen == 0)
            self.seen += 4
            return outputs, None

    seconds = iter((10.0, 12.34))
    monkeypatch.setattr(training, "Network", Late)
    monkeypatch.setattr(training.time, "process_time", lambda: next(seconds))
    task = Task(lambda rng, B: batch, lambda *_: np.ones(4, bool), limit=0.31, window=40)
    found = train(task, SMALL, 0, tests=4)
    assert found["solved"] and found["sequences"] == 44 and found["seconds"] == 2.3


def test_weights_training_and_test_are_drawn_apart():
    """A generator of its own for each, of the seed; one more tells the sizes."""
    met = {}

    def meet(rng):
        met.setdefault(id(rng), (rng, rng.bit_generator.state))

    def make(rng, B):
        meet(rng)
        return LAG.make(rng, B)

    for seed in (3, 4):
        train(replace(LAG, make=make), SMALL, seed, tests=50)
    firsts = [state for _, state in met.values()]
    sizes, seeds = [0], [[seed, k] for seed in (3, 4) for k in (1, 2)]
    order = [sizes, *seeds[:2], sizes, *seeds[2:]]
    assert firsts == [np.random.default_rng(seed).bit_generator.state for seed in order]

    drawn = []

    def start(params, rng):
        drawn.append(rng.random())
        return params

    for seed in (3, 4):
        train(LAG, replace(SMALL, start=start), seed, tests=50)
        rng = np.random.default_rng([seed, 0])
        Network(SMALL, 5, 5, rng)  # draws its weights
        assert drawn[-1] == rng.random()


def test_a_state_that_is_given_is_gone_on_from():
    batch = tasks.noise_free_lag(np.random.default_rng(0), 4, 8)
    net = Network(SMALL, 9, 9, np.random.default_rng(0))
    whole, last = net.outputs(batch.xs)
    first, state = net.outputs(batch.xs[:3])
    rest, end = net.outputs(batch.xs[3:], state)
    np.testing.assert_allclose(np.concatenate([first, rest]), whole, rtol=0, atol=1e-6)
    np.testing.assert_allclose(end[-1], last[-1], rtol=0, atol=1e-6)
    before, learned = net.learn(Batch(*(array[3:] for array in batch)), state)
    np.testing.assert_allclose(before, whole[3:], rtol=0, atol=1e-6)
    np.testing.assert_allclose(learned[-1], last[-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("squash", ["sigmoid", "identity"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_learning_goes_down_the_loss_that_it_names(squash, shortcut):
    batch = tasks.noise_free_lag(np.random.default_rng(0), 3, 5)
    settings = Settings("rnn", H=4, lr=1e-3, shortcut=shortcut, clip=1e9)
    net = Network(settings, 6, 6, np.random.default_rng(1), squash)
    assert len(net.vector) == count("rnn", 6, 4, 6) + 36 * shortcut

    def loss(vector):
        net._set(vector)
        y, t = net.outputs(batch.xs)[0].astype(float), batch.targets
        each = -t * np.log(y) - (1 - t) * np.log(1 - y) if squash == "sigmoid" else (y - t) ** 2 / 2
        return each.sum() / batch.mask.sum()

    start = net.vector.copy()
    net.learn(batch)
    # Adam's first step is lr times the sign of the gradient; float32 allows about 1e-4 here.
    slope = np.array(
        [loss(start + h) - loss(start - h) for h in 1e-2 * np.eye(len(start), dtype=np.float32)]
    )
    net._set(start)
    net.memory = None
    net.learn(batch)
    clear = np.abs(slope) > 1e-4
    assert clear.mean() > 0.5
    assert np.array_equal(np.sign(start - net.vector)[clear], np.sign(slope)[clear])


def moments(net, batch):
    """The first gradient that Adam meets, by name: its first moment is a tenth of it."""
    net.learn(batch)
    steps, first, _ = net.memory
    assert steps == 1
    gradient, at = {}, 0
    for name, shape in net.shapes.items():
        size = int(np.prod(shape))
        gradient[name] = first["all"][at : at + size].reshape(shape) / np.float32(0.1)
        at += size
    return gradient


@pytest.mark.parametrize("squash", ["sigmoid", "identity"])
def test_the_gradient_has_the_size_of_the_mean_over_the_targets(squash):
    """On a task whose targets count at some steps alone: neither more steps nor other weights."""
    batch = tasks.adding(np.random.default_rng(0), 3, 6)
    assert 0 < batch.mask.mean() < 0.5
    # What is outside the mask must not matter, whatever it is.
    targets = np.where(batch.mask[..., None], batch.targets, np.float32(7))
    net = Network(Settings("rnn", H=4, lr=1e-3, clip=1e9), 2, 1, np.random.default_rng(1), squash)
    start = net.vector.copy()
    gradient = moments(net, batch._replace(targets=targets))

    def loss(vector):
        net._set(vector.astype(np.float32))
        y, t = net.outputs(batch.xs)[0].astype(float)[batch.mask], batch.targets[batch.mask]
        each = -t * np.log(y) - (1 - t) * np.log(1 - y) if squash == "sigmoid" else (y - t) ** 2 / 2
        return each.sum() / len(t)

    h = 1e-2
    slope = [(loss(start + h * e) - loss(start - h * e)) / (2 * h) for e in np.eye(len(start))]
    found = np.concatenate([value.ravel() for value in gradient.values()])
    # float32 and a step of 0.01: about 1e-4 of the largest.
    np.testing.assert_allclose(found, slope, atol=2e-3 * np.abs(slope).max())


def test_the_gradient_is_clipped():
    batch = tasks.adding(np.random.default_rng(0), 3, 6)
    for clip in (1e-3, 1e9):
        net = Network(Settings("rnn", H=4, lr=1e-3, clip=clip), 2, 1, np.random.default_rng(1))
        norm = np.sqrt(sum(np.sum(g**2) for g in moments(net, batch).values()))
        assert norm == pytest.approx(1e-3, rel=1e-4) if clip == 1e-3 else norm > 1e-2


def test_an_experiment_may_make_the_first_weights_itself():
    def start(params, rng):
        return {name: 0 * value + 2 for name, value in params.items()}

    twos = Settings("rnn", 3, 0.01, start=start)
    assert (Network(twos, 2, 1, np.random.default_rng(0)).vector == 2).all()


class Stub:
    """A network whose answers are known: right, but for every `wrong`-th sequence that it sees."""

    def __init__(self, answers, wrong=0):
        self.answers, self.wrong, self.seen = answers, wrong, 0

    def outputs(self, xs):
        B = xs.shape[1]
        outputs = self.answers(xs).astype(np.float32)
        numbers = np.arange(self.seen + 1, self.seen + B + 1)
        self.seen += B
        if self.wrong:
            outputs[:, numbers % self.wrong == 0] = 0.5
        return outputs, None


FIRST = Task(
    lambda rng, B: Batch(
        rng.integers(0, 2, (5, B, 1)).astype(np.float32),
        np.zeros((5, B, 1), np.float32),
        np.arange(5)[:, None] + np.zeros((1, B)) == 4,
    ),
    lambda outputs, batch: tasks.within(outputs, batch, 0.4),
)


def test_examine_counts_what_is_wrong_and_averages_the_error():
    rng = np.random.default_rng(0)
    assert examine(FIRST, Stub(lambda xs: 0 * xs), rng, 600) == (0, 0.0)
    assert examine(FIRST, Stub(lambda xs: 0 * xs + 1), rng, 600) == (600, 1.0)
    stub = Stub(lambda xs: 0 * xs, wrong=3)
    assert examine(FIRST, stub, rng, 600) == (200, pytest.approx(0.5 / 3, abs=1e-5))
    assert stub.seen == 600  # three batches, the last one smaller
    other = replace(
        FIRST, fresh=lambda rng, B: FIRST.make(rng, B)._replace(targets=1 + np.zeros((5, B, 1)))
    )
    assert examine(other, Stub(lambda xs: 0 * xs), rng, 300) == (300, 1.0)


def test_the_proof_of_a_lag_is_10_000_sequences_without_one_wrong():
    task = hs1997.lag(tasks.noise_free_lag, tasks.noise_free_lag_solved)
    assert task.window == 200
    answers = tasks.noise_free_lag(np.random.default_rng(0), 1)

    def right(xs):  # the first symbol comes back at the end
        shown = np.zeros((*xs.shape[:2], answers.targets.shape[-1]))
        batch = next(iter(seen))
        return batch.targets if batch.targets.shape[:2] == xs.shape[:2] else shown

    seen = []
    make = task.make

    def watched(rng, B):
        seen[:] = [make(rng, B)]
        return seen[0]

    for wrong, proven, tried in ((0, True, 10_000), (9_990, False, 10_000), (3, False, 250)):
        stub = Stub(right, wrong)
        task = hs1997.lag(watched, tasks.noise_free_lag_solved)
        assert task.proof(stub, np.random.default_rng(1)) is proven
        assert stub.seen == tried


def test_the_rate_is_raised_while_frozen_and_adam_then_starts_anew(monkeypatch):
    rates, steps, adam = [], [], training.adam

    def watched(params, grads, memory, lr):
        rates.append(float(lr))
        new, memory = adam(params, grads, memory, lr)
        steps.append(memory[0])
        return new, memory

    monkeypatch.setattr(training, "adam", watched)
    settings = Settings("lstm1997", H=3, lr=0.01, B=4, shortcut=True, frozen=8)
    net = Network(settings, 5, 5, np.random.default_rng(0))
    for _ in range(4):
        net.learn(tasks.noise_free_lag(np.random.default_rng(0), 4, 4))
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01]) and steps == [1, 2, 1, 2]


def test_a_result_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "name.json"
    runner.write(path, {"settings": {}, "runs": [{"seed": 0}]})
    before = path.read_text()

    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        runner.write(path, {"settings": {}, "runs": [{"seed": 0}, {"seed": 1}]})
    assert path.read_text() == before


def test_a_file_is_written_as_those_that_the_package_reads(tmp_path):
    stored, path = runner.RESULTS / "counters.json", tmp_path / "new" / "folder" / "counters.json"
    assert runner.RESULTS.samefile(str(files("companion.data").joinpath("results")))
    runner.write(path, json.loads(stored.read_text()))
    assert path.read_text() == stored.read_text()


def test_an_experiment_says_what_it_does(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["name", "--help"])
    with pytest.raises(SystemExit):
        runner.run("name", "What it is about.", {"seeds": 1}, list, dict)
    said = capsys.readouterr().out
    assert "usage: python -m book.experiments.name" in said and "What it is about." in said


def test_a_run_is_found_again_whatever_the_order_of_its_job(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["name", "--folder", str(tmp_path)])
    for job in ({"seed": 0, "T": 1}, {"T": 1, "seed": 0}):
        runner.run("name", "help", {"seeds": 1}, lambda seeds, job=job: [job], lambda job: {})
    assert len(json.loads((tmp_path / "name.json").read_text())["runs"]) == 1


def test_a_machine_is_named_with_its_libraries():
    found = machine(["numpy", "scipy", "no-such-library"])
    assert found["python"] == platform.python_version() and "no-such-library" not in found
    assert [found[name] for name in ("numpy", "scipy")] == [np.__version__, scipy.__version__]
    info = Path("/proc/cpuinfo")
    if info.exists() and "model name" in info.read_text():
        assert f"model name\t: {found['processor']}\n" in info.read_text()


def test_runs_have_one_thread_and_name_a_commit_that_was_changed(tmp_path, monkeypatch):
    from threadpoolctl import threadpool_info

    threads = []

    def outcome(job):
        np.ones((2, 2)) @ np.ones((2, 2))
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return {}

    monkeypatch.setattr(sys, "argv", ["name", "--folder", str(tmp_path)])
    with threadpool_limits(2):
        runner.run("name", "help", {"seeds": 1}, lambda seeds: [{"seed": 0}], outcome)
    assert threads and set(threads) == {1}

    folder = tmp_path / "book"

    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder)

    for part in ("companion", "book/experiments", "tests"):
        (folder / part).mkdir(parents=True)
        (folder / part / "a.py").write_text("a = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    monkeypatch.setattr(runner, "ROOT", folder)
    clean = runner.commit()
    assert len(clean) >= 7 and "+" not in clean
    (folder / "tests" / "a.py").write_text("a = 2\n")
    assert runner.commit() == clean
    for part in ("companion", "book/experiments"):
        (folder / part / "a.py").write_text("a = 2\n")
        assert runner.commit() == clean + "+"
        (folder / part / "a.py").write_text("a = 1\n")


def test_a_falling_rate_ends_at_zero(monkeypatch):
    rates, learn = [], Network.learn

    def watched(self, batch, state=None, lr=None):
        rates.append(lr)
        return learn(self, batch, state, lr)

    monkeypatch.setattr(Network, "learn", watched)
    train(LAG, replace(SMALL, falling=True), 0, tests=50)
    np.testing.assert_allclose(rates, np.linspace(0.01, 0, 51)[:-1])
    rates.clear()
    train(LAG, SMALL, 0, tests=50)
    assert rates == [0.01] * 50


def test_a_gradient_that_is_not_finite_is_left_out():
    net = Network(SMALL, 5, 5, np.random.default_rng(0))
    batch = tasks.noise_free_lag(np.random.default_rng(0), 4, 4)
    before = net.vector.copy()
    with np.errstate(invalid="ignore"):
        net.learn(batch._replace(targets=np.full_like(batch.targets, np.inf)))
    np.testing.assert_array_equal(net.vector, before)
    net.learn(batch)
    assert np.all(np.isfinite(net.vector)) and np.any(net.vector != before)


def test_frozen_cells_do_not_learn_and_then_do():
    settings = Settings("lstm1997", H=3, lr=0.01, B=4, shortcut=True, frozen=8)
    net = Network(settings, 5, 5, np.random.default_rng(0))
    batch = tasks.noise_free_lag(np.random.default_rng(0), 4, 4)
    for moves in (False, False, True):
        before = {name: value.copy() for name, value in net.params.items()}
        net.learn(batch)
        for name in before.keys() - {"weight", "bias"}:
            assert np.any(net.params[name] != before[name]) == moves
        assert np.any(net.params["weight"][:, :3] != before["weight"][:, :3]) == moves
        assert np.any(net.params["weight"][:, 3:] != before["weight"][:, 3:])


def test_first_weights_are_scaled_and_then_biases_added():
    settings = replace(SMALL, cell="peephole", input_bias=-1.0, forget_bias=-2.0, output_bias=3.0)
    scaled = replace(settings, scale=0.125)
    none = replace(settings, input_bias=0.0, forget_bias=0.0, output_bias=0.0)
    net, small, plain = (
        Network(s, 5, 2, np.random.default_rng(0)) for s in (settings, scaled, none)
    )
    added = {"i": -1.0, "f": -2.0, "o": 3.0, "g": 0.0}
    assert gate(plain.cell, plain.params["bias_ih"], "f").any()  # added to what was drawn
    for name, value in plain.params.items():
        bias = np.zeros_like(value)
        if name == "bias_ih":
            for letter, number in added.items():
                gate(plain.cell, bias, letter)[:] = number
        np.testing.assert_allclose(net.params[name], value + bias, rtol=1e-6)
        np.testing.assert_allclose(small.params[name], 0.125 * value + bias, rtol=1e-6)


def test_the_cell_without_peepholes_is_the_one_with_peepholes_of_zero():
    seen, unseen = timing.PLAIN["peepholes"], timing.PLAIN["no peepholes"]
    rng = np.random.default_rng(0)
    params = {name: 2 * value for name, value in init(seen, 2, 3, rng).items()}
    xs = rng.normal(size=(5, 4, 2))
    blind = {name: 0 * v if name.startswith("p_") else v for name, v in params.items()}
    ys = forward(unseen, params, xs)[0]
    np.testing.assert_allclose(ys, forward(seen, blind, xs)[0], rtol=0, atol=1e-13)
    assert np.abs(ys - forward(seen, params, xs)[0]).max() > 0.1
    assert check_cell(unseen).ok and check_cell(seen).ok


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole"])
def test_units_spend_the_budget_and_no_more(cell):
    H = units(cell, 8, 4, 1000)
    assert count(cell, 8, H, 4) <= 1000 < count(cell, 8, H + 1, 4)
    assert units(cell, 8, 4, count(cell, 8, 5, 4)) == 5  # as many as allowed is allowed


def test_the_reber_experiment_is_proven_on_256_strings_and_256_others():
    seen = []

    class Perfect:
        def outputs(self, xs):
            seen.append(Batch(xs, xs, xs.any(-1)))
            return grammar.legal(grammar.EMBEDDED, xs) * 1.0, None

    task = hs1997.reber(0)
    assert task.proof(Perfect(), None)
    known, others = ({hs1997.string(batch, b) for b in range(256)} for batch in seen)
    assert not known & others
    batch = task.make(np.random.default_rng(0), 2000)
    assert {hs1997.string(batch, b) for b in range(2000)} == known
    fresh = task.fresh(np.random.default_rng(0), 50)
    joined = hs1997.joined([hs1997.column(fresh, b) for b in range(50)])
    for ours, theirs in zip(joined, fresh, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_experiment_goes_on_where_it_stopped(tmp_path, monkeypatch):
    done = []

    def outcome(job):
        if len(done) == 3:
            raise RuntimeError
        done.append(job)
        return {"solved": True}

    def jobs(seeds):
        return [{"T": T, "seed": seed} for seed in seeds for T in (10, 20)]

    def start(settings, *words, **options):
        monkeypatch.setattr(sys, "argv", ["name", "--folder", str(tmp_path), *words])
        runner.run("name", "help", settings, jobs, outcome, **options)

    settings = {"seeds": 2, "sizes": (1, 2)}
    with pytest.raises(RuntimeError):
        start(settings)
    assert len(json.loads((tmp_path / "name.json").read_text())["runs"]) == 3
    done.clear()
    start(settings)
    assert done == [{"T": 20, "seed": 1}]
    start(settings, "--seeds", "1", "5")
    assert done[1:] == [{"T": 10, "seed": 5}, {"T": 20, "seed": 5}]
    results = json.loads((tmp_path / "name.json").read_text())
    assert len(results["runs"]) == 6 and results["machine"]["numpy"] == np.__version__
    assert list(results["machine"])[2:] == ["numpy", "scipy", "numba"]
    assert all(run["solved"] and run["commit"] for run in results["runs"])
    with pytest.raises(SystemExit):
        start({"seeds": 3})
    monkeypatch.setattr(runner, "machine", lambda libraries: {"processor": "another"})
    with pytest.raises(SystemExit):  # its seconds would stand beside another processor's
        start(settings, "--seeds", "7")
    assert json.loads((tmp_path / "name.json").read_text()) == results
    done.clear()
    start(settings, "--seeds", "7", anywhere=True)
    stored = json.loads((tmp_path / "name.json").read_text())
    assert stored["machine"] == results["machine"]
    assert [run.get("machine") for run in stored["runs"][5:]] == [
        None,
        *2 * [{"processor": "another"}],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["name.json"]
