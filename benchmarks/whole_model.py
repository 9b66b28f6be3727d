"""A whole model with companion.nn.LSTM and with torch.nn.LSTM: benchmarks/whole_model.json.

    python -m benchmarks.whole_model [--seconds 10]

A language model of an embedding, two layers and a softmax, in float32 on one thread. A training
step is forward, backward, clipping and an update by SGD; inference gives the scores of all words.
As in `benchmarks.__main__` the rivals take turns, CPU time counts, and the ratio is taken turn by
turn. Before the first turn both models are asserted to give the same scores and the same update.
"""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks.clock import compare, save
from companion.nn import LSTM

SIZES = [  # T, B, units, words, whether the batch comes first
    (20, 20, 200, 10_000, False),
    (20, 20, 200, 10_000, True),
    (20, 8, 64, 100, False),
    (20, 8, 64, 100, True),
]
LAYERS = {"companion_layer": LSTM, "torch_nn": nn.LSTM}


class Model(nn.Module):
    """From words (T, B), or (B, T), to scores of the next word."""

    def __init__(self, layer, units, words, batch_first):
        super().__init__()
        self.embedding = nn.Embedding(words, units)
        self.layers = layer(units, units, num_layers=2, batch_first=batch_first)
        self.scores = nn.Linear(units, words)

    def forward(self, words):
        ys, _ = self.layers(self.embedding(words))
        return self.scores(ys)


def training_step(model, words):
    """Forward, backward, clipping and an update; what comes next is made up."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        scores = model(words)
        F.cross_entropy(scores.flatten(0, 1), words.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()

    return step


def inference(model, words):
    """The scores alone."""

    def step():
        with torch.inference_mode():
            return model(words)

    return step


MODES = {"training": training_step, "inference": inference}


def steps_of(sizes):
    """A training step and inference of every rival: a dict from mode to a dict from name to step.

    Raises RuntimeError naming a rival that gives other scores or updates than PyTorch's layer.
    """
    T, B, units, count, batch_first = sizes
    words = torch.randint(count, (B, T) if batch_first else (T, B))
    models = {name: Model(layer, units, count, batch_first) for name, layer in LAYERS.items()}
    for model in models.values():
        model.load_state_dict(models["torch_nn"].state_dict())
    steps = {
        mode: {name: of(model, words) for name, model in models.items()}
        for mode, of in MODES.items()
    }
    for _ in range(2):  # what is given before an update, and what after it
        wanted = steps["inference"]["torch_nn"]()
        for name, step in steps["inference"].items():
            if not torch.allclose(step(), wanted, rtol=0, atol=1e-5):
                raise RuntimeError(f"{name} gives other scores for {sizes}")
            steps["training"][name]()
    return steps


def main():
    """Measure, store and print all sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_model", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="for each rival at each size")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    rows = []
    for sizes in tqdm(SIZES, "sizes"):
        found = {mode: compare(steps, seconds) for mode, steps in steps_of(sizes).items()}
        rows.append({"sizes": sizes} | found)
    save("whole_model", {"points": rows})
    for row in rows:
        for mode in MODES:
            low, median, high = row[mode]["companion_layer"]["ratio"]
            print(*row["sizes"], f"{mode}: {median:.2f} ({low:.2f}-{high:.2f})", sep=", ")


if __name__ == "__main__":
    main()
