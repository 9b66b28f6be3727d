"""The LSTM of 1997 against the one with a forget gate, on a stream that is never reset."""

from book.experiments.lab.runner import run
from book.experiments.lab.streams import train_on_stream
from book.experiments.lab.training import Settings

SETTINGS = {
    "seeds": 20,
    "cells": ["lstm", "lstm1997"],
    "H": 8,
    "lr": 0.03,
    "B": 16,
    "budget": 6_000_000,
    "forget_bias": 1.0,
    "shortcut": True,
    "budget counts": "symbols; the learning rate falls linearly to 0",
    "test": "10 streams of 100,000 symbols, each until its first wrong prediction",
    "choice": "of lr 0.01 and 0.03 and forget bias 1 and 3, tried on one seed outside these",
}


def outcome(job):
    """Train one network on streams of 1000 symbols, the state carried on every 50 symbols."""
    names = ("H", "lr", "B", "budget", "forget_bias", "shortcut")
    settings = Settings(cell=job["cell"], **{name: SETTINGS[name] for name in names})
    return train_on_stream(settings, job["seed"])


def jobs(seeds):
    """Both cells with every seed."""
    return [{"cell": cell, "seed": seed} for seed in seeds for cell in SETTINGS["cells"]]


if __name__ == "__main__":
    run("continual_reber", __doc__, SETTINGS, jobs, outcome)
