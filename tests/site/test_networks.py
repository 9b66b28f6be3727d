"""The trained networks of the figures: the same in the browser, and as good as before rounding."""

import base64
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from test_figures import wake

from companion.data import load_movie_snippets, load_weather, padded, tokens
from companion.data.pairs import UNKNOWN, draw_numbers, number_words
from companion.forecast import Scaling
from companion.models import characters, sentiment
from companion.models.hours_ahead import LEADS, HoursAhead, clock, direct_forecasts
from companion.models.probe import hold
from companion.models.translator import Translator, translate
from scripts.figure_models import FOLDER, read

sys.path.append(str(ROOT / "book" / "_ext"))
import computed  # noqa: E402

PASSAGE = characters.parts()["test"][:2000]


@pytest.fixture(scope="module")
def js(browser):
    """A page with what the modules of the figures export, as `characters` and so on."""
    page = browser.new_page()
    for path in FOLDER.glob("*.bin"):
        name, data = path.stem, base64.b64encode(path.read_bytes()).decode()
        page.evaluate(f"() => {{ {computed.bundle(name)} window.{name} = of_{name}; }}")
        page.evaluate(
            """([name, data]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            window[name].network = window[name].networkOf(bytes.buffer);
        }""",
            [name, data],
        )
    page.evaluate(f"() => {{ {computed.bundle('number-words')} window.words = of_number_words; }}")
    yield page
    page.close()


def torch_model(model, weights):
    """A torch model with the weights of a file, in float64."""
    names = {name: weights[name.removesuffix("_l0")] for name in model.state_dict()}
    model.double().load_state_dict({k: torch.from_numpy(value) for k, value in names.items()})
    return model.eval()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.bin")), ids=lambda path: path.stem)
def test_a_file_is_small_and_whole(path):
    header, weights = read(path.stem)
    assert path.stat().st_size < 1_000_000
    assert all(np.isfinite(value).all() for value in weights.values())
    assert {"what", "from", "seed", "licence", "quality"} <= header.keys()


def test_a_changed_file_is_noticed(tmp_path, monkeypatch):
    content = bytearray((FOLDER / "translation.bin").read_bytes())
    content[-1] ^= 1
    (tmp_path / "translation.bin").write_bytes(content)
    monkeypatch.setattr("scripts.figure_models.FOLDER", tmp_path)
    with pytest.raises(ValueError, match="checksum"):
        read("translation")


@pytest.mark.parametrize("held", [None, {"unit": 205, "value": -0.5}])
def test_characters_are_read_as_the_package_reads_them(js, held):
    header, weights = read("characters")
    model, state = characters.Characters(weights, header["alphabet"]), None
    if held:
        model, state = hold(model, held["unit"], held["value"])
    wanted = characters.run(model, PASSAGE[:60], state)
    found = js.evaluate(
        """([text, held]) => {
        const { network } = characters;
        let state = network.start(held);
        return [...text].map((character) => {
            const read = network.read(character, state, held);
            state = read.state;
            const gates = ["i", "f", "o"].map((name) => read.gates.map((unit) => unit[name]));
            return [[...read.p], gates, [...state[1]], [...state[0]]];
        });
    }""",
        [PASSAGE[:60], held],
    )
    p, gates, c, h = (np.array(values) for values in zip(*found, strict=True))
    np.testing.assert_allclose(p, wanted.probabilities, rtol=0, atol=1e-9)
    for k, name in enumerate("ifo"):
        np.testing.assert_allclose(gates[:, k], wanted.traces[name], rtol=0, atol=1e-9)
    np.testing.assert_allclose(c, wanted.traces["c"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(h, wanted.traces["h"], rtol=0, atol=1e-9)


def test_rounding_costs_the_characters_next_to_nothing():
    header, weights = read("characters")
    small = characters.Characters(weights, header["alphabet"])
    bits = [characters.bits(model, PASSAGE).mean() for model in (characters.load(), small)]
    assert 0 < abs(bits[1] - bits[0]) < 0.005
    whole, rounded = header["quality"]["bits a character of the test part"]
    assert abs(rounded - whole) < 0.001  # page 6.1.1 says so


def test_number_words_are_those_of_the_package(js):
    numbers = [*range(1200), *draw_numbers(np.random.default_rng(3), 1000)]
    found = js.evaluate(
        "(numbers) => numbers.map((n) => [words.english(n), words.french(n)])", numbers
    )
    wanted = zip(*(number_words(numbers, language) for language in ("en", "fr")), strict=True)
    assert found == [list(pair) for pair in wanted]


def test_numbers_are_translated_as_the_package_does(js):
    header, weights = read("translation")
    source, target = (header[name].split() for name in ("source", "target"))
    model = torch_model(Translator((len(source), len(target)), 32, 64), weights)
    numbers = draw_numbers(np.random.default_rng(7), 60)
    english, french = (number_words(numbers, language) for language in ("en", "fr"))
    found = js.evaluate("(lists) => lists.map(translation.network)", english)
    right = 0
    for read_words, said, ours in zip(english, french, found, strict=True):
        row = [source.index(word) if word in source else UNKNOWN for word in read_words]
        rows, look = translate(model, torch.tensor(row)[:, None], torch.tensor([len(row)]), 30)
        assert ours["words"] == [target[k] for k in rows[0]]
        weights_of = np.array(ours["look"])
        np.testing.assert_allclose(weights_of, look[:, :, 0].numpy(), rtol=0, atol=1e-9)
        right += ours["words"] == said
    whole, rounded = header["quality"][
        "share of 1,000 test numbers that are right to the last word"
    ]
    assert right > 0.95 * len(numbers) and rounded == whole  # page 6.1.3 says so


@pytest.fixture(scope="module")
def reviews():
    """The words of the test sentences, and 1 for friendly, 0 for hostile; without those at 0."""
    texts, scores = load_movie_snippets().test
    kept = np.flatnonzero(scores)
    return [tokens(texts[k]) for k in kept], (scores[kept] > 0).astype(np.int64)


def reader(weights):
    return torch_model(sentiment.Reader(weights["embedding.weight"], 32), weights)


def test_reviews_are_read_as_the_package_reads_them(js, reviews):
    header, weights = read("sentiment")
    known = {word: k for k, word in enumerate(header["words"].split(" "), start=2)}
    assert len(known) + 2 == len(weights["embedding.weight"])
    texts = [*load_movie_snippets().test.texts[:80], "Isn't CAFÉ’s “film”... a 7.5?<br />''So''"]
    found = js.evaluate(
        """(texts) => texts.map((text) => {
        const words = sentiment.tokens(text);
        return [words, words.map(sentiment.network.knows), sentiment.network.scores(words)];
    })""",
        texts,
    )
    model = reader(weights)
    for text, (words, knows, scores) in zip(texts, found, strict=True):
        assert words == tokens(text)
        assert knows == [word in known for word in words]
        (row,) = sentiment.numbered([words], known)
        np.testing.assert_allclose(scores, model.running(row), rtol=0, atol=1e-9)


def test_rounding_costs_the_reader_next_to_nothing(reviews):
    header, weights = read("sentiment")
    known = {word: k for k, word in enumerate(header["words"].split(" "), start=2)}
    rows = sentiment.numbered(reviews[0], known)
    batch, labels = next(padded(rows, reviews[1], len(rows))(0))
    with torch.no_grad():
        right = ((reader(weights)(batch) > 0) == (labels > 0)).double().mean().item()
    whole, rounded = header["quality"]["share of the 2,098 test sentences judged rightly"]
    assert abs(right - rounded) < 1e-3
    assert abs(rounded - whole) < 0.001  # page 6.1.2 says so


def test_weather_is_forecast_as_the_package_does(js):
    header, weights = read("weather")
    stored, T = load_weather(), len(weights["series.0"])
    shown = slice(header["first"], header["first"] + T)
    series = np.stack([weights[f"series.{k}"] for k in range(7)], 1)
    measured = stored.values[shown].copy()
    measured[:, 6] = np.log1p(measured[:, 6])
    np.testing.assert_allclose(series, measured, rtol=1e-6)
    assert str(stored.time[shown.start]) == header["start"]
    times = np.arange(47, T - 24, 3)  # as the page takes them
    found = np.array(
        js.evaluate(
            "(times) => times.map((now) => [...weather.network.forecast(now)])", times.tolist()
        )
    )
    names = {k: v for k, v in weights.items() if k.startswith(("lstm", "head"))}
    model = torch_model(HoursAhead(11, 32, 24), names)
    scaling = Scaling(weights["mean"], weights["sd"])
    x = np.hstack([scaling.apply(series), clock(header["first"] + np.arange(T))])
    wanted = direct_forecasts(model, scaling, torch.from_numpy(x), times)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
    temperature = series[:, 0]
    truth = temperature[times[:, None] + LEADS]
    errors = [np.abs(f - truth).mean() for f in (found, temperature[times[:, None] + LEADS - 24])]
    assert [round(error, 1) for error in errors] == [2.3, 4.3]  # page 6.3.2 says so
    whole, rounded = header["quality"]["mean absolute error of the month's forecasts, °C"]
    assert abs(errors[0] - rounded) < 1e-3 and abs(rounded - whole) < 0.01


@pytest.fixture
def figure(visit):
    """A function that opens a page of applications and loads the network of its figure."""

    def open_(page, name):
        return wake(visit.open(f"book/applications/{page}.html"), name)

    return open_


def test_what_is_typed_is_read_and_a_memory_is_held(figure):
    part = figure("language-model", "characters")
    said, typed = part.locator("output"), part.get_by_role("textbox")
    typed.fill("My lo7")
    assert "It expects r next" in said.inner_text() and "know them: 1." in said.inner_text()
    part.get_by_label("hold its memory still").check()
    assert "memory of unit 205 is −0.57" in said.inner_text()
    part.get_by_role("button", name="Let it write").click()
    assert len(typed.input_value()) == len("My lo7") + 100
    assert "memory of unit 205 is −0.57" in said.inner_text()
    part.get_by_role("button", name="Start again").click()
    assert typed.input_value().startswith("If we shadows")
    assert not part.get_by_label("hold its memory still").is_checked()


def test_a_review_is_scored_as_it_is_typed(figure):
    part = figure("sentiment", "sentiment")
    said, typed = part.locator("output"), part.get_by_role("textbox")
    typed.fill("A bad film.")
    assert "hostile" in said.inner_text() and "know" not in said.inner_text()
    typed.fill("A touching, refreshing zyzzyva")
    assert "friendly" in said.inner_text() and "“?”: 1" in said.inner_text()
    part.get_by_role("combobox").select_option("Do not see this film.")
    assert typed.input_value() == "Do not see this film."
    assert "hostile" in said.inner_text()


def test_a_number_is_translated_and_judged(figure):
    part = figure("translation", "translation")
    said, number = part.locator("output"), part.get_by_role("spinbutton")

    def type_in(digits):
        number.press("ControlOrMeta+a")
        number.press_sequentially(digits)

    type_in("21")
    assert "twenty one: vingt et un" in said.inner_text() and "right." in said.inner_text()
    type_in("401110")  # one of the few that this network gets wrong
    assert "Right is: quatre cent un mille cent dix." in said.inner_text()
    type_in("1000000")
    assert "from 0 to 999,999" in said.inner_text()
    part.get_by_role("button").click()
    assert 0 <= int(number.input_value()) <= 999_999 and "largest weight" in said.inner_text()


def test_now_moves_and_what_came_is_shown(figure):
    part = figure("weather", "weather")
    said, now = part.locator("output"), part.get_by_role("slider")
    assert said.inner_text().startswith("Nov 23, 12:00 UTC: 5.0 °C.")
    assert "It was" not in said.inner_text()
    part.get_by_label("show what came").check()
    assert "It was −3.9 °C" in said.inner_text()
    now.press("ArrowLeft")
    assert said.inner_text().startswith("Nov 23, 11:00 UTC")
