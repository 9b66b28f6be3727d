"""Sixty LSTMs with settings drawn at random: which setting matters, and which is noise?

Every network reads the same part of Shakespeare as often as every other, and is judged on the
validation text. `random_search_again` trains some of them anew, with other seeds.
"""

import math
import time
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import run
from companion.data import encode, shakespeare, stretches
from companion.models import characters
from companion.nn import LSTM
from companion.train import Options, fit

SETTINGS = {
    "seeds": 1,
    "draws": 60,
    "characters": {"training": 120_000, "validation": 20_000, "test": 20_000},
    "epochs": 5,
    "space": {
        "lr": ["log", 3e-4, 1e-1],
        "H": ["log", 32, 192],
        "layers": ["one of", 1, 2],
        "B": ["one of", 4, 8, 16, 32],
        "chunk": ["one of", 25, 50],
        "dropout": ["linear", 0.0, 0.5],
        "clip": ["log", 0.1, 10.0],
        "forget_bias": ["one of", 0.0, 1.0, 2.0],
    },
    "schedule": "falls to 0 along half a cosine",
    "draw": "settings of draw k come from numpy's generator of seed [7, k], weights from seed k",
    "torch": torch.__version__,
}


class Model(torch.nn.Module):
    """One-hot characters, LSTM layers with dropout behind each, a linear layer."""

    def __init__(self, K, chosen):
        super().__init__()
        H, dropout, layers = chosen["H"], chosen["dropout"], chosen["layers"]
        between = dropout if layers > 1 else 0.0
        self.K = K
        self.lstm = LSTM(K, H, layers, dropout=between, forget_bias=chosen["forget_bias"])
        self.drop = torch.nn.Dropout(dropout)
        self.readout = torch.nn.Linear(H, K)

    def forward(self, x, state=None):
        ys, state = self.lstm(F.one_hot(x, self.K).float(), state)
        return self.readout(self.drop(ys)), state


def draw(k):
    """Settings of draw k: a dict with an entry for each of the space."""
    rng, found = np.random.default_rng([7, k]), {}
    for name, (kind, *values) in SETTINGS["space"].items():
        if kind == "one of":
            found[name] = values[rng.integers(len(values))]
        elif kind == "log":
            value = math.exp(rng.uniform(*np.log(values)))
            found[name] = round(value) if name == "H" else float(f"{value:.3g}")
        else:
            found[name] = round(rng.uniform(*values), 3)
    return found


def loss(scores, y):
    """Cross-entropy in nats, and the number of characters."""
    return F.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="sum"), y.numel()


def outcome(job):
    """Train the network of a draw."""
    chosen = draw(job["draw"])
    return {"chosen": chosen, **trained(chosen, job["seed"])}


def trained(chosen, seed):
    """Bits a character on the validation text after every pass, and on the test text."""
    torch.set_num_threads(1)
    start = time.process_time()
    _, alphabet = encode(shakespeare())
    sizes, text = SETTINGS["characters"], characters.parts()
    numbers = {name: encode(text[name][:n], alphabet)[0] for name, n in sizes.items()}
    batches = {name: list(stretches(part, 8, 100)(0)) for name, part in numbers.items()}
    learned = stretches(numbers["training"], chosen["B"], chosen["chunk"])
    steps = SETTINGS["epochs"] * sum(1 for _ in learned(0))
    torch.manual_seed(seed)
    model = Model(len(alphabet), chosen)
    options = Options(
        epochs=SETTINGS["epochs"],
        optimizer=partial(torch.optim.Adam, lr=chosen["lr"]),
        schedule=partial(LambdaLR, lr_lambda=lambda k: (1 + math.cos(math.pi * k / steps)) / 2),
        clip=chosen["clip"],
        carry=True,
        seed=seed,
    )
    history = fit(model, loss, learned, options, validation=batches["validation"])
    return {
        "validation": [round(nats / math.log(2), 4) for nats in history.validation],
        "test": round(bits(model, batches["test"]), 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.process_time() - start, 1),
    }


@torch.no_grad()
def bits(model, batches):
    """Bits a character, the state being carried from stretch to stretch."""
    model.eval()
    state, total, count = None, 0.0, 0
    for x, y in batches:
        scores, state = model(x, state)
        nats, n = loss(scores, y)
        total, count = total + float(nats), count + n
    return total / count / math.log(2)


def jobs(seeds):
    """The draws, each once, with a seed of its own."""
    return [{"draw": k, "seed": k} for k in range(SETTINGS["draws"])]


if __name__ == "__main__":
    run("random_search", __doc__, SETTINGS, jobs, outcome)
