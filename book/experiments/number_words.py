"""Numbers in words, English to French: without attention, with a reversed source, with attention.

Trained on numbers of at most eight English words, tested on other ones, and on longer ones.
"""

import time
from functools import partial

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import run
from companion.data.pairs import PAD, draw_numbers, number_words, numbered, paired, vocabulary
from companion.models.translator import Translator, loss, translate
from companion.train import Options, fit

METHODS = {
    "attention": {"attention": True, "reversed": False, "H": 64, "lr": 0.01},
    "reversed": {"attention": False, "reversed": True, "H": 68, "lr": 0.01},
    "plain": {"attention": False, "reversed": False, "H": 68, "lr": 0.01},
}
SETTINGS = {
    "seeds": 6,
    "N": 3000,
    "tests": 500,
    "longest": 8,
    "D": 32,
    "B": 32,
    "epochs": 8,
    "schedule": "the rate falls linearly to 0 over all updates",
    "clip": 1.0,
    "limit": 30,
    "shown": 97_084,
    "methods": METHODS,
    "choice": {"lr": [0.005, 0.01, 0.02], "seeds": [100, 101]},
    "torch": torch.__version__,
}


def pairs(seed, backwards):
    """Arrays of words' numbers of "train", "short" and "long", and the sizes of vocabularies."""
    drawn = draw_numbers(np.random.default_rng(seed), 9000)
    drawn = [number for number in drawn if number != SETTINGS["shown"]]
    english, french = number_words(drawn, "en"), number_words(drawn, "fr")
    short = [k for k, words in enumerate(english) if len(words) <= SETTINGS["longest"]]
    rest = [k for k, words in enumerate(english) if len(words) > SETTINGS["longest"]]
    N, tests = SETTINGS["N"], SETTINGS["tests"]
    parts = {"train": short[:N], "short": short[N : N + tests], "long": rest[:tests]}
    assert all(len(part) == (N if name == "train" else tests) for name, part in parts.items())
    known = [vocabulary([text[k] for k in parts["train"]]) for text in (english, french)]
    parts["shown"] = [len(drawn)]
    english += number_words([SETTINGS["shown"]], "en")
    french += number_words([SETTINGS["shown"]], "fr")
    found = {}
    for name, part in parts.items():
        sources = numbered([english[k] for k in part], known[0])
        targets = numbered([french[k] for k in part], known[1])
        found[name] = [row[::-1].copy() if backwards else row for row in sources], targets
    return found, [*map(len, known)]


def exact(model, sources, targets):
    """Which outputs of greedy search are right to the last word: bool (N,)."""
    (source, lengths, _), _ = next(iter(paired(sources, targets, len(sources))(0)))
    rows, _ = translate(model, source, lengths, SETTINGS["limit"])
    return np.array([row == wanted.tolist() for row, wanted in zip(rows, targets, strict=True)])


@torch.no_grad()
def forced(model, sources, targets):
    """Share of next words that are right when the decoder reads the wanted words before them."""
    x, y = next(iter(paired(sources, targets, len(sources))(0)))
    real = y != PAD
    return float((model.eval()(x).argmax(-1) == y)[real].float().mean())


def outcome(job):
    """Train one network; a choice of the rate ends with the short numbers."""
    torch.set_num_threads(1)
    method = METHODS[job["method"]]
    data, sizes = pairs(job["seed"], method["reversed"])
    torch.manual_seed(job["seed"])
    model = Translator(sizes, SETTINGS["D"], method["H"], method["attention"])
    batches, curve = paired(*data["train"], SETTINGS["B"], job["seed"]), []
    updates = SETTINGS["epochs"] * len(list(batches(0)))

    def watched(epoch):
        if epoch and "lr" not in job:
            curve.append(round(float(exact(model, *data["short"]).mean()), 4))
            model.train()
        return batches(epoch)

    start = time.process_time()
    fit(
        model,
        loss,
        watched,
        Options(
            epochs=SETTINGS["epochs"],
            optimizer=partial(torch.optim.Adam, lr=job.get("lr", method["lr"])),
            schedule=partial(LambdaLR, lr_lambda=lambda k: 1 - k / updates),
            clip=SETTINGS["clip"],
            seed=job["seed"],
        ),
    )
    seconds = round(time.process_time() - start, 1)
    short = exact(model, *data["short"])
    if "lr" in job:
        return {"short": float(short.mean()), "seconds": seconds}
    right = np.concatenate([short, exact(model, *data["long"])])
    words = np.array([len(row) for part in ("short", "long") for row in data[part][0]])
    (source, lengths, _), _ = next(iter(paired(*data["shown"], 1)(0)))
    rows, weights = translate(model, source, lengths, SETTINGS["limit"])
    look = None if weights is None else weights[: len(rows[0]), :, 0].numpy().round(3).tolist()
    return {
        "shown right": rows[0] == data["shown"][1][0].tolist(),
        "look": look,
        "curve": [*curve, float(short.mean())],
        "short": float(short.mean()),
        "long": float(right[len(short) :].mean()),
        "by length": {
            int(n): [int(right[words == n].sum()), int((words == n).sum())]
            for n in np.unique(words)
        },
        "forced": [round(forced(model, *data[part]), 4) for part in ("short", "long")],
        "parameters": sum(value.numel() for value in model.parameters()),
        "updates": updates,
        "seconds": seconds,
    }


def jobs(seeds):
    """Every method with every seed, and the choice of the rate on seeds of its own."""
    choice = [
        {"method": method, "lr": lr, "seed": seed}
        for lr in SETTINGS["choice"]["lr"]
        for seed in SETTINGS["choice"]["seeds"]
        for method in METHODS
    ]
    return [{"method": method, "seed": seed} for seed in seeds for method in METHODS] + choice


if __name__ == "__main__":
    run("number_words", __doc__, SETTINGS, jobs, outcome)
