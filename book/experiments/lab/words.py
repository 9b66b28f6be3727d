"""Language models over words, trained as Zaremba, Sutskever and Vinyals (2014) trained theirs."""

import math
import time
from functools import partial

import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import ROOT
from companion import nn
from companion.data import stretches
from companion.train import Options, fit

LAYERS = {"lstm": nn.LSTM, "peephole": nn.PeepholeLSTM}
# On a GPU the LSTM is torch.nn's, which is the same layer, run by cuDNN.
ON_GPU = LAYERS | {"lstm": torch.nn.LSTM}
# Their unregularised network: sizes, steps in a stretch, epochs (`full` of them at the first
# rate), rate, clip, and the range of the first weights.
SMALL = {
    "H": 200,
    "B": 20,
    "n": 20,
    "epochs": 13,
    "full": 4,
    "lr": 1.0,
    "clip": 5.0,
    "scale": 0.1,
}
WORK = ROOT / ".cache" / "words"
EVERY = 2000  # updates from one checkpoint to the next


class Model(torch.nn.Module):
    """Numbers of words (T, B) to the scores of the next ones (T, B, K).

    dropout: share of what goes up into a layer or the readout that is dropped while training;
    what goes on in time is not (their Section 3.1).
    """

    def __init__(self, layer, K, H, dropout, scale):
        super().__init__()
        self.embedding = torch.nn.Embedding(K, H)
        self.drop = torch.nn.Dropout(dropout)
        layers = ON_GPU if torch.cuda.is_available() else LAYERS
        self.lstm = layers[layer](H, H, num_layers=2, dropout=dropout)
        self.readout = torch.nn.Linear(H, K)
        for value in self.parameters():
            torch.nn.init.uniform_(value, -scale, scale)

    def forward(self, x, state=None):
        ys, state = self.lstm(self.drop(self.embedding(x)), state)
        return self.readout(self.drop(ys)), state


def loss(scores, y):
    """Cross-entropy in nats, summed over the steps, and the number of streams.

    So the gradient is the sum over the steps and the mean over the streams, as the paper's code
    has it: its rate of 1 and its clip of 5 are meant for this sum.
    """
    return F.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="sum"), y.shape[1]


def train(words, settings, method, seed, name):
    """Train on `words`, on a GPU where there is one, with a checkpoint of that name.

    Returns what came out, a dict.
    settings: H, B, n (steps in a stretch), epochs, full (epochs at the first rate, which is then
    halved after each), lr, clip, scale. method: layer and dropout.
    """
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # whole float32, as on a CPU
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    B, n = settings["B"], settings["n"]
    model = Model(**method, K=len(words.vocabulary), H=settings["H"], scale=settings["scale"])
    model = model.to(device)
    learned, valid = (stretches(part, B, n) for part in (words.train, words.valid))
    steps = [(len(part) // B - 1) for part in (words.train, words.valid)]
    updates, full = math.ceil(steps[0] / n), settings["full"]

    def rate(k):
        return 0.5 ** max(0, k // updates + 1 - full)

    WORK.mkdir(parents=True, exist_ok=True)
    clock = Clock(WORK / f"{name}.seconds")
    history = fit(
        model,
        loss,
        lambda epoch: clock.ticks(learned(epoch)),
        Options(
            epochs=settings["epochs"],
            optimizer=partial(torch.optim.SGD, lr=settings["lr"]),
            schedule=partial(LambdaLR, lr_lambda=rate),
            clip=settings["clip"],
            carry=True,
            seed=seed,
            every=EVERY,
        ),
        validation=list(valid(0)),
        checkpoint=WORK / f"{name}.pt",
    )
    per_step = [math.ceil(many / n) / many for many in steps]
    torch.save(model.state_dict(), WORK / f"{name}-weights.pt")
    return {
        "perplexity": {
            part: round(perplexity(model, getattr(words, part)), 2) for part in ("valid", "test")
        },
        "best": history.best,
        "training": [round(math.exp(x * per_step[0]), 2) for x in history.train],
        "validation": [round(math.exp(x * per_step[1]), 2) for x in history.validation],
        "parameters": sum(value.numel() for value in model.parameters()),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "seconds": clock.seconds(),
    }


class Clock:
    """CPU seconds of a training that may be interrupted: a file has those of earlier processes."""

    def __init__(self, path):
        self.path, self.start = path, time.process_time()
        self.before = float(path.read_text()) if path.exists() else 0.0

    def seconds(self):
        """Of this process since the clock was made, and of those before it."""
        return round(self.before + time.process_time() - self.start, 1)

    def ticks(self, batches):
        """The same batches; the file is written as often as the checkpoint."""
        for k, batch in enumerate(batches, 1):
            yield batch
            if k % EVERY == 0:
                self.path.write_text(str(self.seconds()))


@torch.no_grad()
def perplexity(model, numbers, n=100):
    """Of a text that is read once from its start, its first word given."""
    model.eval()
    total, state, device = 0.0, None, model.readout.weight.device
    for x, y in stretches(numbers, 1, n)(0):
        scores, state = model(x.to(device), state)
        total += loss(scores, y.to(device))[0].item()
    return math.exp(total / (len(numbers) - 1))
