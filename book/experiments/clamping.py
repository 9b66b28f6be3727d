"""What does each unit's memory of the character model do? Hold it at its mean, and count the bits.

Every unit in turn is held at its mean over the validation part while the model reads the test
part. What that costs is averaged over the places where a stage direction goes on, a speaker's
name goes on, or a spoken line ends, and over all others.
"""

import hashlib
import time

import numpy as np

from book.experiments.lab.runner import run
from companion.models import characters
from companion.models.probe import correlations, hold, places, properties

SETTINGS = {
    "seeds": 1,
    "text": "the first 20,000 characters of the test part of companion.models.characters.parts",
    "value": "mean over the validation part, from which the correlations are, too",
}
N = 20_000


def outcome(job):
    """Read the text once as it is, and once for each unit."""
    start = time.process_time()
    model, parts = characters.load(), characters.parts()
    memory = cell_states(model, parts["validation"])
    text = parts["test"][:N]
    found = properties(parts["validation"])
    follows = correlations(memory, np.stack(list(found.values())))
    whole, where = characters.bits(model, text), places(text)
    lost = {name: [] for name in where}
    for unit, value in enumerate(memory.mean(0)):
        more = characters.bits(*_first(hold(model, unit, value), text)) - whole
        for name, at in where.items():
            lost[name].append(round(float(more[at].mean()), 5))
    return {
        "whole": {name: round(float(whole[at].mean()), 4) for name, at in where.items()},
        "places": {name: int(at.sum()) for name, at in where.items()},
        "lost": lost,
        "mean": [round(float(value), 5) for value in memory.mean(0)],
        "follows": dict(zip(found, follows.round(4).tolist(), strict=True)),
        "data": hashlib.sha256(text.encode()).hexdigest(),
        "seconds": round(time.process_time() - start, 1),
    }


def jobs(seeds):
    """One model, so one run; nothing is drawn."""
    return [{"model": "characters"}]


def cell_states(model, text, n=5000):
    """The cell states while a text is read piece by piece: (T, H)."""
    found, state = [], None
    for start in range(0, len(text), n):
        piece = characters.run(model, text[start : start + n], state)
        found.append(piece.traces["c"])
        state = piece.state
    return np.concatenate(found)


def _first(held, text):
    model, state = held
    return model, text, state


if __name__ == "__main__":
    run("clamping", __doc__, SETTINGS, jobs, outcome)
