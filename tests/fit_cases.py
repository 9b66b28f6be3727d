"""A stand-in for `companion.train.fit`: what an experiment would train with, without training."""

from types import SimpleNamespace

import torch

from companion.train import History


class Fit:
    """Keeps what it is called with; the second of three epochs was the best."""

    def __call__(self, model, loss, batches, options, *, validation=None, checkpoint=None):
        self.called = SimpleNamespace(
            model=model, loss=loss, batches=batches, options=options, validation=validation
        )
        return History([3.0, 2.0, 1.0], [0.5, 0.25, 0.75], 1, False)


def rates(options, steps):
    """The learning rate at each of so many updates."""
    optimizer = options.optimizer([torch.nn.Parameter(torch.zeros(1))])
    schedule = options.schedule(optimizer) if options.schedule else None
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if schedule:
            schedule.step()
    return found


def same(first, second):
    """Whether two batches, or lists of them, hold the same numbers."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return len(first) == len(second) and all(map(same, first, second))
