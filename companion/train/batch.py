"""What one batch gives: its loss, its metrics, and the state that it leaves."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from companion.train import processes
from companion.train.options import Options


@dataclass(frozen=True)
class Scorer:
    """How a batch is scored: by which loss of which model, on which device."""

    model: torch.nn.Module
    loss: Callable[[Any, Any], Any]
    options: Options
    device: torch.device

    def __call__(self, call, batch, carried, where, metrics=MappingProxyType({}), of=None):
        """The loss of one batch, of which this process takes its part.

        call: the model, or what stands for it in several processes. carried: what the batch before
        left, or None. where: the batch in words, for errors. metrics: as in `Options`. of: the
        weight by which the loss to differentiate is divided; None means the batch's own, for its
        mean.
        Returns a tensor to differentiate; total and weight of the whole batch, whose quotient is
        the loss, and the same for each of the metrics; and what is carried on.
        """
        (*inputs, y), count, whole = processes.share(batch, self.options.batch_dim, self.device)
        if self.options.carry:
            if carried is None:
                _check_takes_state(self.model, inputs)
            state, before = carried or (None, whole)
            if whole != before:
                if processes.size() > 1:
                    raise ValueError(
                        "batches must have the same number of sequences in all of an epoch, with "
                        f"carry in several processes, got {whole} after {before}"
                    )
                state = processes.first_of(state, before, whole)
            output = call(*inputs, state)
            if not isinstance(output, tuple) or len(output) != 2:
                got = type(output).__name__
                got += f" of {len(output)}" if isinstance(output, tuple) else ""
                raise ValueError(f"model must return a pair (y, state) with carry, got {got}")
            output, state = output
            carried = processes.map_tensors(torch.Tensor.detach, state, "state"), whole
        else:
            output = call(*inputs)
        value, factor, weight = _value_and_weight(self.loss(output, y), count, "loss")
        part = [value.item() * factor, weight]
        for name, metric in metrics.items():
            measured, times, own = _value_and_weight(metric(output, y), count, f"metric {name}")
            part += [measured.item() * times, own]
        sums = processes.sum_up(tuple(part), batch, self.device, where)
        total, weight = sums[:2]
        check_finite("loss", total, where)
        if not weight > 0:
            raise ValueError(f"loss must count something in every batch, got {weight} at {where}")
        # DDP averages the gradients of n processes: times n, this is the gradient of the sum of
        # their parts. In one process the factor of a mean is exactly 1.
        return value * (factor * processes.size() / (of or weight)), sums, carried


def _value_and_weight(found, count, name):
    """Value, factor and weight: value · factor adds to the total, weight to what divides it."""
    (value, weight), factor = (found, 1) if isinstance(found, tuple) else ((found, count), count)
    if not isinstance(value, torch.Tensor) or value.ndim != 0:
        got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
        raise ValueError(f"{name} must return a scalar tensor or a pair (total, count), got {got}")
    return value, factor, float(weight)


def _check_takes_state(model, inputs):
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*inputs, "state")
    except TypeError as error:
        wants = ", ".join(["x", *["…"] * (len(inputs) - 1), "state"])
        raise ValueError(f"model must take ({wants}) with carry, got {signature}") from error


def check_finite(what, value, where):
    if not math.isfinite(value):
        raise FloatingPointError(f"the {what} is {value} at {where}; no update was made with it")
