"""`predict`: what a trained model says of batches."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from companion.train import processes
from companion.train.options import check_whole


@torch.no_grad()
def predict(
    model: torch.nn.Module, batches: Iterable[Any], *, carry: bool = False, batch_dim: int = 1
) -> list[Any]:
    """The model's outputs, one for each batch, on the CPU.

    model: as of `fit`; its device is that of its first parameter.
    batches: an iterable of batches as `fit` takes them, of which y is not looked at, or of inputs
    without y, each a tensor, a `PackedSequence`, or a tuple of one as a DataLoader gives it. Of a
    tuple of two or more the last is always y.
    carry: whether the model is called as model(x, state) -> (y, state), as in `Options`. A batch of
    fewer sequences than the one before it goes on with the first of them; more it may not have.
    batch_dim: the axis of the sequences in every tensor of x, which matters with carry alone: one
    number, where `Options.batch_dim` may be a pair.
    Returns a list of what the model returns, with carry without the state: tensors that carry no
    gradient, or tuples, lists and dicts of them. The model is put, and left, in evaluation mode;
    under torchrun every process predicts all.
    Raises ValueError for a model without parameters, for batches or outputs of another kind, and,
    with carry, for a batch of more sequences than the one before it.
    """
    check_whole("batch_dim", batch_dim)
    device = processes.device_of(model)
    model.eval()
    outputs: list[Any] = []
    state, before = None, 0
    for batch in batches:
        whole = processes.inputs_and_y(_with_y(batch))[0]
        inputs = processes.map_tensors(lambda part: part.to(device), whole, "x")
        if carry:
            many = _sequences(inputs, batch_dim)
            if state is not None and many != before:
                state = processes.first_of(state, before, many)
            output, state = model(*inputs, state)
            before = many
        else:
            output = model(*inputs)
        outputs.append(processes.map_tensors(lambda part: part.cpu(), output, "the model's output"))
    return outputs


def _with_y(batch):
    if isinstance(batch, torch.Tensor | PackedSequence):
        return batch, None
    return (*batch, None) if isinstance(batch, tuple | list) and len(batch) == 1 else batch


def _sequences(inputs, dim):
    sizes: list[int] = []
    processes.map_tensors(lambda leaf: sizes.append(processes.sequences(leaf, dim)), inputs, "x")
    if len(set(sizes)) != 1:
        raise ValueError(
            "batches must have the same number of sequences in every tensor of x, got "
            f"{sizes} along batch_dim = {dim}"
        )
    return sizes[0]
