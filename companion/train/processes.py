"""One process or several: who am I, which sequences are mine, what did the others find."""

import atexit
import zlib

import torch
import torch.distributed as dist


def join(device):
    """Join the other processes, if torchrun started this one and nothing has joined them yet."""
    if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)


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


def share(batch, batch_dim, device):
    """This process's sequences of a batch, (x, y) on the device, and how many they are."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(f"batches must give pairs (x, y), got {type(batch).__name__}")
    dims = batch_dim if isinstance(batch_dim, tuple) else (batch_dim, batch_dim)
    sizes, counts = [], []

    def part_of(tensor, dim):
        dim = min(dim, tensor.ndim - 1)
        part = tensor.tensor_split(size(), dim)[rank()]
        sizes.append(tensor.shape[dim])
        counts.append(part.shape[dim])
        return part.to(device)

    parts = tuple(
        map_tensors(lambda tensor, dim=dim: part_of(tensor, dim), whole, name)
        for whole, dim, name in zip(batch, dims, "xy", strict=True)
    )
    if len(set(sizes)) != 1 or sizes[0] < size():
        raise ValueError(
            "x and y must have the same number of sequences in every tensor, and at least one "
            f"for each of {size()} processes, got {sizes} along batch_dim = {batch_dim}"
        )
    return parts, counts[0]


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
    """A number that tells batches apart.

    Of a tensor of more than 65536 numbers it reads only every n-th: reading all would take longer
    than 1 % of an update. n is odd, so that no axis of a power of two is met at one place only.
    """
    content: list[torch.Tensor] = []
    map_tensors(content.append, batch, "batch")
    total = 0
    for tensor in content:
        numbers = tensor.detach().reshape(-1)[:: tensor.numel() // 65536 | 1]
        total = zlib.crc32(numbers.cpu().contiguous().view(torch.uint8).numpy().data, total)
    return total


def map_tensors(function, tree, name):
    """The tree with the function applied to every tensor. name: what errors call the tree."""
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if type(tree) in (tuple, list):
        return type(tree)(map_tensors(function, part, name) for part in tree)
    if type(tree) is dict:
        return {key: map_tensors(function, part, name) for key, part in tree.items()}
    raise ValueError(
        f"{name} must be a tensor, or tensors in tuples, lists or dicts, got {type(tree).__name__}"
    )
