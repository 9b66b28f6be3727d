"""The figure that listens: the features and the network of the package, and a microphone."""

import base64
import io
import sys
import wave

import jiwer
import numpy as np
import pytest
from conftest import ROOT, SITE, Visit
from test_figures import wake
from test_networks import torch_model

from book.experiments import microphone as experiment
from companion.data import load_asterisk_digits
from companion.data.digits import read_wav
from companion.decode import ctc_greedy
from companion.models.recogniser import Recogniser, joined, log_probabilities
from companion.sound import log_mel
from companion.utterances import normalised
from scripts.figure_models import FOLDER, SAMPLES, read

sys.path.append(str(ROOT / "book" / "_ext"))
import computed  # noqa: E402

PAGE = "book/applications/end-to-end-speech.html"


def base64_of(content):
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def js(browser):
    """A page with the modules `mel`, `sound` and `speech` and the network of the figure."""
    page = browser.new_page()
    for name in ("mel", "sound", "speech"):
        page.evaluate(f"() => {{ {computed.bundle(name)} window.{name} = of_{name}; }}")
    page.evaluate(
        """(data) => {
        window.bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
        window.network = speech.networkOf(bytesOf(data));
    }""",
        base64_of((FOLDER / "speech.bin").read_bytes()),
    )
    yield page
    page.close()


def wav(samples, rate, channels=1):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def heard_of(js, content, rate=8000):
    """The wave that the browser makes of a sound file."""
    found = js.evaluate(
        "async ([data, rate]) => [...await sound.waveOf(bytesOf(data), rate)]",
        [base64_of(content), rate],
    )
    return np.array(found)


def test_features_are_those_of_the_package(js):
    rng = np.random.default_rng(0)
    human = load_asterisk_digits().recordings.waves[7]
    noise = rng.normal(0, 0.1, 4321).astype(np.float32)
    silence = np.zeros(1000, np.float32)
    for sound in (human, noise, np.concatenate([silence, noise, silence])):
        x = js.evaluate("(wave) => mel.logMel(wave, 8000, 26)", sound.tolist())
        wanted = log_mel(sound, 8000)
        np.testing.assert_allclose(x, wanted, rtol=1e-6, atol=1e-6)
        x = np.array(x)
        np.testing.assert_allclose(
            js.evaluate("(x) => mel.normalised(x)", x.tolist()), normalised(x), rtol=0, atol=1e-9
        )
        assert js.evaluate("(x) => mel.joined(x, 4)", x.tolist()) == joined(x, 4).tolist()
    assert js.evaluate("mel.logMel(new Float32Array(199), 8000, 26)") == []
    assert len(js.evaluate("mel.logMel(new Float32Array(200), 8000, 26)")) == 1


def recogniser():
    """The header of the figure's network, and the network in torch."""
    header, weights = read("speech")
    names = {}
    for name, value in weights.items():
        kind, part = name.split(".")
        own = {"ahead": f"lstm.{part}", "back": f"lstm.{part}_l0_reverse"}
        names[own.get(kind, name)] = value
    return header, torch_model(Recogniser(104, 11, 64), names)


def test_rounding_costs_the_recogniser_next_to_nothing():
    header, model = recogniser()
    found = experiment.understood(model.float(), experiment.asterisk(("room",)))
    whole, rounded = header["quality"][
        "share of wrong digits of the Asterisk voice in a room with noise"
    ]
    assert abs(jiwer.wer(found["said"], found["greedy"]) - rounded) < 0.011  # one digit
    assert round(rounded, 2) == round(whole, 2) == 0.15  # page 6.2.3 says so


@pytest.mark.parametrize("digits", SAMPLES)
def test_a_recorded_voice_is_understood_as_by_the_package(js, digits):
    header, model = recogniser()
    content = (FOLDER / f"speech-{digits}.wav").read_bytes()
    sound, ours = read_wav(digits, content), heard_of(js, content)
    assert len(ours) == len(sound) and np.std(ours - sound) < 0.1 * np.std(sound)
    x = normalised(log_mel(sound, header["rate"]).astype(float))
    (log_p,) = log_probabilities(model, [joined(x, header["frames"])])
    read_in_js = """(wave) => {
        const p = network.probabilities(network.features(wave));
        return [p.map((row) => [...row]), speech.bestPath(p)];
    }"""
    p, path = js.evaluate(read_in_js, sound.tolist())
    np.testing.assert_allclose(p, np.exp(log_p), rtol=0, atol=1e-6)
    assert [one["digit"] + 1 for one in path] == list(ctc_greedy(log_p).tokens)
    for one in path:
        assert p[one["step"]][one["digit"] + 1] == one["sure"] == max(p[one["step"]])
    _, decoded = js.evaluate(read_in_js, ours.tolist())
    assert [one["digit"] for one in decoded] == [one["digit"] for one in path]


def test_the_best_path_is_that_of_the_package(js):
    rng = np.random.default_rng(0)
    for T in [1, *[30] * 40]:
        p = rng.dirichlet(np.full(11, 0.3), T)
        found = js.evaluate("(p) => speech.bestPath(p)", p.tolist())
        assert [one["digit"] + 1 for one in found] == list(ctc_greedy(np.log(p)).tokens)
        steps = [one["step"] for one in found]
        assert steps == sorted(set(steps))


def test_a_sound_is_filtered_before_it_is_resampled(js):
    """A tone that 8,000 samples a second cannot hold is gone, and does not come back as another."""
    t = np.arange(48000) / 48000
    for hertz, wanted in ((300, 0.5), (3000, 0.5), (4100, 0), (5000, 0), (7000, 0), (16000, 0)):
        tone = 0.5 * np.sin(2 * np.pi * hertz * t)
        found = heard_of(js, wav(tone, 48000))
        assert len(found) == 8000
        same = tone[::6] if wanted else np.zeros(8000)
        np.testing.assert_allclose(found[100:-100], same[100:-100], atol=0.005, err_msg=hertz)
    both = np.stack([tone, 0.25 - tone], 1)
    np.testing.assert_allclose(heard_of(js, wav(both, 48000, 2))[100:-100], 0.125, atol=1e-4)


@pytest.fixture(scope="module")
def microphone(launch):
    """A browser into whose microphone the Asterisk voice says 4 2, once."""
    sound = FOLDER / "speech-42.wav"
    chromium = launch(
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    )
    yield chromium
    chromium.close()


@pytest.fixture
def figure():
    """Opens the figure, its network loaded, and gives the visit and the figure."""
    visits = []

    def open_(browser, start, allowed=False, script=""):
        visits.append(Visit(browser, start))
        visits[-1].context.add_init_script(script)
        if allowed:
            visits[-1].context.grant_permissions(["microphone"])
        return visits[-1], wake(visits[-1].open(PAGE), "speech")

    yield open_
    for visit in visits:
        visit.context.close()


def answer(part):
    """What the figure says, once it has read."""
    part.locator("output:not([aria-busy])").wait_for()
    return part.locator("output").inner_text()


def test_a_recorded_voice_is_chosen(figure, browser, address):
    visit, part = figure(browser, address)
    first = answer(part)
    part.get_by_role("combobox").select_option("42")
    part.get_by_text("It hears 4 2").wait_for()
    assert "It hears" in first and "4 2" not in first
    part.get_by_role("button", name="Play").press("Enter")
    assert not visit.problems


def test_a_voice_is_recorded_and_understood(figure, microphone, address):
    visit, part = figure(microphone, address, allowed=True)
    answer(part)
    part.get_by_role("button", name="Record").press("Enter")
    part.get_by_text("speak now").wait_for()
    visit.tab.wait_for_timeout(3200)
    part.get_by_role("button", name="Stop").press("Enter")
    part.get_by_text("It hears 4 2").wait_for()
    assert part.get_by_role("button", name="Record").is_visible()
    assert not visit.problems  # no request went anywhere else


def test_without_permission_there_is_a_word_and_a_voice(figure, microphone, address):
    visit, part = figure(microphone, address)
    answer(part)
    part.get_by_role("button", name="Record").click()
    part.get_by_text("The microphone was not allowed").wait_for()
    part.get_by_role("combobox").select_option("42")
    part.get_by_text("It hears 4 2").wait_for()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("delete Navigator.prototype.mediaDevices", "lends the page no microphone"),
        ("delete window.MediaRecorder", "lends the page no microphone"),
        (
            """MediaDevices.prototype.getUserMedia = async () => {
            throw new DOMException("", "NotFoundError");
        }""",
            "There is no microphone",
        ),
    ],
)
def test_without_a_microphone_no_button_is_dead(figure, browser, address, missing, words):
    visit, part = figure(browser, address, script=missing)
    answer(part)
    for button in part.get_by_role("button", name="Record").all():
        button.click()
    part.get_by_text(words).wait_for()
    part.get_by_role("combobox").select_option("42")
    part.get_by_text("It hears 4 2").wait_for()


def test_in_a_folder_of_files_no_button_is_dead(figure, microphone):
    visit, part = figure(microphone, SITE.as_uri() + "/")
    assert "It hears" in answer(part)
    for button in part.get_by_role("button", name="Record").all():
        button.click()
        part.get_by_text("Choose a recorded voice instead").wait_for()
