"""Checkpoints: whole or not there, refused unless they are of this very run."""

import copy
import io
import os
import pickle
import random
import zipfile
from functools import partial
from typing import Any

import numpy as np
import torch

from companion.train import left_out

FORMAT = "companion.train 3"
# Learning rates and what schedules remember may be NumPy numbers, which torch.load reads if it is
# told of their classes.
NUMBERS: list[Any] = [
    np.float64(0).__reduce__()[0],
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?bhilqBHILQefd"),
]


def write(path, content):
    """Replace the file at `path` in one go: a reader, or a crash, sees the old or the new."""
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read(path, identity):
    """The content of the checkpoint at `path`.

    Raises ValueError for a damaged file, one that `fit` has not written, or one of a run with
    another `identity`.
    """
    try:
        # torch.load does not look at the checksums that the file has.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        content = None if damaged else _loaded(path)
    except OSError:
        raise
    except Exception as error:  # damage comes as almost any exception
        raise ValueError(_refusal(path, "it is damaged or no checkpoint")) from error
    if damaged:
        raise ValueError(_refusal(path, "it is damaged"))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(_refusal(path, f"it was not written by {FORMAT!r}"))
    check_same(path, content["identity"], identity)
    return content


def check_same(path, saved, here):
    """Raise ValueError for an entry that is another here than in the checkpoint's run."""
    for name in [*saved, *here]:
        if saved.get(name) != here.get(name):
            was, now = saved.get(name, "absent"), here.get(name, "absent")
            raise ValueError(_refusal(path, f"in its run {name} was {was}, here it is {now}"))


def _loaded(file):
    with torch.serialization.safe_globals(NUMBERS):
        return torch.load(file, weights_only=True, map_location="cpu")


def _refusal(path, why):
    return f"checkpoint {path} cannot be resumed, {why}; it is left as it is: name another file"


def identity(model, optimizer, scheduler, options, **others):
    """What must be the same for a run to be resumed, a dict of strings."""
    names = ("accumulate", "clip", "patience", "carry", "batch_dim", "seed")
    entries = {name: getattr(options, name) for name in names} | {**others, "model": model}
    entries |= {"schedule": type(scheduler).__name__, "optimizer": type(optimizer).__name__}
    for k, group in enumerate(optimizer.param_groups):
        settings = {key: value for key, value in group.items() if key != "params"}
        entries |= {f"{key} of group {k}": value for key, value in settings.items()}
    if scheduler is not None:
        entries |= {f"schedule's {key}": value for key, value in scheduler.state_dict().items()}
    for name, value in model.state_dict().items():
        # An extra state may be anything.
        known = isinstance(value, torch.Tensor)
        entries[name] = (tuple(value.shape), value.dtype) if known else type(value).__name__
    return {name: repr(value) for name, value in entries.items()}


def copy_of(state_dict):
    """The tensors, and the extra states, as they are now."""
    return {
        name: value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
        for name, value in state_dict.items()
    }


def check_states(states):
    """Raise ValueError for a state, of a model, optimizer or scheduler, that `read` can't read."""
    for part, state in states.items():
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                file = io.BytesIO()
                torch.save(value, file)
                file.seek(0)
                try:
                    _loaded(file)
                except pickle.UnpicklingError as error:
                    raise ValueError(
                        f"{part}'s state {name} must be made of tensors, numbers, strings, lists "
                        f"and dicts to be in a checkpoint, got {type(value).__name__}"
                    ) from error


def global_state():
    """State of the global generators of torch, Python and NumPy."""
    return {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": left_out.plain(np.random.get_state(legacy=False)),  # noqa: NPY002
    }


def random_state(rng=None):
    """State of the global generators, of a GPU's in use too, and of a NumPy one if given."""
    state = global_state()
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    if rng is not None:
        state["rng"] = left_out.generator_state(rng)
    return state


def set_random_state(state, rng=None):
    """Put the generators that are in `state` back to it; `random_state` gave it."""
    put: dict[str, Any] = {
        "torch": torch.set_rng_state,
        "python": random.setstate,
        "numpy": np.random.set_state,
        "cuda": torch.cuda.set_rng_state,
        "rng": partial(left_out.set_generator, rng),
    }
    for name, value in state.items():
        put[name](value)
