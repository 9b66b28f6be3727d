"""Time the layers on a GPU, into companion/data/benchmarks/gpu.json.

    python -m benchmarks.gpu [--cells peephole lstm] [--seconds 0.25]

A training step (forward, and backward to all parameters and inputs) and inference, in float32
without TF32. The rivals take turns: the layer of companion.nn; the cell's own step in a Python
loop with autograd; and where PyTorch has the cell, its layer, which is cuDNN's, and its cell in a
loop. A time is between two events on the GPU, which is idle before the first and after the second,
so that it has in it what the launches take. A ratio is taken turn by turn: the rival's time to the
layer's. Before its first turn, every rival is asserted to compute the same derivatives.
"""

import argparse
import json
import platform
import time

import torch
from tqdm import tqdm

from benchmarks.clock import RESULTS, summary
from benchmarks.layers import COMPANION, loop_of

POINTS = [  # T, B, D, H
    (50, 1, 32, 32),
    (400, 16, 32, 64),
    (100, 32, 64, 128),
    (20, 20, 200, 200),
    (100, 32, 128, 256),
    (50, 64, 256, 512),
]
TORCH = {"lstm": (torch.nn.LSTM, torch.nn.LSTMCell), "gru": (torch.nn.GRU, torch.nn.GRUCell)}
TURNS = 5  # at least


def rivals(name, sizes):
    """What is timed: a dict from the rival's name to (function from xs to ys, its parameters)."""
    _, _, D, H = sizes
    layer = COMPANION[name](D, H, device="cuda")
    params = {key: value.detach().clone() for key, value in layer.named_parameters()}
    own = {key.removesuffix("_l0"): v.clone().requires_grad_() for key, v in params.items()}
    found = {
        "companion_layer": (lambda xs: layer(xs)[0], list(layer.parameters())),
        "autograd_loop": (loop_of(layer.cell, own), list(own.values())),
    }
    if name in TORCH:
        theirs, cell = (kind(D, H, device="cuda") for kind in TORCH[name])
        theirs.load_state_dict(params)
        cell.load_state_dict({key.removesuffix("_l0"): value for key, value in params.items()})
        found["torch_nn"] = (lambda xs: theirs(xs)[0], list(theirs.parameters()))
        found["torch_cell_loop"] = (cell_loop(cell), list(cell.parameters()))
    return found


def cell_loop(cell):
    """`torch.nn.LSTMCell` or `GRUCell` in a Python loop: a function from xs to ys."""

    def run(xs):
        state, ys = None, []
        for x in xs.unbind():
            state = cell(x, state)
            ys.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(ys)

    return run


def training_step(layer, parameters, xs, dys):
    """A step that returns the derivatives of the inputs and the parameters."""

    def step():
        ys = layer(xs)
        return torch.autograd.grad(ys, (xs, *parameters), dys)

    return step


def inference(layer, xs):
    """A step that returns the outputs, and keeps nothing for derivatives."""

    def step():
        with torch.no_grad():
            return [layer(xs)]

    return step


def milliseconds(step):
    """Time of one step from an idle GPU to an idle GPU."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def compare(steps, seconds):
    """Median milliseconds, and quartiles of the ratio to the layer, of every rival, in turns.

    seconds: for all together, if there are turns enough.
    """
    wanted = steps["companion_layer"]()
    for rival, step in steps.items():
        for _ in range(3 if rival == "companion_layer" else 1):  # it makes a graph the second time
            for value, right in zip(step(), wanted, strict=True):
                # float32 over hundreds of steps, in another order.
                torch.testing.assert_close(
                    value, right, rtol=0, atol=1e-4 * float(right.abs().max())
                )
    times = {rival: [] for rival in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["companion_layer"]) < TURNS:
        for rival, step in steps.items():
            times[rival].append(milliseconds(step))
    return summary(times, "companion_layer")


def measure(name, sizes, seconds):
    """One cell at one point."""
    T, B, D, H = sizes
    torch.manual_seed(0)
    xs, dys = torch.randn(T, B, D, device="cuda"), torch.randn(T, B, H, device="cuda")
    xs.requires_grad_()
    found = rivals(name, sizes)
    training = {rival: training_step(*given, xs, dys) for rival, given in found.items()}
    inferring = {rival: inference(layer, xs) for rival, (layer, _) in found.items()}
    return {
        "sizes": sizes,
        "training": compare(training, seconds),
        "inference": compare(inferring, seconds / 2),
    }


def main():
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    choices = [name for name in COMPANION if name != "rnn"]
    parser.add_argument("--cells", nargs="+", default=choices, choices=choices)
    parser.add_argument("--seconds", type=float, default=0.25, help="for each cell and point")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    machine = {
        "gpu": torch.cuda.get_device_name(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
    }
    result = {"machine": machine, "cells": {}}
    for name in options.cells:
        rows = [measure(name, sizes, options.seconds) for sizes in tqdm(POINTS, name)]
        result["cells"][name] = rows
        (RESULTS / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")
        for row in rows:
            figures = {
                part: {rival: (v["ms"], v["ratio"][1]) for rival, v in row[part].items()}
                for part in ("training", "inference")
            }
            print(name, row["sizes"], figures)


if __name__ == "__main__":
    main()
