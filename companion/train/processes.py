"""One process or several: who am I, which sequences are mine, what did the others find."""

import atexit
import zlib

import torch
import torch.distributed as dist
from torch.nn.utils.rnn import PackedSequence


def join(device):
    """Join the other processes, if torchrun started this one and nothing has joined them yet."""
    if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)


def device_of(model):
    """The device that a model is on. Raises ValueError for what is no model with parameters."""
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for parameter in model.parameters():
        return parameter.device
    raise ValueError(f"model must have parameters, got {type(model).__name__}")


def size():
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank():
    """Number of this process, from 0."""
    return dist.get_rank() if size() > 1 else 0


def collect(item):
    """A list of every process's item on process 0; None on the others."""
    if size() == 1:
        return [item]
    items = [None] * size() if rank() == 0 else None
    dist.gather_object(item, items)
    return items


def inputs_and_y(batch):
    """What of a batch the model is called with, a tuple, and what the loss compares with."""
    if type(batch) is dict:
        return (batch,), batch
    if isinstance(batch, PackedSequence | torch.Tensor) or not isinstance(batch, tuple | list):
        got = type(batch).__name__
    elif len(batch) < 2:
        got = f"{type(batch).__name__} of {len(batch)}"
    else:
        *inputs, y = batch
        return tuple(inputs), y
    raise ValueError(
        "batches must give pairs (x, y), or several inputs and y, such as (x, lengths, y), or "
        f"dicts, got {got}"
    )


def share(batch, batch_dim, device):
    """This process's sequences of a batch, (*inputs, y) on the device.

    Beside it, how many they are, and how many the batch has.
    """
    dims = batch_dim if isinstance(batch_dim, tuple) else (batch_dim, batch_dim)
    sizes, counts = [], []

    def part_of(leaf, dim):
        sizes.append(sequences(leaf, dim))
        if isinstance(leaf, PackedSequence):
            if size() > 1:
                raise ValueError(
                    "batches must give padded tensors and their lengths to several processes, "
                    "and the model pack them, got a PackedSequence"
                )
            part = leaf
        else:
            part = leaf.tensor_split(size(), min(dim, leaf.ndim - 1))[rank()]
        counts.append(sequences(part, dim))
        return part.to(device)

    inputs, y = inputs_and_y(batch)
    parts = [map_tensors(lambda leaf: part_of(leaf, dims[0]), whole, "x") for whole in inputs]
    parts.append(map_tensors(lambda leaf: part_of(leaf, dims[1]), y, "y"))
    if len(set(sizes)) != 1 or sizes[0] < size():
        raise ValueError(
            "x and y must have the same number of sequences in every tensor, and at least one "
            f"for each of {size()} processes, got {sizes} along batch_dim = {batch_dim}"
        )
    return tuple(parts), counts[0], sizes[0]


def sequences(leaf, dim):
    """How many sequences a tensor has along an axis, its last if it has fewer, or a packed one."""
    if isinstance(leaf, PackedSequence):
        return int(leaf.batch_sizes[0])
    if not leaf.ndim:
        raise ValueError(f"every tensor of a batch must have an axis of sequences, got {leaf!r}")
    return leaf.shape[min(dim, leaf.ndim - 1)]


def first_of(state, before, now):
    """The state of the first `now` of the `before` sequences that it is of.

    Their axis is that of torch.nn, the second of three, or else the first.
    Raises ValueError for more than there were: a model may broadcast its state, and would go on
    without a word.
    """
    if now > before:
        raise ValueError(
            "batches must not have more sequences than the one before, with carry, "
            f"got {now} after {before}"
        )

    def cut(part):
        axis = 1 if part.ndim == 3 and part.shape[1] == before else 0
        return part.narrow(axis, 0, now) if part.shape[axis] == before else part

    return map_tensors(cut, state, "state")


def sum_up(part, batch, device, where):
    """Sums, over the processes, of each number of `part`.

    Raises ValueError in all processes where they were not given the same batch: their parts
    would then not be parts of one.
    """
    if size() == 1:
        return part
    own = torch.tensor([*part, checksum(batch)], dtype=torch.float64, device=device)
    everyones = [torch.empty_like(own) for _ in range(size())]
    dist.all_gather(everyones, own)
    *numbers, checksums = torch.stack(everyones, dim=1).tolist()
    if len(set(checksums)) > 1:
        raise ValueError(
            f"batches must give all processes the same batch, got different ones at {where}: "
            "draw from a generator made from the epoch"
        )
    return tuple(map(sum, numbers))


def checksum(batch):
    """A number that tells batches apart: by all their numbers, and the shapes and dtypes.

    For 10 MB it takes 2 or 3 ms, little beside an update.
    """
    content: list[torch.Tensor] = []

    def note(leaf):
        content.extend(
            [leaf] if isinstance(leaf, torch.Tensor) else (p for p in leaf if p is not None)
        )

    if isinstance(batch, tuple) and not isinstance(batch, PackedSequence):
        batch = tuple(batch)  # a named one, too
    map_tensors(note, batch, "batch")
    total = 0
    for tensor in content:
        total = zlib.crc32(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), total)
        numbers = tensor.detach().cpu().reshape(-1).contiguous()
        total = zlib.crc32(numbers.view(torch.uint8).numpy().data, total)
    return total


def map_tensors(function, tree, name):
    """The tree with the function applied to every tensor and PackedSequence.

    name: what errors call the tree.
    """
    if isinstance(tree, torch.Tensor | PackedSequence):
        return function(tree)
    if type(tree) in (tuple, list):
        return type(tree)(map_tensors(function, part, name) for part in tree)
    if type(tree) is dict:
        return {key: map_tensors(function, part, name) for key, part in tree.items()}
    raise ValueError(
        f"{name} must be a tensor, or tensors in tuples, lists or dicts, got {type(tree).__name__}"
    )
