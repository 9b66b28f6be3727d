"""From data to what `companion.train.fit` takes: a function of the epoch that gives batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from companion.types import Array, Batches

if TYPE_CHECKING:
    import torch
    from torch.nn.utils.rnn import PackedSequence

    from companion.tasks import Batch


def streams(numbers: Array, B: int) -> Array:
    """Cut one long sequence into B equally long ones that are read side by side.

    numbers: shape (N,). B: how many streams.
    Returns a copy of shape (N // B, B): column b is the b-th stretch of the text, so that a state
    carried from chunk to chunk always goes on with its own text. The at most B - 1 numbers left
    over at the end are not used.
    Raises ValueError for numbers of another shape, or unless 1 <= B <= N.
    """
    if numbers.ndim != 1 or not 1 <= B <= len(numbers):
        raise ValueError(f"B must be in 1 … {len(numbers)} for shape {numbers.shape}, got {B}")
    T = len(numbers) // B
    return numbers[: T * B].reshape(B, T).T.copy()


def stretches(numbers: ArrayLike, B: int, n: int) -> Batches:
    """Batches of a text in order, for `fit` with `Options(carry=True)`. Needs torch.

    numbers: shape (N,), whole numbers. B: streams read side by side. n: steps in a stretch, over
    which gradients go back.
    Returns a function of the epoch. It yields pairs (x, y) of int64 tensors (n, B), y being what
    follows each symbol of x; the last stretch of an epoch may be shorter.
    Raises ValueError for other numbers, and unless every stream has at least two symbols and n is
    at least 1.
    """
    import torch

    numbers = np.asarray(numbers)
    if numbers.size and numbers.dtype.kind not in "biu":
        raise ValueError(f"numbers must be whole numbers, got {numbers.dtype}")
    columns = torch.from_numpy(streams(numbers.astype(np.int64), B))
    if len(columns) < 2 or n < 1:
        raise ValueError(
            f"n must be at least 1 and streams at least 2 long, got {n} and {len(columns)}"
        )

    def batches(epoch):
        last = len(columns) - 1
        for start in range(0, last, n):
            stop = min(start + n, last)
            yield columns[start:stop], columns[start + 1 : stop + 1]

    return batches


def draws(
    make: Callable[[np.random.Generator, int], Batch], B: int, count: int, seed: int = 0
) -> Batches:
    """Batches of fresh sequences of a task, for `fit`. Needs torch.

    make: make(rng, B) gives a `companion.tasks.Batch`, such as `partial(tasks.adding, T=50)`.
    B: sequences in a batch. count: batches in an epoch. seed: the generator of an epoch is made of
    it and of the epoch's number, so that a training that is resumed meets the same sequences.
    Returns a function of the epoch. It yields pairs (x, (targets, mask)): x (T, B, D) and targets
    (T, B, K), float32, and mask (T, B), bool.
    """
    import torch

    def batches(epoch):
        rng = np.random.default_rng([seed, epoch])
        for _ in range(count):
            xs, targets, mask = map(torch.from_numpy, make(rng, B))
            yield xs, (targets, mask)

    return batches


def padded(
    sequences: Sequence[Array], labels: ArrayLike, B: int, seed: int | None = None, alike: int = 1
) -> Batches:
    """Batches of sequences of unequal length, filled up with zeros, for `fit`. Needs torch.

    sequences: N arrays (T_k, D) or (T_k,). labels: N numbers. B: sequences in a batch.
    seed: of the order, drawn anew for every epoch from the seed and the epoch, so that a training
    that is resumed meets the same batches; None keeps the order that is given.
    alike: with a seed, the sequences of so many batches are drawn together, sorted by length and
    dealt to batches, whose order is then drawn: less filling, and still other batches each epoch.
    Returns a function of the epoch. It yields pairs ((x, lengths), y): x (T, B, D) or (T, B), T
    being the longest of the batch, in the sequences' own dtype; lengths (B,), int64; and y (B,),
    int64 where the labels are whole numbers. One batch may be smaller.
    Raises ValueError for no sequence or an empty one, another number of labels, B or alike below
    1, or alike above 1 without a seed.
    """
    import torch

    xs = [torch.as_tensor(x) for x in sequences]
    y, lengths = torch.as_tensor(labels), torch.tensor([len(x) for x in xs])
    if not y.is_floating_point():  # cross_entropy takes no other whole numbers
        y = y.long()
    if not xs or len(xs) != len(y) or B < 1 or lengths.min() < 1:
        raise ValueError(
            "sequences must be at least one, none empty, with one label each, and B at least 1, "
            f"got {len(xs)} sequences, {len(y)} labels and B = {B}"
        )
    if alike < 1 or (alike > 1 and seed is None):
        raise ValueError(f"alike must be at least 1, and 1 without a seed, got {alike}")

    def batches(epoch):
        order = np.arange(len(xs))
        if seed is not None:
            rng = np.random.default_rng([seed, epoch])
            order = rng.permutation(order)
        parts = [order[start : start + B] for start in range(0, len(xs), B)]
        if alike > 1:
            parts = _sorted(order, lengths.numpy(), B, alike)
            parts = [parts[k] for k in rng.permutation(len(parts))]
        for part in map(torch.from_numpy, parts):
            x = torch.nn.utils.rnn.pad_sequence([xs[k] for k in part])
            yield (x, lengths[part]), y[part]

    return batches


def packed(x: torch.Tensor, lengths: torch.Tensor) -> PackedSequence:
    """A padded batch as torch packs it, so that no layer ever sees the filling. Needs torch.

    x: (T, B, D). lengths: (B,), each from 1 to T, in any order.
    Returns a `PackedSequence`, which `torch.nn.LSTM` and the layers of `companion.nn` take;
    `torch.nn.utils.rnn.pad_packed_sequence` undoes it.
    """
    from torch.nn.utils.rnn import pack_padded_sequence

    return pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)


def _sorted(order, lengths, B, alike):
    """Batches of an order, of which every `alike` together are sorted by length."""
    parts = []
    for start in range(0, len(order), B * alike):
        drawn = order[start : start + B * alike]
        drawn = drawn[np.argsort(lengths[drawn], kind="stable")]
        parts += [drawn[k : k + B] for k in range(0, len(drawn), B)]
    return parts
