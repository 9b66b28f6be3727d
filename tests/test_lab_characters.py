"""What the experiments on Shakespeare's characters train with, choose by and test on."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fit_cases import Fit, rates, same  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from book.experiments import characters as experiment  # noqa: E402
from book.experiments import clamping, random_search, random_search_again  # noqa: E402
from companion.data import encode, load_result, shakespeare, stretches  # noqa: E402
from companion.models import characters  # noqa: E402

PIECES = {name: part[:4100] for name, part in characters.parts().items()}
ALPHABET = encode(shakespeare())[1]
COSINE = [(1 + math.cos(math.pi * k / 12)) / 2 for k in range(12)]


def numbers_of(part, n=None):
    return encode(PIECES[part][:n], ALPHABET)[0]


@pytest.fixture
def fit(monkeypatch, tmp_path):
    found = Fit()
    monkeypatch.setattr(experiment, "fit", found)
    monkeypatch.setattr(random_search, "fit", found)
    monkeypatch.setattr(characters, "parts", lambda: PIECES)
    monkeypatch.setattr(experiment, "WORK", tmp_path)
    monkeypatch.setattr(experiment, "WEIGHTS", tmp_path / "characters.npz")
    monkeypatch.setattr(experiment, "SETTINGS", experiment.SETTINGS | {"H": 6, "epochs": 4})
    with torch.random.fork_rng():
        yield found


def test_the_model_reads_a_ring_and_is_chosen_by_the_validation_part(fit):
    experiment.train(3)
    called, options = fit.called, fit.called.options
    assert (options.epochs, options.clip, options.carry, options.seed) == (4, 0.5, True, 3)
    # 4,100 characters in 32 streams of 128: three chunks an epoch, twelve updates.
    assert rates(options, 12) == pytest.approx([0.02 * share for share in COSINE])
    cuts = []
    for epoch in (0, 1):
        xs, ys = (torch.cat(part) for part in zip(*called.batches(epoch), strict=True))
        ring = numbers_of("training")
        starts = [
            k for k in range(4100) if np.array_equal(np.roll(ring, -k)[:127], xs[:, 0].argmax(-1))
        ]
        assert len(starts) == 1
        columns = np.roll(ring, -starts[0])[: 32 * 128].reshape(32, 128).T
        assert np.array_equal(xs.argmax(-1), columns[:-1]) and np.array_equal(ys, columns[1:])
        cuts += starts
    assert cuts[0] != cuts[1]
    assert same(called.validation, experiment.batches(numbers_of("validation"), 65, 8))
    model, x = called.model, called.batches(0)[0][0]
    lstm = model.lstm
    assert lstm.recurrent_dropout == 0.3 and model.drop.p == 0.3
    assert ((lstm.bias_ih_l0 + lstm.bias_hh_l0)[6:12] == 1).all()
    model.train().drop.p = 1.0
    assert torch.equal(model(x)[0], model.readout.bias.expand(*x.shape[:2], 65))
    scores, y = torch.randn(5, 3, 4), torch.randint(4, (5, 3))
    for loss in (called.loss, random_search.loss):
        total, count = loss(scores, y)
        wanted = -scores.log_softmax(-1).gather(-1, y[..., None]).sum()
        assert count == 15 and torch.isclose(total, wanted)


def test_bits_are_those_of_the_weights_as_stored_and_of_the_whole_ones(fit, monkeypatch):
    weights, history = experiment.train(0)
    weights = {name: 9 * value for name, value in weights.items()}  # so that a rounding shows
    monkeypatch.setattr(experiment, "train", lambda seed: (weights, history))
    run = experiment.outcome({"seed": 0})
    stored = np.load(experiment.WEIGHTS)
    assert str(stored["alphabet"]) == ALPHABET
    for name, value in weights.items():
        assert stored[name].dtype == np.float16
        np.testing.assert_array_equal(stored[name], value.astype(np.float16))
    half = {name: value.astype(np.float16).astype(np.float32) for name, value in weights.items()}
    for key, params in (("bits", half), ("bits_float32", weights)):
        model = characters.Characters(params, ALPHABET)
        for part in ("validation", "test"):
            assert run[key][part] == round(float(characters.bits(model, PIECES[part]).mean()), 4)
    assert run["bits"] != run["bits_float32"]
    assert run["validation"] == [round(nats / math.log(2), 4) for nats in (0.5, 0.25, 0.75)]
    experiment.WEIGHTS.unlink()
    experiment.outcome({"seed": 1})
    assert not experiment.WEIGHTS.exists()


def test_draws_are_those_of_the_stored_runs():
    for run in load_result("random_search")["runs"]:
        assert random_search.draw(run["job"]["draw"]) == run["chosen"]


CHOSEN = {"lr": 0.03, "H": 5, "layers": 2, "B": 4, "chunk": 25, "dropout": 0.25, "clip": 0.7}


@pytest.fixture
def searched(fit, monkeypatch):
    sizes = {"training": 2008, "validation": 900, "test": 850}
    settings = random_search.SETTINGS | {"characters": sizes, "epochs": 2}
    monkeypatch.setattr(random_search, "SETTINGS", settings)
    return fit


def test_a_draw_is_trained_as_it_says(searched):
    for layers in (2, 1):
        torch.manual_seed(99)
        chosen = CHOSEN | {"layers": layers, "forget_bias": 2.0}
        found = random_search.trained(chosen, 11)
        called, options = searched.called, searched.called.options
        assert (options.epochs, options.clip, options.carry, options.seed) == (2, 0.7, True, 11)
        # 2,008 characters in 4 streams: 501 steps, 21 stretches, 42 updates.
        cosine = [0.03 * (1 + math.cos(math.pi * k / 42)) / 2 for k in range(42)]
        assert rates(options, 42) == pytest.approx(cosine)
        learned = stretches(numbers_of("training", 2008), 4, 25)
        assert same(list(called.batches(1)), list(learned(1)))
        valid = stretches(numbers_of("validation", 900), 8, 100)
        assert same(called.validation, list(valid(0)))
        model = called.model
        assert model.drop.p == 0.25 and model.lstm.num_layers == layers
        assert model.lstm.dropout == (0.25 if layers == 2 else 0) and model.lstm.hidden_size == 5
        assert ((model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0)[5:10] == 2).all()
        # Each of eight streams of the test part is read to its end.
        streams = numbers_of("test", 850)[: 8 * 106].reshape(8, 106)
        with torch.no_grad():
            model.eval()
            wanted = F.cross_entropy(
                model(torch.from_numpy(streams.T[:-1].copy()))[0].flatten(0, 1),
                torch.from_numpy(streams.T[1:].copy()).flatten(),
            )
        assert found["test"] == pytest.approx(wanted.item() / math.log(2), abs=2e-4)
        assert found["validation"][1] == round(0.25 / math.log(2), 4)
        again = random_search.Model(65, chosen)
        torch.manual_seed(11)
        again = random_search.Model(65, chosen)
        assert same(list(again.parameters()), list(model.parameters()))
        model.train().drop.p = 1.0
        x = torch.zeros(3, 2, dtype=torch.int64)
        assert torch.equal(model(x)[0], model.readout.bias.expand(3, 2, 65))


def test_a_draw_is_repeated_with_seeds_of_its_own(monkeypatch):
    calls = []
    for module in (random_search, random_search_again):
        monkeypatch.setattr(module, "trained", lambda *call: calls.append(call) or {})
    random_search.outcome({"draw": 8, "seed": 8})
    random_search_again.outcome({"draw": 8, "seed": 2})
    assert calls == [(random_search.draw(8), 8), (random_search.draw(8), 1002)]


def test_a_unit_is_held_while_the_model_writes(monkeypatch):
    """A model whose lines are as long as the value that a unit is held at."""
    memory = np.random.default_rng(0).normal(size=(1000, 30)) * np.arange(1, 31)
    follows = {"line": np.where(np.arange(30) == 4, -0.9, np.arange(30) / 40)}
    ends = np.quantile(memory, (0.05, 0.95), axis=0)
    monkeypatch.setattr(clamping, "hold", lambda model, unit, value: ((unit, value), "state"))
    written = []

    def write(model, state, n, rng):
        written.append((model, state, n, rng.bit_generator.state["state"]["state"]))
        return "a" * len(written) + "\n"

    monkeypatch.setattr(clamping, "write", write)
    found = clamping.writing("free", memory, follows, "four\nsix\n")
    assert found["chosen"] == 4 and found["text"] == 3.5
    assert found["free"] == [len(written) - 1, len(written)]
    seeds = {np.random.default_rng(s).bit_generator.state["state"]["state"] for s in (0, 1)}
    assert {seed for *_, seed in written} == seeds and {n for _, _, n, _ in written} == {1200}
    assert [state for _, state, *_ in written] == ["state"] * (len(written) - 2) + [None, None]
    units = list(found["held"])
    assert units[0] == 4 and len(set(units)) == 21
    for k, unit in enumerate(units):
        assert found["held"][unit]["values"] == ends[:, unit].round(4).tolist()
        # Two values, two seeds each, in this order.
        assert found["held"][unit]["lengths"] == [[4 * k + 1, 4 * k + 2], [4 * k + 3, 4 * k + 4]]
        assert [model for model, *_ in written[4 * k : 4 * k + 4 : 2]] == [
            (unit, value) for value in ends[:, unit]
        ]


def test_a_stage_direction_over_two_lines_is_no_spoken_line():
    assert clamping.mean_line("[Exit, pursued\nby a bear]\n\nPUCK:\nfour") == 4


def test_writing_goes_on_from_what_was_written(monkeypatch):
    class Reading:
        def __init__(self, state):
            self.state, self.probabilities = state, np.eye(3)[[(state or 0) % 3]]

    calls = []

    def run(model, text, state):
        calls.append((text, state))
        return Reading((state or 0) + 1)

    class Model:
        alphabet = "xyz"

    monkeypatch.setattr(characters, "run", run)
    assert clamping.write(Model, None, 4, np.random.default_rng(0)) == "\nyzxy"
    assert calls == [("\n", None), ("y", 1), ("z", 2), ("x", 3)]
