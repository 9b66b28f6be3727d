"""What do the usual mistakes with an LSTM in PyTorch cost, in accuracy, on Japanese Vowels?"""

import numpy as np
import torch
from torch import nn

from book.experiments.lab.runner import run
from companion.data import load_japanese_vowels, packed, padded
from companion.nn import GRU, CoupledLSTM, PeepholeLSTM

LAYERS = {"lstm": nn.LSTM, "peephole": PeepholeLSTM, "coupled": CoupledLSTM, "gru": GRU}
RIGHT = {"layer": "lstm", "read": "length", "softmax": False, "shuffled": True, "dropout": 0.0}
METHODS = {
    "right": {},
    "last step of padded input": {"read": "last"},
    "softmax before cross-entropy": {"softmax": True},
    "no shuffling": {"shuffled": False},
    "batch axis read as time": {"read": "axes swapped"},
    "dropout": {"dropout": 0.5},
    "peephole": {"layer": "peephole"},
    "coupled": {"layer": "coupled"},
    "gru": {"layer": "gru"},
}
SETTINGS = {
    "seeds": 10,
    "H": 20,
    "layers": 2,
    "B": 32,
    "epochs": 60,
    "lr": 0.01,
    "right": RIGHT,
    "methods": METHODS,
    "choice": {"lr": [0.001, 0.003, 0.01, 0.03], "seeds": 5, "held out": "6 of 30 a speaker"},
    "torch": torch.__version__,
}


class Model(nn.Module):
    """A recurrent network and a linear layer, read at each sequence's end, or wrongly."""

    def __init__(self, method):
        super().__init__()
        H, dropout = SETTINGS["H"], method["dropout"]
        self.read = method["read"]
        self.layer = LAYERS[method["layer"]](12, H, SETTINGS["layers"], dropout=dropout)
        self.head = nn.Linear(H, 9)

    def forward(self, x, lengths):
        if self.read == "length":
            last = self.layer(packed(x, lengths))[1]
            h = last[0] if isinstance(last, tuple) else last
            return self.head(h[-1])
        if self.read == "last":
            return self.head(self.layer(x)[0][-1])
        # (B, T, D) given to a layer that takes (T, B, D): no error, and another network.
        return self.head(self.layer(x.transpose(0, 1))[0][:, -1])


def train(method, lr, train_data, seed):
    """Train with Adam for all epochs; the seed is of the first weights, order and dropout."""
    torch.manual_seed(seed)
    model = Model(method)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    batches = padded(*train_data, SETTINGS["B"], seed if method["shuffled"] else None)
    for epoch in range(SETTINGS["epochs"]):
        for (x, lengths), y in batches(epoch):
            outputs = model(x, lengths)
            if method["softmax"]:
                outputs = outputs.softmax(1)
            loss = nn.functional.cross_entropy(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@torch.no_grad()
def right(model, data, B):
    """How many answers are right, in batches of B in the order of the data."""
    return sum(
        int((model(x, lengths).argmax(1) == y).sum()) for (x, lengths), y in padded(*data, B)(0)
    )


def outcome(job):
    """Right answers of 370, in one batch and one by one; the choice: of 54 held out."""
    torch.set_num_threads(1)
    data = load_japanese_vowels()
    if "lr" in job:
        number = np.arange(270) % 30
        parts = [
            ([x for x, k in zip(data.train.sequences, keep, strict=True) if k], labels)
            for keep in (number < 24, number >= 24)
            for labels in [data.train.labels[keep]]
        ]
        model = train(RIGHT, job["lr"], parts[0], job["seed"])
        return {"held out": right(model.eval(), parts[1], 54)}
    method = RIGHT | METHODS[job["method"]]
    model = train(method, SETTINGS["lr"], data.train, job["seed"])
    found = {}
    if method["dropout"]:
        found["training mode"] = right(model, data.test, 370)
    model.eval()
    return found | {"right": right(model, data.test, 370), "one by one": right(model, data.test, 1)}


def jobs(seeds):
    """The choice of the rate, on seeds of its own, and every method with every seed."""
    choice = [
        {"lr": lr, "seed": 100 + seed}
        for lr in SETTINGS["choice"]["lr"]
        for seed in range(SETTINGS["choice"]["seeds"])
    ]
    return choice + [{"method": method, "seed": seed} for method in METHODS for seed in seeds]


if __name__ == "__main__":
    run("pitfalls", __doc__, SETTINGS, jobs, outcome)
