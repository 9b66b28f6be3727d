"""What does each unit's memory of the character model do? Hold it still, and see what is lost.

Reading: every unit in turn is held at its mean over the validation part while the model reads the
test part. What that costs is averaged over the places where a stage direction goes on, a speaker's
name goes on, or a spoken line ends, and over all others.
Writing: the unit that follows the place in the line best, and units drawn at random, are held near
the ends of their range while the model writes. How long are the lines?
"""

import hashlib
import time

import numpy as np

from book.experiments.lab.runner import run
from companion.models import characters
from companion.models.probe import correlations, hold, places, properties

SETTINGS = {
    "seeds": 1,
    "reading": "the first 8,000 characters of the test part of companion.models.characters.parts",
    "value": "mean over the validation part, from which the correlations are, too",
    "writing": "1,200 characters at temperature 1 for each of 2 seeds",
    "values": "5 % and 95 % quantile over the validation part",
    "random units": 20,
}
N, WRITTEN = 8000, 1200


def outcome(job):
    """One of the two measures, and what the units follow."""
    start = time.process_time()
    model, parts = characters.load(), characters.parts()
    memory = cell_states(model, parts["validation"])
    found = properties(parts["validation"])
    follows = dict(zip(found, correlations(memory, np.stack(list(found.values()))), strict=True))
    text = parts["test"][:N]
    measure = {"reading": reading, "writing": writing}[job["measure"]]
    return {
        **measure(model, memory, follows, text),
        "data": hashlib.sha256(text.encode()).hexdigest(),
        "seconds": round(time.process_time() - start, 1),
    }


def reading(model, memory, follows, text):
    """Bits a character that are lost, by place: of all units, in their order."""
    whole, where = characters.bits(model, text), places(text)
    lost = {name: [] for name in where}
    for unit, value in enumerate(memory.mean(0)):
        held, state = hold(model, unit, value)
        more = characters.bits(held, text, state) - whole
        for name, at in where.items():
            lost[name].append(round(float(more[at].mean()), 5))
    return {
        "whole": {name: round(float(whole[at].mean()), 4) for name, at in where.items()},
        "places": {name: int(at.sum()) for name, at in where.items()},
        "lost": lost,
        "mean": memory.mean(0).round(5).tolist(),
        "follows": {name: values.round(4).tolist() for name, values in follows.items()},
    }


def writing(model, memory, follows, text):
    """Mean length of the spoken lines: as the model is, and with a unit held, seed by seed."""
    chosen = int(np.abs(follows["line"]).argmax())
    others = np.delete(np.arange(memory.shape[1]), chosen)
    drawn = np.random.default_rng(0).choice(others, SETTINGS["random units"], replace=False)
    lengths = {}
    for unit in (chosen, *drawn.tolist()):
        ends = np.quantile(memory[:, unit], (0.05, 0.95))
        both = [lines(*hold(model, unit, value)) for value in ends]
        lengths[unit] = {"values": ends.round(4).tolist(), "lengths": both}
    return {"chosen": chosen, "free": lines(model, None), "held": lengths, "text": mean_line(text)}


def lines(model, state):
    """Mean length of the lines that a model writes: one number a seed."""
    return [mean_line(write(model, state, WRITTEN, np.random.default_rng(s))) for s in range(2)]


def write(model, state, n, rng):
    """n characters after a line break, each drawn and then read."""
    text = "\n"
    for _ in range(n):
        step = characters.run(model, text[-1], state)
        state, p = step.state, step.probabilities[-1]
        text += model.alphabet[rng.choice(len(p), p=p / p.sum())]
    return text


def mean_line(text):
    """Mean number of characters in a line that is no name and no stage direction."""
    spoken = [line for line in text.split("\n") if line and line[0] != "[" and line[-1] not in ":]"]
    return round(float(np.mean([len(line) for line in spoken])), 2)


def jobs(seeds):
    """One model, so one run of each measure."""
    return [{"measure": measure} for measure in ("reading", "writing")]


def cell_states(model, text, n=5000):
    """The cell states while a text is read piece by piece: (T, H)."""
    found, state = [], None
    for start in range(0, len(text), n):
        piece = characters.run(model, text[start : start + n], state)
        found.append(piece.traces["c"])
        state = piece.state
    return np.concatenate(found)


if __name__ == "__main__":
    run("clamping", __doc__, SETTINGS, jobs, outcome)
