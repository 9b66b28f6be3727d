"""The character model that comes with the package reads, writes and can be looked into."""

import numpy as np
import pytest

from companion.data import load_result, shakespeare
from companion.engine import forward
from companion.models import characters
from companion.models.probe import correlations, hold, places, properties

LINE = "[Exit PUCK]\n\nOBERON:\nWelcome, wanderer.\n"


@pytest.fixture(scope="module")
def model():
    return characters.load()


def test_the_parts_are_the_text_and_do_not_overlap():
    text, parts = shakespeare(), characters.parts()
    assert sum(map(len, parts.values())) == len(text)
    assert text.endswith(parts["test"]) and len(parts["test"]) == 51_407  # as on page 3.3
    at = text.index(parts["validation"])
    assert parts["training"] == text[:at] + text[at + len(parts["validation"]) : -51_407]
    assert text.rindex("ROMEO AND JULIET", 0, at) < at < text.index("A MIDSUMMER")


def test_the_stored_weights_are_those_of_the_result(model):
    (run,) = (run for run in load_result("characters")["runs"] if run["job"]["seed"] == 0)
    for part in ("validation", "test"):
        found = characters.bits(model, characters.parts()[part][:20_000]).mean()
        assert abs(found - run["bits"][part]) < 0.15  # a part of the part
    assert sum(value.size for value in model.params.values()) == run["parameters"]
    assert len(model.alphabet) == len(set(shakespeare())) == 65
    assert all(value.dtype == np.float32 for value in model.params.values())
    assert all(np.array_equal(v, v.astype(np.float16)) for v in model.params.values())


def test_reading_gives_probabilities_bits_and_traces(model):
    T, H = len(LINE), 256
    reading = characters.run(model, LINE)
    assert reading.probabilities.shape == (T, 65)
    np.testing.assert_allclose(reading.probabilities.sum(-1), 1, rtol=0, atol=1e-12)
    numbers = [model.alphabet.index(c) for c in LINE]
    by_hand = [-np.log2(reading.probabilities[t, n]) for t, n in enumerate(numbers[1:])]
    np.testing.assert_allclose(reading.bits, by_hand, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(reading.bits, characters.bits(model, LINE))
    assert set(reading.traces) == set("ifgoch")
    v = reading.traces
    assert all(trace.shape == (T, H) for trace in v.values())
    before = np.concatenate([np.zeros((1, H)), v["c"][:-1]])
    np.testing.assert_allclose(v["c"], v["f"] * before + v["i"] * v["g"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(v["h"], v["o"] * np.tanh(v["c"]), rtol=0, atol=1e-5)


def test_reading_goes_on_from_a_state(model):
    whole, first = characters.run(model, LINE), characters.run(model, LINE[:20])
    rest = characters.run(model, LINE[20:], first.state)
    np.testing.assert_allclose(rest.traces["c"], whole.traces["c"][20:], rtol=0, atol=1e-5)
    np.testing.assert_allclose(rest.bits, whole.bits[20:], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(rest.bits, characters.bits(model, LINE[20:], first.state))


def test_a_cold_sample_takes_the_likeliest_and_a_hot_one_anything(model):
    written = characters.sample(model, "HAMLET:\n", 30, 1e-3, np.random.default_rng(0))
    assert written.startswith("HAMLET:\n") and len(written) == 38
    expected = characters.run(model, written).probabilities.argmax(-1)[7:-1]
    assert written[8:] == "".join(model.alphabet[k] for k in expected)
    hot = characters.sample(model, "A", 2000, 1e6, np.random.default_rng(0))
    assert set(hot) == set(model.alphabet)
    again = characters.sample(model, "A", 2000, 1e6, np.random.default_rng(0))
    assert hot == again


def test_a_sample_follows_the_probabilities(model):
    """At temperature 1 a character comes up as often as the model says, within 5 deviations."""
    p = characters.run(model, "A").probabilities[-1]
    rng, n = np.random.default_rng(1), 2000
    drawn = "".join(characters.sample(model, "A", 1, 1.0, rng)[1] for _ in range(n))
    counts = np.array([drawn.count(c) for c in model.alphabet])
    assert np.all(np.abs(counts - n * p) < 5 * np.sqrt(n * p * (1 - p)) + 1)


def test_bad_input_is_named(model):
    with pytest.raises(ValueError, match="text must have at least one character"):
        characters.run(model, "")
    with pytest.raises(ValueError, match=r"got \['é'\]"):
        characters.bits(model, "café")
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        characters.sample(model, "A", 1, 0, np.random.default_rng(0))


def test_the_state_is_not_changed(model):
    first = characters.run(model, "A").state
    kept = [value.copy() for value in first]
    characters.run(model, LINE, first)
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))
    xs = np.eye(65, dtype=np.float32)[[model.alphabet.index("A")]][:, None]
    ys, _, _ = forward(characters.LSTM, model.params, xs)
    np.testing.assert_array_equal(ys[0], first[0])


def test_properties_mark_what_they_say():
    found = properties(LINE)
    inside = "".join(c for c, x in zip(LINE, found["stage direction"], strict=True) if x)
    speaker = "".join(c for c, x in zip(LINE, found["speaker"], strict=True) if x)
    assert (inside, speaker) == ("[Exit PUCK", "OBERON")
    assert found["line"][LINE.index("OBERON") :][:8].tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
    assert found["line"][:2].tolist() == [1, 2]  # from the beginning, before any break
    at = LINE.index("OBERON")
    assert found["speech"][at - 1] == 0 and found["speech"][-1] == len(LINE) - at
    assert found["vowel"].sum() == sum(c in "aeiouAEIOU" for c in LINE)
    assert found["word"].sum() == sum(c.isalpha() for c in LINE)


def test_places_tell_what_comes_next():
    found = places("PUCK:\nGo!\n[Exit]\n\nOBERON:\nO, [Aside\nto him] no\n")
    text = "UCK:\nGo!\n[Exit]\n\nOBERON:\nO, [Aside\nto him] no\n"  # without the first
    marked = {k: "".join(c for c, x in zip(text, at, strict=True) if x) for k, at in found.items()}
    assert marked["stage direction"] == "Exit]Aside\nto him]"
    assert marked["name"] == "UCKOBERON" and marked["line end"] == "\n\n"
    assert sum(at.astype(int) for at in found.values()).tolist() == [1] * len(text)
    ends = np.flatnonzero(found["line end"])
    assert [text[k - 1] for k in ends] == ["!", "o"]


def test_a_held_unit_keeps_its_value_and_the_others_see_it(model):
    """The same network made in another way: no forgetting, and tanh(g) is written at each step."""
    kept = {name: array.copy() for name, array in model.params.items()}
    value, unit, H = 0.625, 205, 256
    held, state = hold(model, unit, value)
    reading = characters.run(held, LINE, state)
    np.testing.assert_array_equal(reading.traces["c"][:, unit], np.full(len(LINE), value))
    free = characters.run(model, LINE)
    assert np.abs(np.diff(free.traces["c"][:, unit])).max() > 0.01
    assert np.array_equal(reading.traces["o"][0, unit], free.traces["o"][0, unit])
    params = {name: array.copy() for name, array in model.params.items()}
    for name in ("weight_ih", "weight_hh", "bias_hh"):
        for row in range(3):  # i, f, g
            params[name][row * H + unit] = 0
    params["bias_ih"][[unit, H + unit, 2 * H + unit]] = 100, -100, np.arctanh(value)
    other = characters.run(characters.Characters(params, model.alphabet), LINE)
    np.testing.assert_allclose(reading.bits, other.bits, rtol=0, atol=1e-4)
    assert np.abs(reading.bits - free.bits).max() > 0.05
    assert all(np.array_equal(kept[name], model.params[name]) for name in kept)
    for wrong in (-1, 256, 1.0):
        with pytest.raises(ValueError, match=f"unit .* in 0 … 255, got {wrong}"):
            hold(model, wrong, 0.0)
    with pytest.raises(ValueError, match="value must be finite, got nan"):
        hold(model, 0, float("nan"))


def test_correlations_are_those_of_numpy():
    rng = np.random.default_rng(0)
    values, wanted = rng.normal(size=(50, 4)), rng.normal(size=50)
    values[:, 2] = 3
    found = correlations(values, wanted)
    for k in (0, 1, 3):
        assert abs(found[k] - np.corrcoef(values[:, k], wanted)[0, 1]) < 1e-12
    assert found[2] == 0
    both = correlations(values, np.stack([wanted, -wanted]))
    np.testing.assert_allclose(both, [found, -found], rtol=0, atol=1e-12)
    for misfit in (wanted[:-1], wanted[:, None], np.stack([wanted])[None]):
        with pytest.raises(ValueError, match="must have shapes"):
            correlations(values, misfit)


def test_the_experiment_trains_and_stores_what_it_measured(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    from book.experiments import characters as experiment

    pieces = {name: part[:4000] for name, part in characters.parts().items()}
    monkeypatch.setattr(characters, "parts", lambda: pieces)
    monkeypatch.setattr(experiment, "WORK", tmp_path)
    monkeypatch.setattr(experiment, "WEIGHTS", tmp_path / "characters.npz")
    monkeypatch.setattr(experiment, "SETTINGS", experiment.SETTINGS | {"H": 8, "epochs": 2})
    with torch.random.fork_rng():
        run = experiment.outcome({"seed": 0})
    assert run["validation"][0] > run["validation"][1] == min(run["validation"])
    assert len(run["training"]) == 2 and run["best"] == 1
    stored = np.load(tmp_path / "characters.npz")
    params = {k: stored[k].astype(np.float32) for k in stored.files if k != "alphabet"}
    model = characters.Characters(params, str(stored["alphabet"]))
    for part, bits in run["bits"].items():
        assert abs(characters.bits(model, pieces[part]).mean() - bits) < 1e-3
        assert abs(run["bits_float32"][part] - bits) < 0.01  # half precision costs nothing


def test_the_experiment_reads_every_character_in_order():
    pytest.importorskip("torch")
    from book.experiments import characters as experiment

    made = experiment.batches(np.arange(321) % 10, 10, 3)
    assert [x.shape[0] for x, _ in made] == [50, 50, 6]
    xs = np.concatenate([x.argmax(-1).numpy() for x, _ in made])
    ys = np.concatenate([y.numpy() for _, y in made])
    np.testing.assert_array_equal(xs, np.arange(321).reshape(3, 107).T[:-1] % 10)
    np.testing.assert_array_equal(ys, (xs + 1) % 10)


def test_the_clamping_experiment_measures_lines_and_what_is_lost(model, monkeypatch):
    from book.experiments import clamping

    assert clamping.mean_line("PUCK:\nfour\n[Exit a long way]\n\nANNE:\nsixsix\n") == 5
    memory = clamping.cell_states(model, LINE, n=7)
    np.testing.assert_allclose(memory, characters.run(model, LINE).traces["c"], rtol=0, atol=1e-5)
    monkeypatch.setattr(clamping, "hold", lambda model, unit, value: (model, None))
    found = clamping.reading(model, memory[:, :2], {"line": np.zeros(2)}, LINE)
    assert all(values == [0, 0] for values in found["lost"].values())  # nothing was held
    assert sum(found["places"].values()) == len(LINE) - 1
    at = places(LINE)["name"]
    assert abs(found["whole"]["name"] - characters.bits(model, LINE)[at].mean()) < 1e-3
    first, again = (clamping.write(model, None, 40, np.random.default_rng(seed)) for seed in (0, 0))
    assert first == again and len(first) == 41
