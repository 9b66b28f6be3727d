"""What of a model its state_dict leaves out: generators, and buffers that are not persistent."""

import random
from typing import Any

import numpy as np
import torch

Generator = torch.Generator | np.random.Generator | np.random.RandomState | random.Random


def generators(model: torch.nn.Module) -> dict[str, Generator]:
    """The generators that are attributes of a model or of a module in it, by name."""
    return {
        f"{path}.{name}".lstrip("."): value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        # The system's own has no state.
        if isinstance(value, Generator) and not isinstance(value, random.SystemRandom)
    }


def kinds(model: torch.nn.Module) -> dict[str, str]:
    """Of which kind each of the generators is: it takes the state of no other kind."""
    return {f"generator {name}": _kind(value) for name, value in generators(model).items()}


def _kind(generator):
    if isinstance(generator, torch.Generator):
        return f"torch.Generator on {generator.device.type}"
    # NumPy's say what is inside them.
    return type(generator).__name__ if isinstance(generator, random.Random) else str(generator)


def states(model: torch.nn.Module) -> dict[str, Any]:
    """The states of its generators."""
    return {name: generator_state(value) for name, value in generators(model).items()}


def buffers(model: torch.nn.Module) -> dict[str, torch.Tensor | None]:
    """Copies, on the CPU, of the buffers that are not persistent."""
    found = {
        f"{path}.{name}".lstrip("."): getattr(module, name)
        for path, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }
    return {
        name: value if value is None else value.detach().cpu().clone()
        for name, value in found.items()
    }


def put_back(
    model: torch.nn.Module, of_generators: dict[str, Any], of_buffers: dict[str, Any]
) -> None:
    """Bring generators and buffers to what `states` and `buffers` gave."""
    for name, generator in generators(model).items():
        set_generator(generator, of_generators[name])
    for where, value in of_buffers.items():
        path, _, name = where.rpartition(".")
        _put_buffer(model.get_submodule(path), name, value, next(model.parameters()).device)


@torch.no_grad()
def _put_buffer(module, name, value, device):
    now = getattr(module, name, None)
    if now is not None and value is not None and _fits(value, now):
        now.copy_(value)  # into its place, which may have another name
    else:  # it may also have been made while training
        put = value if value is None else value.to(device)
        module.register_buffer(name, put, persistent=False)


def _fits(value, now):
    # In an expanded one several numbers have one place.
    return (now.shape, now.dtype) == (value.shape, value.dtype) and now.is_contiguous()


def generator_state(generator: Generator) -> Any:
    """The state of one generator, which `set_generator` takes and a checkpoint can hold."""
    if isinstance(generator, np.random.Generator):
        return plain(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return plain(generator.get_state(legacy=False))
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def set_generator(generator: Generator, state: Any) -> None:
    """Put a generator back to a state."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def plain(state: Any) -> Any:
    """A state without NumPy arrays, which some generators have and a checkpoint cannot hold."""
    # torch.load with weights_only reads none.
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return state.tolist() if hasattr(state, "tolist") else state
