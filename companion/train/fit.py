"""`fit`: from the arguments through the epochs to the history."""

import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from companion.train import processes, saving
from companion.train.options import History, Options
from companion.train.run import Run


def fit(
    model: torch.nn.Module,
    loss: Callable[[Any, Any], Any],
    batches: Callable[[int], Iterable[Any]] | Iterable[Any],
    options: Options | None = None,
    *,
    validation: Iterable[Any] | None = None,
    checkpoint: str | os.PathLike | None = None,
    rng: np.random.Generator | None = None,
) -> History:
    """Train a torch model, and resume exactly where an earlier call was killed.

    model: a torch module on one device, called as model(x), or as model(x, state) with
    `Options.carry`.
    loss: a function of the model's output, without the state that comes with it under
    `Options.carry`, and of y. It returns a scalar tensor, the mean over the sequences, and the
    batch then weighs as much as it has sequences; or a pair (total, count), such as the sum over
    the valid steps of padded sequences, a scalar tensor, and their number.
    batches: batches (x, y), in what can be iterated again in every epoch, such as a list or a
    DataLoader, or a function of the epoch, counted from 0, that returns an iterable of them.
    x and y are tensors, or tuples, lists and dicts of tensors, time-major (T, B, ...) unless
    `Options.batch_dim` says otherwise, or a `PackedSequence`; they are moved to the model's
    device. With several inputs, (x, lengths, y), the model is called as model(x, lengths); a
    batch that is a dict goes whole to the model and, in place of y, to the loss.
    options: an `Options`; None means its defaults.
    validation: a list of batches (or what else can be iterated again and again, not a function)
    to measure the loss on after every epoch, in evaluation mode.
    checkpoint: path of a file to write all state to, and to resume from where it exists; the
    result is then the same, bit for bit, as that of an uninterrupted run. `Options.epochs` may
    have been raised meanwhile, nothing else changed. The batches of the last epoch in the file
    are drawn again, compared by a checksum of all their numbers, and refused where they are
    others. They may be drawn from the global generators of torch, Python and NumPy, the last of
    which `fit` does not seed.
    What the file holds of the model is its state_dict, its buffers that are not persistent, and
    the generators, torch's, NumPy's or Python's, that are attributes of it or of a module in it
    when `fit` is called. What else the training changes and reads again, such as a counter or a
    list in the model, or a generator elsewhere, it does not hold: let the model have it in its
    state_dict, by a buffer or by get_extra_state, else the resumed run is another one.
    rng: the `numpy.random.Generator` that `batches` draws from, if there is one: its state then
    goes into the checkpoint. A generator made from the epoch number needs no such care.

    Returns a `History`. The model is left in evaluation mode, with the state_dict of the epoch of
    lowest validation loss, or the last one without validation.
    Under torchrun the same call trains data-parallel: every process is given the same batches
    and takes its part of the sequences of each, the gradients are those of the whole batch, and
    process 0 shows progress and writes the checkpoint, which all processes must be able to read.
    Each batch then has at least one sequence a process, and is no `PackedSequence`: the model
    packs.
    Raises ValueError for arguments that do not fit, and for a checkpoint that is damaged or of
    another run, which stays untouched; FloatingPointError, before the weights change, where the
    loss or the gradient is not finite.
    Source: Li et al. (2020) for the data-parallel gradient.
    """
    options = Options() if options is None else options
    if not isinstance(options, Options):
        raise ValueError(
            f"options must be an Options, such as Options(epochs=3), got {type(options).__name__}"
        )
    path = None if checkpoint is None else Path(checkpoint)
    device = _check_model(model)
    _check(loss, batches, options, validation, path, rng)
    of_epoch = batches if callable(batches) else lambda epoch: batches
    processes.join(device)
    with _seeded(options.seed):
        run = Run(model, loss, options, validation, rng, path)
        if path is not None:
            run.check_states()
            if path.exists():
                run.load()
        while run.done.epoch < options.epochs and not run.done.stopped:
            run.epoch(of_epoch)
    model.eval()
    done = run.done
    if done.best_weights is not None:
        model.load_state_dict(done.best_weights)
    return History(done.train, done.validation, done.best, done.stopped, done.metrics)


def _check_model(model):
    """Raises ValueError unless it can be trained; returns its device."""
    device = processes.device_of(model)
    parameters = dict(model.named_parameters())
    if lazy := [name for name, value in parameters.items() if is_lazy(value)]:
        raise ValueError(
            f"model must have all its parameters: call it once on a batch, got lazy {lazy[0]}"
        )
    if not any(value.requires_grad for value in parameters.values()):
        raise ValueError(
            f"model must have parameters to train, got all {len(parameters)} frozen, "
            "requires_grad = False"
        )
    return device


def _check(loss, batches, options, validation, path, rng):
    if not callable(loss):
        got = type(loss).__name__
        raise ValueError(f"loss must be a function of the output and y, got {got}")
    if not callable(batches) and not _can_be_read_again(batches):
        raise ValueError(
            "batches must be iterable again in every epoch, such as a list or a DataLoader, or a "
            f"function of the epoch that returns an iterable, got {type(batches).__name__}"
        )
    if not isinstance(rng, np.random.Generator | None):
        raise ValueError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
    if options.metrics and validation is None:
        raise ValueError(f"metrics need validation, got metrics = {list(options.metrics)} alone")
    if validation is None and options.patience is not None:
        raise ValueError(f"patience needs validation, got patience = {options.patience} alone")
    if validation is not None and not _can_be_read_again(validation):
        raise ValueError(
            "validation must be iterable again after every epoch, such as a list, "
            f"got {type(validation).__name__}"
        )
    if path is not None:
        if not path.parent.is_dir():
            raise ValueError(f"checkpoint must be in a folder that exists, got {path}")
        if path.is_dir():
            raise ValueError(f"checkpoint must be the path of a file, got the folder {path}")


def _can_be_read_again(batches):
    return isinstance(batches, Iterable) and not isinstance(batches, Iterator)


@contextmanager
def _seeded(seed):
    """Seeds the generators of torch and Python, and gives them their old state back afterwards."""
    before = saving.random_state()
    del before["numpy"]  # is not seeded, and what is drawn from it stays drawn
    random.seed(int(seed))  # Python takes no NumPy number
    torch.manual_seed(seed + processes.rank())
    try:
        yield
    finally:
        saving.set_random_state(before)
