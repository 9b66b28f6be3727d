"""Which digit is each frame of a stranger's speech a part of? Networks compared on six speakers.

Recordings of Free Spoken Digits are joined to strings of four. Each speaker is left out once as
the test, the next one in the alphabet serves as validation, and four are learned from. The data
are looked for as `companion.data.fetch_fsdd` says: COMPANION_DATA names a folder that has
fsdd/recordings.
"""

import time
from functools import cache, partial

import numpy as np
import torch

from book.experiments.lab.runner import run
from companion.data import fetch_fsdd
from companion.models import framewise
from companion.models.framewise import Recurrent, Window, labelled, posteriors
from companion.sound import log_mel
from companion.train import Options, fit

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SILENCE, K = 10, 11  # classes: ten digits and silence
# "context": frames after a frame that the network hears, or each side of it for a window; where
# several are named, the one of lowest error on the validation speaker is taken.
METHODS = {
    "linear, one frame": {"net": "linear", "context": [0]},
    "linear, window": {"net": "linear", "context": [10, 20, 30, 40]},
    "feed-forward, window": {"net": "feed-forward", "context": [10, 20, 30, 40]},
    "LSTM": {"net": "LSTM", "context": [0]},
    "LSTM, delayed": {"net": "LSTM", "context": [10]},
    "bidirectional LSTM": {"net": "bidirectional LSTM", "context": [0]},
}
SETTINGS = {
    "seeds": 2,
    "bands": 26,
    "digits in a string": 4,
    "decibels": 30,  # silence: before and after all that is less quiet than this below the loudest
    "H": {"feed-forward": 64, "LSTM": 64, "bidirectional LSTM": 42},  # the LSTMs: as many weights
    "B": 40,
    "epochs": 12,
    "patience": 4,
    "lr": {"linear": 0.01, "feed-forward": 0.005, "LSTM": 0.01, "bidirectional LSTM": 0.01},
    "clip": 1.0,
    "noise": 0.5,
    "methods": METHODS,
    "choice": "rates, noise: a few tries with jackson as validation, george put aside",
}


def network(net, context):
    """The network, untrained."""
    D, H = SETTINGS["bands"], SETTINGS["H"].get(net, 0)
    if net in ("linear", "feed-forward"):
        return Window(D, K, context, H)
    return Recurrent(D, K, H, bidirectional=net != "LSTM", delay=context)


@cache
def recordings():
    """Features and labels of each recording by speaker, in order of digit and take; a checksum."""
    data = fetch_fsdd()
    found = {}
    for name, (waves, digits) in data.speakers.items():
        features = [log_mel(wave, data.rate, SETTINGS["bands"]) for wave in waves]
        found[name] = [(x, labels(x, digit)) for x, digit in zip(features, digits, strict=True)]
    return found, data.card.checksum


def labels(features, digit):
    """The digit from the first to the last frame that is loud enough, silence before and after."""
    loudness = np.log(np.exp(features).sum(1))
    lowest = loudness.max() - SETTINGS["decibels"] / 10 * np.log(10)
    loud = np.flatnonzero(loudness > lowest)
    y = np.full(len(features), SILENCE)
    y[loud[0] : loud[-1] + 1] = digit
    return y


def strings(numbers, seed):
    """Recordings of one speaker, by number, drawn in groups of four."""
    order = np.random.default_rng(seed).permutation(numbers)
    return order.reshape(-1, SETTINGS["digits in a string"])


def scaled(parts, scale, known):
    """Strings with mean 0 and deviation 1 in each band: lists of (features, labels, word).

    parts: dict speaker -> strings, each a list of (features, labels). scale: mean and deviation
    are those of the "string" itself or of all that the "training" speakers said.
    word: which of the string's digits a frame is of, 0 to 3; -1 in silence.
    """
    joined = {name: [join(string) for string in own] for name, own in parts.items()}
    every = np.concatenate([x for name in known for x, _, _ in joined[name]])

    def standard(x):
        reference = {"string": x, "training": every}[scale]
        return ((x - reference.mean(0)) / reference.std(0).clip(0.1)).astype(np.float32)

    return {name: [(standard(x), *rest) for x, *rest in own] for name, own in joined.items()}


def join(string):
    """One string of recordings: features, labels, and the number of the word."""
    xs, ys = zip(*string, strict=True)
    word = np.concatenate([np.where(y == SILENCE, -1, k) for k, y in enumerate(ys)])
    return np.concatenate(xs), np.concatenate(ys), word


def data(job):
    """Strings to learn from, to validate on, and of the test speaker, early and late takes."""
    found, checksum = recordings()
    test = SPEAKERS.index(job["speaker"])
    valid = SPEAKERS[(test + 1) % 6]
    learned = [name for name in SPEAKERS if name not in (job["speaker"], valid)]
    take, every = np.arange(500) % 50, np.arange(500)
    known = job.get("known", False)  # the test speaker's early takes are learned from
    groups = {}
    for k, name in enumerate(learned):
        groups[name] = strings(every[take < 40] if known else every, [job["seed"], k])
    if known:
        groups["known"] = strings(every[take < 40], [job["seed"], 9])
    training = tuple(groups)
    groups |= {
        "valid": strings(every, 1),
        "early": strings(every[take < 40], 2),
        "late": strings(every[take >= 40], 3),
    }
    people = {"valid": valid} | dict.fromkeys(["known", "early", "late"], job["speaker"])
    parts = {
        name: [[found[people.get(name, name)][k] for k in string] for string in own]
        for name, own in groups.items()
    }
    early = parts.pop("early")
    parts["test"] = ([] if known else early) + parts.pop("late")
    ready = scaled(parts, job.get("scale", "string"), training)
    return [s for name in training for s in ready[name]], ready["valid"], ready["test"], checksum


def learn(net, context, train, valid, seed):
    """A trained network, its share of wrong frames on the validation strings, its best epoch."""
    torch.manual_seed(seed)
    model = network(net, context)
    xs, ys, _ = zip(*train, strict=True)
    history = fit(
        model,
        framewise.loss,
        labelled(xs, ys, SETTINGS["B"], seed, SETTINGS["noise"]),
        Options(
            epochs=SETTINGS["epochs"],
            optimizer=partial(torch.optim.Adam, lr=SETTINGS["lr"][net]),
            clip=SETTINGS["clip"],
            patience=SETTINGS["patience"],
            seed=seed,
        ),
        validation=list(labelled(*list(zip(*valid, strict=True))[:2], len(valid))(0)),
    )
    wrong, frames = counts(model, valid)
    return model, sum(wrong) / sum(frames), history.best


def counts(model, parts):
    """Frames of speech that are wrong, and frames of speech, string by string."""
    xs, ys, _ = zip(*parts, strict=True)
    guesses = [p.argmax(1) for p in posteriors(model, xs)]
    spoken = [y != SILENCE for y in ys]
    wrong = [(q != y)[s].sum() for q, y, s in zip(guesses, ys, spoken, strict=True)]
    return [int(n) for n in wrong], [int(s.sum()) for s in spoken]


def outcome(job):
    """Errors on the test speaker: 125 strings, or if he is known the last 25, of late takes."""
    torch.set_num_threads(1)
    start = time.process_time()
    train, valid, test, checksum = data(job)
    method = METHODS[job["method"]]
    tried = {n: learn(method["net"], n, train, valid, job["seed"]) for n in method["context"]}
    context = min(tried, key=lambda n: tried[n][1])
    model, _, best = tried[context]
    wrong, frames = counts(model, test)
    ps = posteriors(model, [x for x, _, _ in test])
    confusion = np.zeros((K, K), int)
    tenths, right, said = np.zeros((10, 2), int), 0, 0
    for p, (_, y, word) in zip(ps, test, strict=True):
        np.add.at(confusion, (y, p.argmax(1)), 1)
        for k in range(SETTINGS["digits in a string"]):
            # Ten equal parts of the word: where in it are the wrong frames?
            own, digit = p[word == k], y[word == k][0]
            part = np.arange(len(own)) * 10 // len(own)
            np.add.at(tenths, part, np.stack([own.argmax(1) != digit, np.ones(len(own))], 1))
            said += 1
            right += int(np.log(own[:, :SILENCE] + 1e-9).sum(0).argmax() == digit)
    return {
        "context": context,
        "validation": {str(n): round(float(error), 4) for n, (_, error, _) in tried.items()},
        "best": best,
        "parameters": sum(value.numel() for value in model.parameters()),
        "wrong": wrong,
        "frames": frames,
        "confusion": confusion.tolist(),
        "tenths": tenths.tolist(),
        "words": [right, said],
        "data": checksum,
        "torch": torch.__version__,
        "seconds": round(time.process_time() - start, 1),
    }


def jobs(seeds):
    """All methods on strangers; then what a known voice, and another scaling, are worth."""
    for seed in seeds:
        for name in SPEAKERS:
            yield from ({"speaker": name, "seed": seed, "method": method} for method in METHODS)
        for extra in ({"known": True}, {"scale": "training"}):
            for name in SPEAKERS:
                job = {"speaker": name, "seed": seed, "method": "bidirectional LSTM"}
                yield job | extra


if __name__ == "__main__":
    run("framewise", __doc__, SETTINGS, jobs, outcome)
