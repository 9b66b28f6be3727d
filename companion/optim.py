"""Gradient descent on flat dicts of arrays: pure functions, old parameters in, new ones out."""

import numpy as np

from companion.types import Params

Memory = tuple[int, Params, Params]  # of Adam: steps, first and second moments


def sgd(params: Params, grads: Params, lr: float) -> Params:
    """One step of gradient descent, params - lr · grads.

    params, grads: dicts with the same names and shapes. lr: learning rate.
    Returns the new parameters, a new dict of new arrays.
    Raises ValueError if params and grads have other names.
    """
    _check_names(params, grads)
    lr = float(lr)  # NumPy's own would make float64 of float32
    return {name: params[name] - lr * grads[name] for name in params}


def momentum(
    params: Params, grads: Params, velocity: Params | None, lr: float, beta: float = 0.9
) -> tuple[Params, Params]:
    """One step with momentum: velocity = beta · velocity + grads; params - lr · velocity.

    params, grads, lr: as for `sgd`.
    velocity: the dict returned by the step before, or None at first.
    beta: the share of the velocity that stays.
    Returns the new parameters and the new velocity.
    Raises ValueError as `sgd` does.
    Source: Polyak (1964), in torch's form.
    """
    _check_names(params, grads)
    if velocity is None:
        velocity = {name: np.zeros_like(value) for name, value in params.items()}
    beta = float(beta)
    velocity = {name: beta * velocity[name] + grads[name] for name in params}
    return sgd(params, velocity, lr), velocity


def adam(
    params: Params,
    grads: Params,
    memory: Memory | None,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> tuple[Params, Memory]:
    """One step of Adam, with its usual ε of 1e-8.

    params, grads, lr: as for `sgd`.
    memory: the triple (number of steps, first moments, second moments) returned by the step
    before, or None at first. betas: decay rates of the two moments.
    Returns the new parameters and the new memory.
    Raises ValueError as `sgd` does.
    Source: Kingma and Ba (2015), Algorithm 1.
    """
    _check_names(params, grads)
    if memory is None:
        zeros = {name: np.zeros_like(value) for name, value in params.items()}
        memory = (0, zeros, zeros)
    steps, first, second = memory
    steps += 1
    lr, b1, b2 = map(float, (lr, *betas))
    first = {name: b1 * first[name] + (1 - b1) * grads[name] for name in params}
    second = {name: b2 * second[name] + (1 - b2) * grads[name] ** 2 for name in params}
    # Both moments start at zero; the divisors undo the bias that this gives the first steps.
    new = {}
    for name, value in params.items():
        root = np.sqrt(second[name] / (1 - b2**steps)) + 1e-8
        new[name] = value - lr / (1 - b1**steps) * first[name] / root
    return new, (steps, first, second)


def global_norm(grads: Params) -> float:
    """Square root of the sum of all squared entries of all arrays, a float."""
    return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in grads.values())))


def clip_by_norm(grads: Params, limit: float) -> tuple[Params, float]:
    """Scale all gradients by one factor so that their global norm is at most `limit`.

    Returns the clipped gradients, a new dict, and the norm before, a float. The direction is kept.
    Look at that norm: gradients with nan or inf are not mended.
    Raises ValueError unless limit is positive.
    Source: Pascanu, Mikolov and Bengio (2013), Algorithm 1.
    """
    limit = _positive(limit)
    norm = global_norm(grads)
    scale = min(1.0, limit / norm) if norm > 0 else 1.0
    return {name: g * scale for name, g in grads.items()}, norm


def clip_by_value(grads: Params, limit: float) -> Params:
    """Limit every entry to [-limit, limit]. The direction may change.

    Returns the clipped gradients, a new dict.
    Raises ValueError unless limit is positive.
    """
    limit = _positive(limit)
    return {name: np.clip(g, -limit, limit) for name, g in grads.items()}


def _positive(limit):
    if not limit > 0:
        raise ValueError(f"limit must be positive, got {limit!r}")
    return float(limit)


def _check_names(params, grads):
    if params.keys() != grads.keys():
        raise ValueError(f"grads must have the names {sorted(params)}, got {sorted(grads)}")
