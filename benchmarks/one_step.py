"""One step at a time, as in streaming, against torch.nn: companion/data/benchmarks/one_step.json.

    python -m benchmarks.one_step [--seconds 0.4]

Layers and single cells in float32 on one thread, without gradients, from a state that is given,
D = H; the projection is to a quarter of the units. As in `benchmarks.__main__` the rivals take
turns, CPU time counts, and the ratio is taken turn by turn. PyTorch has no peephole layer; that is
compared with its LSTM. Before its first turn every other rival is asserted to give the same.
"""

import argparse
from functools import partial

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.clock import compare, save
from companion.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, PeepholeLSTM, RNNCell

KINDS = {
    "LSTM": (LSTM, nn.LSTM),
    "LSTM, two layers": (partial(LSTM, num_layers=2), partial(nn.LSTM, num_layers=2)),
    "LSTM with a projection": (LSTM, nn.LSTM),
    "PeepholeLSTM": (PeepholeLSTM, nn.LSTM),
    "GRU": (GRU, nn.GRU),
    "GRU, two layers": (partial(GRU, num_layers=2), partial(nn.GRU, num_layers=2)),
    "RNN": (RNN, nn.RNN),
    "LSTMCell": (LSTMCell, nn.LSTMCell),
    "GRUCell": (GRUCell, nn.GRUCell),
    "RNNCell": (RNNCell, nn.RNNCell),
}
SIZES = [(B, H) for H in (32, 128, 512) for B in (1, 8)]


def steps_of(kind, B, H):
    """A step of this book's module and of PyTorch's, by name: functions without arguments.

    Raises RuntimeError where both should give the same and don't.
    """
    options = {"proj_size": H // 4} if kind == "LSTM with a projection" else {}
    ours, theirs = (make(H, H, **options) for make in KINDS[kind])
    alone = kind.endswith("Cell")
    x = torch.randn(B, H) if alone else torch.randn(1, B, H)
    with torch.no_grad():
        last = theirs(x) if alone else theirs(x)[1]  # a state to go on from
    modules = {"companion": ours, "torch_nn": theirs}
    ours(x, last)  # compiled, or loaded, before a clock runs
    if ours.state_dict().keys() == theirs.state_dict().keys():
        ours.load_state_dict(theirs.state_dict())
        with torch.no_grad():
            found, wanted = (_flat(module(x, last)) for module in modules.values())
        if not all(map(partial(torch.allclose, rtol=0, atol=1e-5), found, wanted)):
            raise RuntimeError(f"{kind} gives other values for {B, H}")

    def step(module):
        with torch.inference_mode():
            return module(x, last)

    return {name: partial(step, module) for name, module in modules.items()}


def _flat(value):
    """The tensors in nested tuples, in a list."""
    return [value] if isinstance(value, torch.Tensor) else sum(map(_flat, value), [])


def main():
    """Measure, store and print all kinds and sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_step", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.4, help="for each rival at each size")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    rows = []
    for kind in tqdm(KINDS, "kinds"):
        for B, H in SIZES:
            found = compare(steps_of(kind, B, H), seconds)
            rows.append({"kind": kind, "B": B, "H": H} | found)
    save("one_step", {"points": rows})
    for row in rows:
        low, median, high = row["companion"]["ratio"]
        print(row["kind"], row["B"], row["H"], f"{median:.2f} ({low:.2f}-{high:.2f})", sep=", ")


if __name__ == "__main__":
    main()
