"""A race on Shakespeare: who guesses characters best after 60, 300 and 1,800 CPU seconds?

Kneser-Ney n-grams against networks, one thread each. Six networks have one body, blocks with a
mixer over time, and differ in the mixer; one is an LSTM in a single layer, without blocks. First
every network gets five trials on a seed of their own: two sizes at two rates, and the better size
once more, at twice the rate or half of it, beyond the better one. For 300 seconds the larger size
has three trials of a minute: at its better rate, at half of it, and beyond the better of both. For
1,800 seconds the six with one body have two trials of 300: at the rate that 300 seconds chose, and
at half of it. What they chose is in CHOSEN.
"""

import time

from book.experiments.lab.race_training import train
from book.experiments.lab.runner import run
from companion import ngram
from companion.data import encode, shakespeare
from companion.data.card import sha256
from companion.models import characters

MIXERS = ("RNN", "GRU", "LSTM", "minLSTM", "SLSTM", "Transformer")
SINGLE = "LSTM, one layer"
SETTINGS = {
    "seeds": 5,
    "budgets": [60, 300, 1800],
    "streams": [16, 64],  # for networks with a state, which is carried on: streams, steps
    "windows": [8, 128],  # for the Transformer: windows from anywhere, their length
    "optimizer": "Adam",
    "schedule": "up over a twentieth of the budget, then to 0 along half a cosine",
    "clip": 1.0,
    "dropped": {"300": 0.2, "1800": 0.3},  # of outputs, all networks; a first guess
    # At a rate kept up for so long a network can be thrown back: 32 times validation is read, and
    # where it is so many bits worse than the best one, that one's weights go on at half the rate.
    "guarded": {"1800": {"points": 32, "worse": 0.05}},
    "test": True,
    "parts": "companion.models.characters.parts; the best of all validations is tested",
    "trials": {
        "seed": 100,
        "budget": 12,
        "blocks": {"sizes": [[64, 2], [128, 2]], "rates": [0.005, 0.01]},
        "one layer": {"sizes": [128, 256], "rates": [0.01, 0.02]},
        "longer": 60,  # with the dropout of 300 seconds
        "longest": 300,  # with the dropout of 1,800 seconds
    },
    "orders": 12,
}
# Each network's third rate, at its better size.
BEYOND = {
    "RNN": ([64, 2], 0.0025),
    "GRU": ([64, 2], 0.02),
    "LSTM": ([64, 2], 0.02),
    "minLSTM": ([64, 2], 0.02),
    "SLSTM": ([64, 2], 0.02),
    "Transformer": ([64, 2], 0.0025),
    "LSTM, one layer": (128, 0.04),
}
# The larger size's rates in the longer trials: its better one of the short ones, half of it, and a
# third one beyond the better of these two.
LONGER = {
    "RNN": [0.01, 0.005, 0.0025],
    "GRU": [0.01, 0.005, 0.0025],
    "LSTM": [0.01, 0.005, 0.02],
    "minLSTM": [0.01, 0.005, 0.02],
    "SLSTM": [0.01, 0.005, 0.0025],
    "Transformer": [0.005, 0.0025, 0.01],
    "LSTM, one layer": [0.02, 0.01, 0.04],
}
# Size and rate for each budget: the best of the five trials for 60 seconds; the larger size for
# more, at the better rate of its trials for that budget.
CHOSEN = {
    "RNN": {60: ([64, 2], 0.005), 300: ([128, 2], 0.005), 1800: ([128, 2], 0.0025)},
    "GRU": {60: ([64, 2], 0.01), 300: ([128, 2], 0.005), 1800: ([128, 2], 0.0025)},
    "LSTM": {60: ([64, 2], 0.01), 300: ([128, 2], 0.01), 1800: ([128, 2], 0.005)},
    "minLSTM": {60: ([64, 2], 0.01), 300: ([128, 2], 0.01), 1800: ([128, 2], 0.01)},
    "SLSTM": {60: ([64, 2], 0.01), 300: ([128, 2], 0.005), 1800: ([128, 2], 0.0025)},
    "Transformer": {60: ([64, 2], 0.005), 300: ([128, 2], 0.005), 1800: ([128, 2], 0.0025)},
    "LSTM, one layer": {60: (128, 0.04), 300: (256, 0.04)},
}


def trials(network):
    """The sizes and rates that a network is tried with."""
    tried = SETTINGS["trials"]["one layer" if network == SINGLE else "blocks"]
    pairs = [(size, lr) for size in tried["sizes"] for lr in tried["rates"]]
    return pairs + ([BEYOND[network]] if network in BEYOND else [])


def jobs(seeds):
    """Counting, the trials, then budget by budget and seed by seed all networks."""
    yield from ({"order": n} for n in range(1, SETTINGS["orders"] + 1))
    for network in (*MIXERS, SINGLE):
        for size, lr in trials(network):
            yield {"network": network, "size": size, "lr": lr}
    for network in (*MIXERS, SINGLE):
        for lr in LONGER[network]:
            yield trial(network, lr, "longer")
    for network in MIXERS:
        for share in (1, 0.5):
            yield trial(network, share * CHOSEN[network][300][1], "longest")
    for budget in SETTINGS["budgets"]:
        for seed in seeds:
            for network in CHOSEN:
                if budget in CHOSEN[network]:
                    yield {"network": network, "budget": budget, "seed": seed}


def trial(network, lr, kind):
    """A trial of the larger size for the longer races."""
    size, seconds = CHOSEN[network][300][0], SETTINGS["trials"][kind]
    return {"network": network, "size": size, "lr": lr, "seconds": seconds}


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
        tried = SETTINGS["trials"]
        settings = SETTINGS | {"test": False}
        seed, size, lr = tried["seed"], job["size"], job["lr"]
        budget = job.get("seconds", tried["budget"])
        race = {tried["longer"]: "300", tried["longest"]: "1800"}.get(budget)
        settings["dropped"] = {str(budget): SETTINGS["dropped"].get(race, 0)}
        return train(job["network"], size, lr, budget, seed, numbers, settings)
    size, lr = CHOSEN[job["network"]][job["budget"]]
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
