"""How well are strings of digits recognised, when a person speaks whom no one has heard before?"""

import time
from functools import cache, lru_cache, partial

import jiwer
import numpy as np
import torch

from book.experiments.lab.runner import run
from book.experiments.lab.templates import Templates
from companion.data import fetch_fsdd, load_asterisk_digits
from companion.data.digits import SPEAKERS, Recordings
from companion.data.voices import VOICES, speak
from companion.decode import ctc_beam_search, ctc_greedy
from companion.models.recogniser import (
    Recogniser,
    joined,
    log_probabilities,
    loss,
    transcribed,
)
from companion.sound import log_mel
from companion.train import Options, fit
from companion.utterances import add_noise, join, mask, normalised, speed

RATE = 8000
WORDS = "zero one two three four five six seven eight nine".split()
TEST, REST = range(25), range(25, 50)  # takes of the speaker who is tested, and those for choices
METHODS = {
    "plain": (),
    "all": ("speed", "noise", "mask"),
    "speed": ("speed",),
    "noise": ("noise",),
    "mask": ("mask",),
}
SHOWN = (3, 1, 4, 1, 5)  # what the Asterisk voice says in the picture
SETTINGS = {
    "seeds": 2,
    "digits": [3, 7],
    "frames": 4,
    "bands": 26,
    "H": 64,
    "B": 16,
    "lr": 0.005,
    "epochs": 20,
    "speed": 0.2,
    "noise": [10, 40],
    "mask": [5, 6],
    "beam": 16,
    "shortest": [1, 2, 3, 4],
    "templates": {"frames": 2, "penalties": [0, 5, 10, 20, 40], "strings": 20},
    "methods": METHODS,
    "torch": torch.__version__,
}


def lengths(many, rng):
    """How many digits each string has: every number from 3 to 7 equally often, in random order.

    many: recordings, a multiple of 25, each of which is in one string.
    """
    low, high = SETTINGS["digits"]
    each = np.arange(low, high + 1)
    return rng.permutation(np.tile(each, many // each.sum()))


class Person:
    """Recordings and a name, which a cache can tell from others."""

    def __init__(self, name, recordings):
        self.name, self.recordings = name, recordings


def utterance(waves, ways, rng):
    """Frames of one string (T, D), starts and ends of its digits, in frames of 10 ms."""
    if "speed" in ways:
        factor = np.exp(rng.uniform(-SETTINGS["speed"], SETTINGS["speed"]))
        waves = [speed(wave, factor) for wave in waves]
    wave, starts, ends = join(waves, RATE, rng)
    if "noise" in ways:
        wave = add_noise(wave, rng.uniform(*SETTINGS["noise"]), rng)
    x = normalised(log_mel(wave, RATE, SETTINGS["bands"]))
    if "mask" in ways:
        x = mask(x, rng, *SETTINGS["mask"])
    return x, starts / (RATE / 100), ends / (RATE / 100)


def strings(recordings, ways, rng):
    """Every recording of a person once, in strings: a list of (frames, digits, starts, ends)."""
    waves, digits = recordings
    order = rng.permutation(len(waves))
    parts = np.split(order, np.cumsum(lengths(len(order), rng))[:-1])
    found = []
    for part in parts:
        x, starts, ends = utterance([waves[k] for k in part], ways, rng)
        found.append((x, digits[part], starts, ends))
    return found


def steps(x):
    """The features that a network reads: several frames as one step."""
    return joined(x, SETTINGS["frames"])


def per_step(string):
    """The class of each step of a string: a digit + 1 where the middle of the step is in it."""
    x, digits, starts, ends = string
    n = SETTINGS["frames"]
    middle = np.arange(-(-len(x) // n)) * n + n / 2
    inside = (middle[:, None] >= starts) & (middle[:, None] < ends)
    return (inside * (digits + 1)).sum(1)


@lru_cache(maxsize=200)  # an epoch of a person serves all networks that hear it
def one_epoch(person, ways, seed, epoch):
    """What the networks of this seed hear of a person: a list of (x, transcript, classes)."""
    rng = np.random.default_rng([seed, epoch, *person.name.encode()])
    spoken = strings(person.recordings, ways, rng)
    return [(steps(string[0]), string[1] + 1, per_step(string)) for string in spoken]


def train(people, ways, seed, epochs, framewise=False):
    """A network that has heard these people, each recording once an epoch, in new strings."""
    torch.manual_seed(seed)
    model = Recogniser(SETTINGS["frames"] * SETTINGS["bands"], 11, SETTINGS["H"])

    def batches(epoch):
        spoken = [string for person in people for string in one_epoch(person, ways, seed, epoch)]
        xs, transcripts, classes = zip(*spoken, strict=True)
        return transcribed(xs, classes if framewise else transcripts, SETTINGS["B"], seed)(epoch)

    updates = epochs * sum(1 for _ in batches(0))
    rate = partial(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=SETTINGS["lr"],
        total_steps=updates + 1,
        pct_start=0.1,
    )
    options = Options(
        epochs=epochs,
        optimizer=partial(torch.optim.Adam, lr=SETTINGS["lr"]),
        schedule=rate,
        clip=5,
        batch_dim=(1, 0),
        seed=seed,
    )
    history = fit(model, frame_loss if framewise else loss, batches, options)
    return model, history.train


def frame_loss(log_probs, y):
    """Cross-entropy, its mean over all steps: for targets that say which class each step is."""
    targets, lengths, _ = y
    inside = torch.arange(len(log_probs))[:, None] < lengths
    chosen = log_probs.gather(2, targets.T[: len(log_probs), :, None])[..., 0]
    return -(chosen * inside).sum(), int(lengths.sum())


def runs_of(path, shortest):
    """Digits of a framewise answer: runs of a class of at least so many steps, no blanks."""
    cuts = np.flatnonzero(np.diff(path)) + 1
    pieces = [part for part in np.split(path, cuts) if len(part) >= shortest]
    kept = np.concatenate([*pieces, [0]])[:-1].astype(int)
    # Two runs of a digit around a piece that was too short are one.
    new = np.diff(kept, prepend=0) != 0
    return kept[new & (kept > 0)].tolist()


def picture(model):
    """Probabilities (T, 11) for one string of the Asterisk voice, with two digits."""
    waves = load_asterisk_digits().recordings.waves
    x, _, _ = utterance([waves[digit] for digit in SHOWN], (), np.random.default_rng(0))
    return np.exp(log_probabilities(model, [steps(x)])[0]).round(2).tolist()


def text(classes):
    """Digits of a transcript as one word each, for jiwer; class k is the digit k - 1."""
    return " ".join(str(k - 1) for k in classes)


def read(model, spoken):
    """What is heard in the strings: {"said", "greedy", "beam"}, lists of strings of digits."""
    found, width = (
        log_probabilities(model, [steps(string[0]) for string in spoken]),
        SETTINGS["beam"],
    )
    return {
        "said": said(spoken),
        "greedy": [text(ctc_greedy(p).tokens) for p in found],
        "beam": [text(ctc_beam_search(p, width)[0].tokens) for p in found],
    }


def read_frames(model, spoken, shortest):
    """The same with a network that names the digit of each step."""
    found = log_probabilities(model, [steps(string[0]) for string in spoken])
    return {"said": said(spoken), "greedy": [text(runs_of(p.argmax(1), shortest)) for p in found]}


def said(spoken):
    return [text(string[1] + 1) for string in spoken]


def choose(values, hear):
    """The value with which hear(value), a dict as of `read`, has the fewest errors."""
    heard = {value: hear(value) for value in values}
    return min(values, key=lambda value: jiwer.wer(heard[value]["said"], heard[value]["greedy"]))


def takes(recordings, numbers):
    """Some of the takes of one person."""
    keep = [k for k in range(len(recordings.waves)) if k % 50 in numbers]
    return Recordings([recordings.waves[k] for k in keep], recordings.digits[keep])


def spoken_by(recordings, numbers=TEST):
    """Fixed strings of one person to test on, each recording once."""
    return strings(takes(recordings, numbers), (), np.random.default_rng(0))


@cache
def fsdd():
    """The six people, by name, and the checksum of their recordings."""
    found = fetch_fsdd()
    return {name: Person(name, own) for name, own in found.speakers.items()}, found.card.checksum


def asterisk():
    """Fixed strings of the Asterisk voice: each of the ten recordings ten times."""
    waves, digits = load_asterisk_digits().recordings
    return strings(Recordings(waves * 10, np.tile(digits, 10)), (), np.random.default_rng(0))


def synthetic(part):
    """What the synthetic voices of a split say: every digit five times a voice, the same wave."""
    people = []
    for voice in VOICES[part]:
        waves = [trimmed(speak(word, voice).wave) for word in WORDS]
        people.append(Person(voice, Recordings(waves * 5, np.tile(np.arange(10), 5))))
    return people


def trimmed(wave, quiet=0.01):
    """Without the silence before and after, of at most 1 % of the loudest sample."""
    loud = np.flatnonzero(np.abs(wave) > quiet * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def templates(people):
    """Every recording of these people, as it sounds in a string."""
    n, pieces, words = SETTINGS["templates"]["frames"], [], []
    for person in people:
        for x, digits, starts, ends in strings(person.recordings, (), np.random.default_rng(1)):
            x = joined(x, n)
            for digit, start, end in zip(digits, starts, ends, strict=True):
                first = int(start / n)
                pieces.append(x[first : max(first + 1, round(end / n))])
                words.append(digit + 1)
    return Templates(pieces, words)


def by_templates(book, spoken, penalty):
    """What is heard in the strings, by comparing with all templates."""
    n = SETTINGS["templates"]["frames"]
    heard = [book.recognise(joined(string[0], n), penalty) for string in spoken]
    return {"said": said(spoken), "greedy": [text(words) for words in heard]}


def outcome(job):
    """What was said and what was heard, string by string."""
    torch.set_num_threads(1)
    start = time.process_time()
    people, checksum = fsdd()
    method, seed, epochs = job["method"], job.get("seed"), SETTINGS["epochs"]
    tests = {name: spoken_by(person.recordings) for name, person in people.items()}
    others = [person for name, person in people.items() if name != job.get("speaker")]
    training = chosen = shown = None
    if "speaker" in job:
        tests = {job["speaker"]: tests[job["speaker"]]}
    if method == "templates":
        # The price of a word, from one of the others heard by the rest of them.
        own, trial = templates(others[1:]), spoken_by(others[0].recordings, REST)
        trial = trial[: SETTINGS["templates"]["strings"]]
        values = SETTINGS["templates"]["penalties"]
        chosen = choose(values, lambda value: by_templates(own, trial, value))
        book = templates(others)
        heard = {name: by_templates(book, spoken, chosen) for name, spoken in tests.items()}
    elif method == "framewise":
        model, training = train(others, METHODS["plain"], seed, epochs, framewise=True)
        known = [s for p in others for s in spoken_by(p.recordings, REST)]
        chosen = choose(SETTINGS["shortest"], lambda value: read_frames(model, known, value))
        heard = {name: read_frames(model, spoken, chosen) for name, spoken in tests.items()}
    else:
        ways = METHODS.get(method, METHODS["plain"])
        if method == "shared":
            # 150 of 250 recordings: as many strings in all, in more epochs.
            own = [Person(f"{p.name}, rest", takes(p.recordings, REST)) for p in others]
            model, training = train(own, ways, seed, epochs * 5 // 3)
        elif method.startswith("synthetic"):
            # 2,000 of 2,500 recordings.
            ways = METHODS[method.partition(", ")[2]]
            model, training = train(synthetic("train"), ways, seed, epochs * 5 // 4)
        else:
            model, training = train(others, ways, seed, epochs)
        tests["asterisk"] = asterisk()
        heard = {name: read(model, spoken) for name, spoken in tests.items()}
        shown = picture(model) if method == "all" else None
    seconds = round(time.process_time() - start, 1)
    training = training and [round(x, 3) for x in training]
    return {
        "heard": heard,
        "chosen": chosen,
        "picture": shown,
        "training": training,
        "seconds": seconds,
        "data": checksum,
    }


def jobs(seeds):
    """Every method once, then with further seeds; comparing with templates has no seed."""
    done = []
    for seed in seeds:
        for method in ("all", "plain", "speed", "framewise"):
            done += [{"method": method, "speaker": name, "seed": seed} for name in SPEAKERS]
        done += [{"method": "shared", "seed": seed}]
        if seed == seeds[0]:
            done += [{"method": "templates", "speaker": name} for name in SPEAKERS]
        done += [
            {"method": method, "seed": seed} for method in ("synthetic, all", "synthetic, plain")
        ]
        for method in ("mask", "noise"):
            done += [{"method": method, "speaker": name, "seed": seed} for name in SPEAKERS]
    return done


if __name__ == "__main__":
    run("spoken_digits", __doc__, SETTINGS, jobs, outcome)
