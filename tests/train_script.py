"""What test_train.py runs in processes of its own: trainings that are killed, and torchrun.

python train_script.py FOLDER kills CALLS    one training killed at each of these calls, resumed
torchrun ... train_script.py FOLDER          the trainings of `equal` and `killed_once`
"""

import io
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # the optimizers need it, and every forked process would load it anew
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from companion.train import Options, fit

EPOCHS, PIECES = 3, 5
sgd = partial(torch.optim.SGD, lr=0.5, momentum=0.9)


class Net(nn.Module):
    """An LSTM and a readout; with a dropout between its two layers if asked for."""

    def __init__(self, D=3, H=6, dropout=0.0, dtype=torch.float32):
        super().__init__()
        self.lstm = nn.LSTM(D, H, num_layers=2, dropout=dropout, dtype=dtype)
        self.readout = nn.Linear(H, 1, dtype=dtype)

    def forward(self, x, state=None):
        y, state = self.lstm(x, state)
        return self.readout(y), state


def new_net(**options):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Net(**options)


def pieces(seed, B=4, dtype=torch.float32):
    """Pieces of 7 steps of B sequences, the last one shorter, to be read in order."""
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.normal(size=(7 * PIECES - 2, B, 3)), dtype=dtype)
    return list(zip(x.split(7), x.cumsum(0).sum(2, keepdim=True).tanh().split(7), strict=True))


class Killer:
    """A squared error that ends its process, for good, when it is called the k-th time."""

    def __init__(self, k=None):
        self.k, self.calls = k, 0

    def __call__(self, output, target):
        self.calls += 1
        if self.calls == self.k:
            os.kill(os.getpid(), signal.SIGKILL)
        return nn.functional.mse_loss(output, target)


def everything(loss, checkpoint):
    """A training in which nothing is left out that a checkpoint could forget."""
    rng = np.random.default_rng(5)

    def batches(epoch):
        # Some randomness of each kind at the start of an epoch, and some with every batch.
        swap, shift = torch.randperm(4), random.random()
        for x, y in pieces(0):
            noise = torch.tensor(rng.normal(0, 0.1, x.shape), dtype=x.dtype)
            yield x[:, swap] + noise + shift, y[:, swap]

    options = Options(
        epochs=EPOCHS,
        optimizer=partial(torch.optim.AdamW, amsgrad=True),
        schedule=partial(OneCycleLR, max_lr=0.02, total_steps=EPOCHS * PIECES),
        clip=0.3,
        patience=2,
        carry=True,
        every=2,
    )
    model, held = new_net(dropout=0.3), pieces(1)[:2]
    fit(model, loss, batches, options, validation=held, checkpoint=checkpoint, rng=rng)


def in_a_child(function, *args):
    """Runs the function in a forked process; returns the signal that ended it, or 0."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function(*args)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a training failed")
    return os.WTERMSIG(status)


def killed_while_writing(checkpoint):
    """Dies in the third write of a checkpoint, with half of the new file on the disk."""
    save, calls = torch.save, []

    def half(content, file):
        save(content, file)
        if isinstance(file, io.BytesIO):  # a trial in memory
            return
        calls.append(file)
        if len(calls) == 3:
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    everything(Killer(), checkpoint)


def kills(folder, moments):
    assert in_a_child(everything, Killer(), folder / "whole.pt") == 0
    for k in moments:
        path = folder / f"killed-{k}.pt"
        assert in_a_child(everything, Killer(k), path) == signal.SIGKILL
        assert in_a_child(everything, Killer(), path) == 0
    again = folder / "killed-again-and-again.pt"
    lives = [in_a_child(everything, Killer(5), again) for _ in range(12)]
    assert lives.count(signal.SIGKILL) >= 4 and lives[-1] == 0
    writing = folder / "killed-while-writing.pt"
    assert in_a_child(killed_while_writing, writing) == signal.SIGKILL
    assert Path(f"{writing}.partial").exists()
    assert in_a_child(everything, Killer(), writing) == 0


def equal(masked):
    """A training without randomness on 5 sequences, which 2 processes share as 3 and 2.

    masked: padded sequences, x and y being tuples with lengths and mask, and a loss that is
    given as a pair, two batches to an update; otherwise a carried state and a mean.
    """
    dtype = torch.float64
    model = new_net(dtype=dtype)
    lengths = torch.tensor([7, 5, 6, 2, 1])
    mask = torch.arange(7)[:, None] < lengths

    def masked_loss(output, target):
        y, mask = target
        return ((output[0].squeeze(2) - y) ** 2 * mask).sum(), mask.sum()

    data, held = pieces(0, B=5, dtype=dtype), pieces(1, B=5, dtype=dtype)
    loss = nn.functional.mse_loss
    if masked:
        loss = masked_loss
        data = [(x, (y.squeeze(2), mask[: len(x)])) for x, y in data]
        held = [(x, (y.squeeze(2), mask[: len(x)])) for x, y in held]
    options = Options(epochs=4, accumulate=1 + masked, clip=0.5, carry=not masked, optimizer=sgd)
    history = fit(model, loss, lambda epoch: data, options, validation=held)
    more = fit(model, loss, lambda epoch: data, options)  # the model is fit for another fit
    model.eval()
    return {"train": history.train + more.train, "validation": history.validation} | dict(
        model.state_dict()
    )


def killed_once(folder):
    """Process 1 kills itself in the second epoch; torchrun then starts both again."""
    kill = os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    with_dropout(Killer(PIECES + 4 if kill else None), folder / "restarted.pt")
    with_dropout(Killer(), folder / "unhurt.pt")


def with_dropout(loss, checkpoint):
    options = Options(epochs=EPOCHS, carry=True, every=2, optimizer=sgd)
    fit(new_net(dropout=0.3), loss, lambda epoch: pieces(0), options, checkpoint=checkpoint)


def different_batches():
    """What process 0 is told where every process draws its own batches."""
    data = pieces(int(os.environ["RANK"]))
    try:
        fit(new_net(), nn.functional.mse_loss, lambda epoch: data, Options(carry=True))
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    if sys.argv[2:3] == ["kills"]:
        kills(folder, map(int, sys.argv[3:]))
    else:
        killed_once(folder)
        results = {
            "mean": equal(masked=False),
            "masked": equal(masked=True),
            "refused": different_batches(),
        }
        torch.save(results, folder / f"results-{os.environ['RANK']}.pt")
