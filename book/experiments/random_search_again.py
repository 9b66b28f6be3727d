"""The best draws of `random_search`, trained again with other seeds: were they good, or lucky?"""

from book.experiments.lab.runner import run
from book.experiments.random_search import SETTINGS as SEARCH
from book.experiments.random_search import draw, trained

SETTINGS = {
    "seeds": 3,
    "draws": [31, 10, 8, 48, 59],
    "choice": "the first to fourth and the seventh of the 60, by the validation text",
    "search": SEARCH,
    "seeds of the weights": "from 1,000",
}


def outcome(job):
    """Train a draw with another seed."""
    return trained(draw(job["draw"]), 1000 + job["seed"])


def jobs(seeds):
    """Every draw with every seed, seed by seed."""
    return [{"draw": k, "seed": seed} for seed in seeds for k in SETTINGS["draws"]]


if __name__ == "__main__":
    run("random_search_again", __doc__, SETTINGS, jobs, outcome)
