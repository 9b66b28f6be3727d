"""From data to what `companion.train.fit` takes: a function of the epoch that gives batches."""

import numpy as np


def streams(numbers, B):
    """Cut one long sequence into B equally long ones that are read side by side.

    numbers: shape (N,). Returns shape (N // B, B): column b is the b-th stretch of the text, so
    that a state carried from chunk to chunk always goes on with its own text. The at most B - 1
    numbers left over at the end are not used.
    Raises ValueError unless there is at least one number for each stream.
    """
    if numbers.ndim != 1 or not 1 <= B <= len(numbers):
        raise ValueError(f"B must be in 1 … {len(numbers)} for shape {numbers.shape}, got {B}")
    T = len(numbers) // B
    return numbers[: T * B].reshape(B, T).T.copy()


def stretches(numbers, B, n):
    """Batches of a text in order, for `fit` with `Options(carry=True)`. Needs torch.

    numbers: shape (N,), whole numbers. B: streams read side by side. n: steps in a stretch, over
    which gradients go back.
    Returns a function of the epoch. It yields pairs (x, y) of int64 tensors (n, B), y being what
    follows each symbol of x; the last stretch of an epoch may be shorter.
    Raises ValueError unless every stream has at least two symbols and n is at least 1.
    """
    import torch

    columns = torch.from_numpy(streams(np.asarray(numbers, np.int64), B))
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


def draws(make, B, count, seed=0):
    """Batches of fresh sequences of a task, for `fit`. Needs torch.

    make: make(rng, B) gives a `companion.tasks.Batch`, such as `partial(tasks.adding, T=50)`.
    B: sequences in a batch. count: batches in an epoch.
    Returns a function of the epoch. It yields pairs (x, (targets, mask)) of tensors (T, B, D),
    (T, B, K) and (T, B). The generator is made of the seed and the epoch, so that a training that
    is resumed meets the same sequences.
    """
    import torch

    def batches(epoch):
        rng = np.random.default_rng([seed, epoch])
        for _ in range(count):
            xs, targets, mask = map(torch.from_numpy, make(rng, B))
            yield xs, (targets, mask)

    return batches
