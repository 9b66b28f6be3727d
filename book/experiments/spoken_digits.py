"""How well are strings of digits recognised, when a person speaks whom no one has heard before?"""

import time
from functools import cache

import jiwer
import numpy as np
import torch

from book.experiments.lab import digit_networks, digit_strings
from book.experiments.lab.digit_networks import Person, read, train
from book.experiments.lab.digit_strings import said, steps, strings, takes, text, utterance
from book.experiments.lab.runner import run
from book.experiments.lab.templates import Templates
from companion.data import fetch_fsdd, load_asterisk_digits
from companion.data.digits import SPEAKERS, Recordings
from companion.models.recogniser import joined, log_probabilities

TEST, REST = range(25), range(25, 50)  # takes of who is tested, and those for choices
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
    **digit_strings.SETTINGS,
    **digit_networks.SETTINGS,
    "templates": {"frames": 2, "penalties": [0, 5, 10, 20, 40], "strings": 20},
    "methods": METHODS,
    "torch": torch.__version__,
}


@cache
def fsdd():
    """The six people, by name, and the checksum of their recordings."""
    found = fetch_fsdd()
    return {name: Person(name, own) for name, own in found.speakers.items()}, found.card.checksum


@cache
def rest_of(person):
    """The same person, with the takes that no test has."""
    return Person(f"{person.name}, rest", takes(person.recordings, REST))


def spoken_by(person, numbers=TEST, ways=()):
    """Fixed strings of one person to test on, each recording once."""
    return strings(takes(person.recordings, numbers), ways, np.random.default_rng(0))


def asterisk(ways=()):
    """Fixed strings of the Asterisk voice: each of the ten recordings ten times."""
    waves, digits = load_asterisk_digits().recordings
    return strings(Recordings(waves * 10, np.tile(digits, 10)), ways, np.random.default_rng(0))


def picture(model):
    """Probabilities (T, 11) for one string of the Asterisk voice."""
    waves = load_asterisk_digits().recordings.waves
    rng = np.random.default_rng(0)
    shown = utterance([waves[digit] for digit in SHOWN], np.array(SHOWN), (), rng)
    return np.exp(log_probabilities(model, [steps(shown.x)])[0]).round(2).tolist()


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
    heard = [book.recognise(joined(string.x, n), penalty) for string in spoken]
    return {"said": said(spoken), "greedy": [text(words) for words in heard]}


def price(people):
    """The penalty with which the first of these people is understood best by the others."""
    book = templates(people[1:])
    trial = spoken_by(people[0], REST)[: SETTINGS["templates"]["strings"]]

    def errors(penalty):
        heard = by_templates(book, trial, penalty)
        return jiwer.wer(heard["said"], heard["greedy"])

    return min(SETTINGS["templates"]["penalties"], key=errors)


def outcome(job):
    """What was said and what was heard, string by string."""
    torch.set_num_threads(1)
    start = time.process_time()
    people, checksum = fsdd()
    method, seed, epochs = job["method"], job.get("seed"), SETTINGS["epochs"]
    tested = [job["speaker"]] if "speaker" in job else SPEAKERS
    tests = {name: spoken_by(people[name]) for name in tested}
    others = [person for name, person in people.items() if name != job.get("speaker")]
    found = {}
    if method == "templates":
        found["penalty"], book = price(others), templates(others)
        heard = {name: by_templates(book, s, found["penalty"]) for name, s in tests.items()}
    else:
        framewise = method == "framewise"
        if method == "shared":
            # 1,500 of 2,500 recordings: as many strings in all, in more epochs.
            others, epochs = [rest_of(person) for person in people.values()], epochs * 5 // 3
        ways = METHODS.get(method, METHODS["plain"])
        model, training = train(others, ways, seed, epochs, framewise)
        tests["asterisk"] = asterisk()
        heard = {name: read(model, spoken, framewise) for name, spoken in tests.items()}
        found["training"] = [round(x, 3) for x in training]
        if method == "all":
            found["picture"] = picture(model)
    seconds = round(time.process_time() - start, 1)
    return {"heard": heard, **found, "seconds": seconds, "data": checksum}


def jobs(seeds):
    """Every network with every seed; comparing with templates has none."""
    done = per_person(["templates"])
    for seed in seeds:
        done += per_person((*METHODS, "framewise"), seed=seed)
        done += [{"method": "shared", "seed": seed}]
    return done


def per_person(methods, **more):
    return [{"method": method, "speaker": name, **more} for method in methods for name in SPEAKERS]


if __name__ == "__main__":
    run("spoken_digits", __doc__, SETTINGS, jobs, outcome)
