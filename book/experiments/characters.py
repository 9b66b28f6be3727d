"""Train a character model that is worth opening: LSTM on four plays of Shakespeare.

The validation part of the text says after which epoch the weights are kept; the last tenth of
the text, which no choice has seen, is then read once. Seed 0 gives the weights that come with
the package: they are written to companion/data/characters.npz, in half precision.
"""

import math
import time
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import ROOT, run
from companion.data import encode, shakespeare, streams
from companion.models import characters
from companion.nn import LSTM
from companion.train import Options, fit

SETTINGS = {
    "seeds": 1,
    "H": 256,
    "B": 32,
    "chunk": 50,
    "epochs": 36,
    "lr": 0.02,
    "schedule": "falls to 0 along half a cosine",
    "clip": 0.5,
    "forget_bias": 1,
    "dropped": {"recurrent weights": 0.3, "outputs": 0.3},
    "parts": "companion.models.characters.parts: training, validation, test",
    "choice": "lr 0.02 over 0.01, by the validation part after 2 of 4 epochs of one seed; "
    "the dropout as a first guess",
}
WORK = ROOT / ".cache" / "characters"
WEIGHTS = ROOT / "companion" / "data" / "characters.npz"


class Model(torch.nn.Module):
    """One-hot characters (T, B, K) to the scores of the next ones, one LSTM layer between."""

    def __init__(self, K):
        super().__init__()
        H, dropped = SETTINGS["H"], SETTINGS["dropped"]
        self.lstm = LSTM(
            K,
            H,
            forget_bias=SETTINGS["forget_bias"],
            recurrent_dropout=dropped["recurrent weights"],
        )
        self.drop = torch.nn.Dropout(dropped["outputs"])
        self.readout = torch.nn.Linear(H, K)

    def forward(self, xs, state=None):
        ys, state = self.lstm(xs, state)
        return self.readout(self.drop(ys)), state


def batches(numbers, K, B):
    """Stretches of B streams, in order, as `fit` takes them with carry."""
    columns, chunk = torch.from_numpy(streams(numbers, B)), SETTINGS["chunk"]
    xs, ys = F.one_hot(columns[:-1], K).float(), columns[1:]
    return [(xs[s : s + chunk], ys[s : s + chunk]) for s in range(0, len(xs), chunk)]


def loss(scores, y):
    """Cross-entropy in nats, and the number of characters."""
    return F.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="sum"), y.numel()


def options(steps, seed):
    """Adam, whose rate falls to 0 in so many steps."""
    return Options(
        epochs=SETTINGS["epochs"],
        optimizer=partial(torch.optim.Adam, lr=SETTINGS["lr"]),
        schedule=partial(LambdaLR, lr_lambda=lambda k: (1 + math.cos(math.pi * k / steps)) / 2),
        clip=SETTINGS["clip"],
        carry=True,
        seed=seed,
    )


def train(seed):
    """Returns the weights of the best epoch, a dict as of `companion.init`, and the history."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    _, alphabet = encode(shakespeare())
    numbers = {name: encode(part, alphabet)[0] for name, part in characters.parts().items()}
    K, learned = len(alphabet), numbers["training"]
    model = Model(K)

    def epoch(k):
        # The text as a ring that is cut elsewhere every time, so that chunks begin elsewhere.
        cut = np.random.default_rng([seed, k]).integers(len(learned))
        return batches(np.roll(learned, -cut), K, SETTINGS["B"])

    WORK.mkdir(parents=True, exist_ok=True)
    history = fit(
        model,
        loss,
        epoch,
        options(SETTINGS["epochs"] * len(epoch(0)), seed),
        validation=batches(numbers["validation"], K, 8),
        checkpoint=WORK / f"seed-{seed}.pt",
    )
    weights = {**model.lstm.state_dict(), **model.readout.state_dict()}
    return {name.removesuffix("_l0"): value.numpy() for name, value in weights.items()}, history


def outcome(job):
    """Train with one seed; bits a character of the weights as stored, and in full precision."""
    start = time.process_time()
    weights, history = train(job["seed"])
    _, alphabet = encode(shakespeare())
    half = {name: value.astype(np.float16) for name, value in weights.items()}
    stored = {name: value.astype(np.float32) for name, value in half.items()}
    if job["seed"] == 0:
        np.savez_compressed(WEIGHTS, alphabet=np.array(alphabet), **half)
    text = characters.parts()

    def bits(params, part):
        model = characters.Characters(params, alphabet)
        return round(float(characters.bits(model, text[part]).mean()), 4)

    return {
        "bits": {part: bits(stored, part) for part in ("validation", "test")},
        "bits_float32": {part: bits(weights, part) for part in ("validation", "test")},
        "best": history.best,
        "training": [round(nats / math.log(2), 4) for nats in history.train],
        "validation": [round(nats / math.log(2), 4) for nats in history.validation],
        "parameters": sum(value.size for value in weights.values()),
        "torch": torch.__version__,
        "seconds": round(time.process_time() - start, 1),
    }


def jobs(seeds):
    """One network a seed."""
    return [{"seed": seed} for seed in seeds]


if __name__ == "__main__":
    run("characters", __doc__, SETTINGS, jobs, outcome)
