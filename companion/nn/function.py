"""One layer and direction over a whole sequence, with the hand-derived backward pass."""

import torch
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import Function, forward_ad
from torch.utils._device import DeviceContext

from companion.nn import operators
from companion.nn.operators import NAMES

# Other kinds of tensor follow what is done with them.
ORDINARY = {torch.Tensor, torch.nn.Parameter}


def unroll(key, params, xs, state, fast=True):
    """Run a cell over a batch of sequences.

    key: of the cell, from `operators.register`. params: a dict of tensors, in the cell's order.
    xs: (T, B, D). state: a tuple of (B, H). All are of one dtype and on one device.
    fast: whether to run compiled loops where there are.
    Returns ys (T, B, H) and the last state, a tuple of (B, H).
    """
    weights, S = tuple(params.values()), len(state)
    tensors = (xs, *state, *weights)
    differentiable = torch.is_grad_enabled() and any([value.requires_grad for value in tensors])
    # torch.func, inside torch.compile, too. Our derivatives are those of real numbers.
    if torch._C._are_functorch_transforms_active() or xs.is_complex():
        results = operators.unroll_in_operations(key, fast, False, xs, state, weights)
    elif torch.compiler.is_compiling():
        results = torch.ops.companion.unroll(key, fast, differentiable, xs, state, weights)
    elif followed(tensors):
        results = operators.unroll_in_operations(key, fast, False, xs, state, weights)
    elif torch._C._get_tracing_state() is not None:
        # Without a tape in any case: a trace is checked with and without derivatives.
        results = torch.ops.companion.unroll(key, fast, False, xs, state, weights)
    elif differentiable:
        # Autograd saves no tensor that was made in inference mode.
        tensors = [value.clone() if value.is_inference() else value for value in tensors]
        results = Unroll.apply(key, fast, S, *tensors)
    else:
        results = operators.unroll(key, fast, False, xs, state, weights)
    return results[0], tuple(results[1 : 1 + S])


def followed(tensors):
    """Whether something records or transforms each operation, and would not see NumPy at work.

    That is torch.func, forward mode, a mode such as FakeTensorMode, a subclass of Tensor, or the
    exporter to ONNX that traces.
    """
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or any([type(value) not in ORDINARY for value in tensors])
        or (torch._C._len_torch_function_stack() > 0 and _function_modes())
        or (torch._C._get_tracing_state() is not None and torch.onnx.is_in_onnx_export())
    )


def _function_modes():
    modes = map(torch._C._get_function_stack_at, range(torch._C._len_torch_function_stack()))
    return any(not isinstance(mode, DeviceContext) for mode in modes)


def _backward(key, fast, dys, dlast, xs, state, weights, tape):
    """The derivative of a loss for xs, the first state and the weights.

    dys and each of dlast: derivatives for ys and the last state; None means zeros.
    """
    if any([d is not None and is_legacy_batchedtensor(d) for d in (dys, *dlast)]):
        return _batched_backward(key, fast, dys, dlast, xs, state, weights, tape)
    h = state[0]
    dys = h.new_zeros((xs.shape[0], *h.shape)) if dys is None else dys
    dlast = [torch.zeros_like(h) if d is None else d for d in dlast]
    if torch.is_grad_enabled():
        # For second derivatives autograd has to see all, from the first state and inputs on.
        tape = operators.unroll_in_operations(key, fast, True, xs, state, weights)[1 + len(state) :]
    elif not tape:
        tape = operators.unroll(key, fast, True, xs, state, weights)[1 + len(state) :]
    if torch.compiler.is_compiling():
        run = torch.ops.companion.unroll_backward
    elif torch.is_grad_enabled() or followed((dys, *dlast, xs, *state, *weights)):
        run = operators.backward_in_operations
    else:
        run = operators.unroll_backward
    return run(key, fast, dys, dlast, xs, state, weights, tape)


def _batched_backward(key, fast, dys, dlast, *saved):
    """`_backward` where dys or dlast have one more dimension, as `is_grads_batched` hides one.

    PyTorch does that with an older vmap, for which many operations have no rule.
    """
    levels, given = zip(*map(_bare, (dys, *dlast)), strict=True)

    def run(dys, *dlast):
        return tuple(_backward(key, fast, dys, dlast, *saved))

    results = torch.func.vmap(run, tuple(None if k is None else 0 for k in levels))(*given)
    level = next(filter(None, levels))
    return [torch._add_batch_dim(value, 0, level) for value in results]


def _bare(value):
    """Level and contents of a tensor of the older vmap, or None and the value."""
    if value is not None and is_legacy_batchedtensor(value):
        for level in range(1, 65):  # as many as there can be
            bare = torch._remove_batch_dim(value, level, 1, 0)
            if not is_legacy_batchedtensor(bare):
                return level, bare
    return None, value


class Unroll(Function):
    """Backpropagation through time by the cell's own derivative, not by autograd."""

    @staticmethod
    def forward(ctx, key, fast, S, xs, *tensors):
        ctx.key, ctx.fast, ctx.S = key, fast, S
        output = operators.unroll(key, fast, True, xs, tensors[:S], tensors[S:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(xs, *tensors, *output[1 + S :])
        return tuple(output[: 1 + S])

    @staticmethod
    def backward(ctx, dys, *dlast):
        grads = _backward(ctx.key, ctx.fast, dys, dlast, *_groups(ctx))
        return None, None, None, *grads


def _groups(ctx):
    """xs, state, weights and tape, of what `ctx` saved in this order."""
    xs, *tensors = ctx.saved_tensors
    end = ctx.S + len(NAMES[ctx.key])
    return xs, tensors[: ctx.S], tensors[ctx.S : end], tensors[end:]


def _save(ctx, inputs, output):
    """`Unroll.forward` for the operator, which may have kept no tape."""
    ctx.key, ctx.fast, _, xs, state, weights = inputs
    ctx.S = len(state)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(xs, *state, *weights, *output[1 + ctx.S :])


def _operator_backward(ctx, grads):
    dys, *dlast = grads[: 1 + ctx.S]
    dxs, *rest = _backward(ctx.key, ctx.fast, dys, dlast, *_groups(ctx))
    return None, None, None, dxs, rest[: ctx.S], rest[ctx.S :]


torch.library.register_autograd("companion::unroll", _operator_backward, setup_context=_save)
