"""A race on Shakespeare: who guesses characters best after 60, 300 and 1,800 CPU seconds?

Kneser-Ney n-grams against six networks, one thread each. First every network gets the same six
trials, two sizes at three rates, on a seed of their own; what they chose is in CHOSEN. Where the
best rate was at an end of its three, one trial beyond that end was added.
"""

import time

from book.experiments.lab.race_training import train
from book.experiments.lab.runner import run
from companion import ngram
from companion.data import encode, shakespeare
from companion.data.card import sha256
from companion.models import characters

RATES = {
    "RNN": (0.002, 0.004, 0.008),
    "GRU": (0.005, 0.01, 0.02),
    "LSTM": (0.005, 0.01, 0.02),
    "minLSTM": (0.0025, 0.005, 0.01),
    "SLSTM": (0.005, 0.01, 0.02),
    "Transformer": (0.002, 0.004, 0.008),
}
BLOCKS = {"minLSTM": 2, "Transformer": 3}  # the others have one layer
SETTINGS = {
    "seeds": 5,
    "budgets": [60, 300, 1800],
    "streams": [16, 64],  # for networks with a state, which is carried on: streams, steps
    "windows": [8, 128],  # for the Transformer: windows from anywhere, their length
    "optimizer": "Adam",
    "schedule": "up over a twentieth of the budget, then to 0 along half a cosine",
    "clip": 1.0,
    "dropped": {"300": 0.2, "1800": 0.3},  # of outputs, all networks; a first guess
    "test": True,
    "parts": "companion.models.characters.parts; the best of six validations is tested",
    "trials": {"seed": 100, "budget": 12, "units": {"one layer": [128, 256], "blocks": [64, 128]}},
    "orders": 12,
}
# Network: size and rate at 60 seconds, and at more.
CHOSEN = {}


def sizes(network):
    """The two sizes that were tried: units, or units and blocks."""
    units = SETTINGS["trials"]["units"]["blocks" if network in BLOCKS else "one layer"]
    return [[H, BLOCKS[network]] if network in BLOCKS else H for H in units]


def jobs(seeds):
    """Counting, the trials, then budget by budget and seed by seed all networks."""
    yield from ({"order": n} for n in range(1, SETTINGS["orders"] + 1))
    for network, rates in RATES.items():
        for size in sizes(network):
            yield from ({"network": network, "size": size, "lr": lr} for lr in rates)
    for budget in SETTINGS["budgets"]:
        for seed in seeds:
            yield from ({"network": n, "budget": budget, "seed": seed} for n in CHOSEN)


def outcome(job):
    """One run: of counting, of a trial, or of the race."""
    text = shakespeare()
    alphabet = encode(text)[1]
    numbers = {name: encode(part, alphabet)[0] for name, part in characters.parts().items()}
    return {**run_one(job, numbers, len(alphabet)), "data": sha256(text.encode())}


def run_one(job, numbers, K):
    if "order" in job:
        return counted(job["order"], numbers, K)
    if "lr" in job:
        trials = SETTINGS["trials"]
        settings = SETTINGS | {"test": False}
        budget, seed, (size, lr) = trials["budget"], trials["seed"], (job["size"], job["lr"])
        return train(job["network"], size, lr, budget, seed, numbers, settings)
    size, lr = CHOSEN[job["network"]]["60" if job["budget"] == 60 else "more"]
    chosen = {"size": size, "lr": lr}
    budget, seed = job["budget"], job["seed"]
    return chosen | train(job["network"], size, lr, budget, seed, numbers, SETTINGS)


def counted(order, numbers, K):
    """Count n-grams up to an order; seconds of that, and bits a character but the first."""
    start = time.process_time()
    model = ngram.kneser_ney(ngram.count(numbers["training"], K, order))
    seconds = time.process_time() - start
    found = {
        part: round(-float(ngram.log2_probabilities(model, numbers[part])[1:].mean()), 4)
        for part in ("validation", "test")
    }
    return {"seconds": round(seconds, 2), **found}


if __name__ == "__main__":
    run("race", __doc__, SETTINGS, jobs, outcome)
