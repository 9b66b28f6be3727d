"""The stored results belong to the experiments as they are: settings, jobs, and what can be rerun.

What a training gives differs between processors; what is counted, solved or read off does not.
"""

import base64
import hashlib
import importlib
import json
from collections import namedtuple
from importlib.resources import files

import numpy as np
import pytest

from companion.data import load_result

pytest.importorskip("torch")

NAMES = sorted(path.stem for path in files("companion.data").joinpath("results").iterdir())
# How many runs there are to be, and with which versions, may change without a run.
FREE = {"seeds", "torch", "sklearn", "sacrebleu", "gensim"}


def experiment(name):
    return importlib.import_module(f"book.experiments.{name}")


def fixed(settings):
    """Without what is free, at every level."""
    if not isinstance(settings, dict):
        return settings
    return {key: fixed(value) for key, value in settings.items() if key not in FREE}


def through_json(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_jobs_are_those_of_the_experiment(name):
    if name == "word_vectors":
        pytest.importorskip("gensim")
    stored, module = load_result(name), experiment(name)
    assert fixed(stored["settings"]) == fixed(through_json(module.SETTINGS))
    jobs = [through_json(job) for job in module.jobs(range(stored["settings"]["seeds"]))]
    runs = [run["job"] for run in stored["runs"]]
    assert all(job in jobs for job in runs)
    for some in (jobs, runs):
        assert len({json.dumps(job, sort_keys=True) for job in some}) == len(some)


def agrees(found, stored, tolerance):
    """Equal, numbers but for the tolerance."""
    if isinstance(stored, dict):
        return found.keys() == stored.keys() and all(
            agrees(found[key], value, tolerance) for key, value in stored.items()
        )
    if isinstance(stored, list):
        return len(found) == len(stored) and all(
            agrees(ours, theirs, tolerance) for ours, theirs in zip(found, stored, strict=True)
        )
    if isinstance(stored, int | float):
        return abs(found - stored) <= tolerance
    return found == stored


def stored_run(name, job):
    (run,) = (run for run in load_result(name)["runs"] if run["job"] == job)
    return {k: v for k, v in run.items() if k not in ("job", "commit", "seconds", "machine")}


def comes_out_again(name, job, tolerance):
    found = through_json(experiment(name).outcome(job))
    found.pop("seconds", None)
    return agrees(found, stored_run(name, job), tolerance)


# The last digit that is stored may differ: MAPE has four, weather by forecast three.
@pytest.mark.parametrize(
    ("name", "job", "tolerance"),
    [
        ("energy", {"method": "day"}, 1.1e-4),
        ("energy", {"method": "week"}, 1.1e-4),
        ("energy", {"method": "reference"}, 1.1e-4),
        ("energy", {"method": "ridge"}, 1.1e-4),
        ("energy", {"method": "ridge", "tomorrow": True}, 1.1e-4),
        (
            "energy",
            {"choice": True, "method": "ridge", "tomorrow": False, "other": {"alpha": 3}},
            1.1e-5,
        ),
        ("weather", {"method": "stays"}, 1.1e-3),
        ("weather", {"method": "mean of days", "days": 15}, 1.1e-3),
        ("weather", {"method": "linear"}, 1.1e-3),
        ("weather", {"choice": True, "method": "mean of days", "days": 2}, 1.1e-4),
        (
            "weather",
            {"choice": True, "method": "linear", "other": {"n": 1, "alpha": 100}},
            1.1e-4,
        ),
    ],
)
def test_forecasts_without_a_network_come_out_again(name, job, tolerance):
    pytest.importorskip("sklearn")
    assert comes_out_again(name, job, tolerance)


@pytest.mark.parametrize("order", [1, 3])
def test_counts_of_characters_come_out_again(order):
    assert comes_out_again("race", {"order": order}, 1.1e-4)


@pytest.mark.parametrize("facts", [1, 2])
def test_answers_without_a_network_come_out_again(facts):
    """Of 1,000 answers three may differ, where a fit ends a rounding elsewhere."""
    pytest.importorskip("sklearn")
    job = {"facts": facts, "N": 1000, "method": "baselines", "seed": 0}
    assert comes_out_again("stories", job, 0.003)


@pytest.mark.parametrize("way", ["naive bayes", "mean of glove"])
def test_sentences_are_judged_again_as_they_were(way):
    """Of 2,098 sentences two may be judged otherwise."""
    pytest.importorskip("sklearn")
    job = {"n": 100, "way": way, "seed": 0}
    found = experiment("vectors_for_sentiment").outcome(job)
    stored = stored_run("vectors_for_sentiment", job)
    ours, theirs = (
        np.unpackbits(np.frombuffer(base64.b64decode(run.pop("bits")), np.uint8))
        for run in (found, stored)
    )
    assert (ours != theirs).sum() <= 2 and ours[: found["of"]].sum() == found["right"]
    assert abs(found.pop("right") - stored.pop("right")) <= 2
    assert agrees(found, stored, 1.1e-3)


def test_films_are_continued_without_a_network_as_they_were(monkeypatch):
    pytest.importorskip("sklearn")
    films = experiment("moving_digits")
    monkeypatch.setitem(films.SETTINGS["linear"], "N", [300])
    found = films.outcome({"method": "baselines"})
    stored = stored_run("moving_digits", {"method": "baselines"})
    assert found["film"] == stored["film"] and len(found["errors"]) == 2
    for name, errors in found["errors"].items():
        assert agrees(errors, stored["errors"][name], 1.1e-5)


@pytest.mark.parametrize("method", experiment("gradient_norm").SETTINGS["methods"])
def test_norms_of_gradients_come_out_again(method, monkeypatch):
    """Up to 20 steps: beyond, an unstable network makes much of a rounding."""
    norms = experiment("gradient_norm")
    monkeypatch.setitem(norms.SETTINGS, "lags", norms.SETTINGS["lags"][:5])
    monkeypatch.setattr(norms, "max", lambda lags: 100, raising=False)  # as many inputs as ever
    job = {"method": method, "seed": 3}
    stored, found = stored_run("gradient_norm", job), norms.outcome(job)
    for key in ("norms", "gates"):
        np.testing.assert_allclose(found[key], stored[key][:5], rtol=1e-7)


@pytest.mark.parametrize(("bias", "scale"), [(-2, 1), (1, 1), (2, 1), (1, 0.5)])
def test_updates_of_newtons_method_come_out_again(bias, scale, monkeypatch):
    solver = experiment("newton")
    job = {"network": "drawn", "seed": 1, "bias": bias, "scale": scale}
    stored, inputs = stored_run("newton", job), solver.network(job)[1]
    assert hashlib.sha256(inputs.tobytes()).hexdigest() == stored["data"]
    monkeypatch.setitem(solver.SETTINGS, "lengths", solver.SETTINGS["lengths"][:4])
    found = solver.outcome(job)
    for name in ("plain", "bounded"):
        assert found["updates"][name] == stored["updates"][name][:4]
    assert abs(found["exponent"] - stored["exponent"]) < 1.1e-5


def test_newtons_method_ends_within_a_hundred_roundings(monkeypatch):
    solver = experiment("newton")
    guess = namedtuple("guess", "states residual")
    xs, met = np.zeros((1, 1, 1)), []

    def newton(cell, params, xs, state, inside):
        for residual in residuals:
            met.append(residual)
            yield guess(np.array([-9.0, 2.0]), residual)

    monkeypatch.setattr(solver, "newton", newton)
    bound = 100 * np.finfo(float).eps * 10  # of 1 + the largest state
    residuals = [1.0, 1.1 * bound, 0.9 * bound, 0.0]
    assert solver.updates(None, xs, None) == (2, 0.9 * bound) and len(met) == 3
    residuals = [1.0] * 200
    assert solver.updates(None, xs, None) == (None, 1.0) and len(met) == 3 + 101


def test_the_character_model_reads_the_test_part_in_newtons_experiment():
    _, xs = experiment("newton").reading()
    model, text = experiment("newton").characters.load(), experiment("clamping").characters.parts()
    assert "".join(model.alphabet[k] for k in xs[:, 0].argmax(-1)) == text["test"][:256]


def test_the_exponent_is_that_of_the_gate_that_forgets(monkeypatch):
    """Where nothing comes back by the hidden state, the cell state shrinks by f at every step."""
    solver = experiment("newton")
    params, xs = solver.network({"seed": 0, "bias": 0, "scale": 0})
    params = {name: 0 * value for name, value in params.items()}
    solver.gate(solver.LSTM, params["bias_ih"], "f")[:] = 2.0
    assert abs(solver.exponent(params, xs[:8]) + np.log1p(np.exp(-2))) < 1e-12
    lengths, insides = [], []
    monkeypatch.setattr(solver, "updates", lambda *call: insides.append(call[2]) or (1, 0.0))
    monkeypatch.setattr(solver, "exponent", lambda params, xs: lengths.append(len(xs)) or 0.0)
    solver.outcome({"network": "drawn", "seed": 0, "bias": 0, "scale": 1})
    assert lengths == [1024]
    # From a first state of zeros c is below 1 after one step, below 2 after two.
    _, c = np.split(insides[-1](np.full((3, 1, 2), 9.0)), 2, -1)
    assert insides[0] is None and c.ravel().tolist() == [1, 2, 3]


def test_stored_weights_count_as_far_as_they_did():
    counters = experiment("counters")
    for run in load_result("counters")["runs"]:
        params = {name: np.array(value) for name, value in run["weights"].items()}
        assert counters.counts_to(counters.compiled("lstm"), params) == run["counts to"]
        assert all((value == value.round(4)).all() for value in params.values())


def test_what_a_held_unit_costs_the_reader_comes_out_again(monkeypatch):
    """Of two units of 256."""
    clamping = experiment("clamping")
    reading = clamping.reading
    monkeypatch.setattr(
        clamping,
        "reading",
        lambda model, memory, follows, text: reading(model, memory[:, :2], follows, text),
    )
    job = {"measure": "reading"}
    found, stored = clamping.outcome(job), stored_run("clamping", job)
    assert found["data"] == stored["data"] and found["places"] == stored["places"]
    assert agrees(found["whole"], stored["whole"], 1.1e-4)
    assert agrees(found["follows"], stored["follows"], 1e-3)
    assert agrees(found["mean"], stored["mean"][:2], 1e-3)
    for name, lost in found["lost"].items():
        assert agrees(lost, stored["lost"][name][:2], 1e-4)
