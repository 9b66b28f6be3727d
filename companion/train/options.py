"""What `fit` is told, and what it gives back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train. Every entry has a default.

    epochs: how many times the batches are gone through.
    optimizer: a function of the model's parameters that returns a torch optimizer, such as
    `partial(torch.optim.Adam, lr=3e-3)`; `fit` refuses LBFGS, which needs several gradients a step.
    schedule: a function of the optimizer that returns a torch scheduler. It takes a step after
    every update; ReduceLROnPlateau takes one after every epoch, with the validation loss.
    accumulate: batches to an update, whose gradient is that of the loss of all their sequences
    or counts together; the last update of an epoch takes what is left.
    clip: the largest global norm of the gradient, as in `companion.optim.clip_by_norm`; None does
    not clip.
    patience: stop after this many epochs in a row without a lower validation loss; None never
    stops early.
    carry: truncated backpropagation through time. The batches of an epoch are then stretches of
    the same B sequences in order; the model is called as model(x, state) -> (y, state), with
    None as the first state of an epoch, and no gradient flows from one batch to the one before.
    A batch may have fewer sequences than the one before it, not more: the first of them then go
    on. In several processes all batches of an epoch have the same number. The axis of the
    sequences in the tensors of a state is that of torch.nn, (layers, B, H), or else the first.
    batch_dim: the axis of the sequences in every tensor of x and y, or a pair, one for x and
    one for y: (1, 0) for x (T, B, D) and y (B, K), 0 for batches with the sequences first. In a
    tensor of fewer axes it is the last one.
    seed: of torch's and Python's global generators while training; afterwards they go on from where
    they were before. Process k takes seed + k for torch, so that dropout differs between processes.
    every: updates from one checkpoint to the next within an epoch. Each epoch ends with one.
    metrics: what to measure on the validation batches beside the loss: a dict from a name to a
    function that takes and returns what the loss does. Metrics need validation, and so does
    patience.
    on_epoch: a function of the number of an epoch, from 0, and of a dict of numbers, what came
    out of it: "train", with validation also "validation" and the metrics by their names. It is
    called in process 0 after every epoch, before the checkpoint; a run that is killed in between
    reports the epoch again when it is resumed.
    Raises ValueError for a value outside its range, for one that is no whole number where one is
    wanted, for an optimizer or schedule that is no function, and for a metric named as a loss.
    Sources: Williams and Peng (1990) for truncation, Pascanu, Mikolov and Bengio (2013) for
    clipping, Prechelt (1998) for early stopping.
    """

    epochs: int = 10
    optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer] = torch.optim.Adam
    schedule: Callable[[Optimizer], LRScheduler] | None = None
    accumulate: int = 1
    clip: float | None = None
    patience: int | None = None
    carry: bool = False
    batch_dim: int | tuple[int, int] = 1
    seed: int = 0
    every: int = 100
    metrics: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict, hash=False)
    on_epoch: Callable[[int, dict[str, float]], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulate", "patience", "every"):
            value = getattr(self, name)
            if value is None and name == "patience":
                continue
            check_whole(name, value)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value!r}")
        check_whole("seed", self.seed)
        dims = self.batch_dim if isinstance(self.batch_dim, tuple) else (self.batch_dim,) * 2
        if len(dims) != 2 or not all(map(_is_whole, dims)):
            raise ValueError(
                f"batch_dim must be a whole number, or a pair of them, got {self.batch_dim!r}"
            )
        for name in ("optimizer", "schedule"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ValueError(
                    f"{name} must be a function that makes one, such as partial(torch.optim.Adam, "
                    f"lr=0.01), got an instance of {type(value).__name__}"
                )
        if not isinstance(self.metrics, Mapping) or not all(map(callable, self.metrics.values())):
            raise ValueError(f"metrics must be a dict of functions by name, got {self.metrics!r}")
        if taken := sorted({"train", "validation"} & self.metrics.keys()):
            raise ValueError(f"metrics must have other names than the losses, got {taken[0]!r}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip!r}")


def check_whole(name: str, value: Any) -> None:
    """Raise ValueError unless the value of this name is a whole number, Python's or NumPy's."""
    if not _is_whole(value):
        raise ValueError(f"{name} must be a whole number, got {value!r}")


def _is_whole(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True)
class History:
    """What happened, epoch by epoch.

    train: mean loss of each epoch while its updates were made. validation: loss after each
    epoch; empty without validation. best: the epoch of the lowest validation loss, counted from
    0, None without validation. stopped: whether patience ended the training early. metrics: by
    name, each of `Options.metrics` after each epoch, nan where it counted nothing. The lists
    of a resumed run hold the epochs before it, too.
    """

    train: list[float]
    validation: list[float]
    best: int | None
    stopped: bool
    metrics: dict[str, list[float]] = field(default_factory=dict)
