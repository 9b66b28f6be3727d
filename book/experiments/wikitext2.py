"""The small network of Zaremba, Sutskever and Vinyals (2014) on WikiText-2, under their schedule.

What they chose for Penn Treebank is kept as it is, for a text of twice the length and a list of
three times as many words: about four hours of one core for 13 epochs, or some minutes on a GPU.
The data are looked for as
`companion.data.fetch_wikitext2` says: COMPANION_DATA names a folder that has
wikitext-2/wiki.train.tokens and the others.
"""

from book.experiments.lab.runner import run
from book.experiments.lab.words import SMALL, train
from companion.data import fetch_wikitext2

SETTINGS = {
    "seeds": 3,
    **SMALL,
    "method": {"layer": "lstm", "dropout": 0.0},
    "choice": "all as the paper has it for Penn Treebank",
}


def outcome(job):
    """Train the network with one seed."""
    words = fetch_wikitext2()
    result = train(
        words, SETTINGS, SETTINGS["method"], job["seed"], "wikitext2-{seed}".format(**job)
    )
    return {**result, "data": words.card.checksum}


def jobs(seeds):
    """One network a seed."""
    return [{"seed": seed} for seed in seeds]


if __name__ == "__main__":
    run("wikitext2", __doc__, SETTINGS, jobs, outcome, anywhere=True)
