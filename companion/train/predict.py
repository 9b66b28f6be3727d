"""`predict`: what a trained model says of batches."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from companion.train import processes


@torch.no_grad()
def predict(model: torch.nn.Module, batches: Iterable[Any], *, carry: bool = False) -> list[Any]:
    """The model's outputs, one for each batch, on the CPU.

    batches: an iterable of batches as `fit` takes them, of which y is not looked at, or of inputs
    without y, each a tensor, a `PackedSequence`, or a tuple of one as a DataLoader gives it.
    carry: whether the model is called as model(x, state) -> (y, state), as in `Options`.
    Returns a list. The model is put, and left, in evaluation mode; under torchrun every process
    predicts all.
    Raises ValueError for batches of another kind.
    """
    device = next(model.parameters()).device
    model.eval()
    outputs: list[Any] = []
    state = None
    for batch in batches:
        whole = processes.inputs_and_y(_with_y(batch))[0]
        inputs = processes.map_tensors(lambda part: part.to(device), whole, "x")
        if carry:
            output, state = model(*inputs, state)
        else:
            output = model(*inputs)
        outputs.append(processes.map_tensors(lambda part: part.cpu(), output, "the model's output"))
    return outputs


def _with_y(batch):
    if isinstance(batch, torch.Tensor | PackedSequence):
        return batch, None
    return (*batch, None) if isinstance(batch, tuple | list) and len(batch) == 1 else batch
