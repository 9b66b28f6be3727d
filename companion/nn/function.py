"""One layer and direction over a whole sequence, with the hand-derived backward pass."""

import torch
from torch.autograd import Function

from companion.nn import operators, torch_loops
from companion.nn.operators import KNOWN, NAMES


def unroll(key, params, xs, state, fast=True):
    """Run a cell over a batch of sequences.

    key: of the cell, from `operators.register`. params: a dict of tensors, in the cell's order.
    xs: (T, B, D). state: a tuple of (B, H). All are of one dtype and on one device.
    fast: whether to run compiled loops where there are.
    Returns ys (T, B, H) and the last state, a tuple of (B, H).
    """
    weights, S = tuple(params.values()), len(state)
    tensors = (xs, *state, *weights)
    compiling = torch.compiler.is_compiling()
    # torch.func hands in tensors that hide whether they need a derivative.
    transformed = not compiling and torch._C._are_functorch_transforms_active()
    differentiable = torch.is_grad_enabled() and any([value.requires_grad for value in tensors])
    if transformed or differentiable:
        function = Unroll if transformed or compiling else OrdinaryUnroll
        results = function.apply(key, fast, S, *tensors)
    else:
        results = _unroll(key, fast, False, xs, state, weights)
    return results[0], tuple(results[1 : 1 + S])


def _unroll(*inputs):
    compiling = torch.compiler.is_compiling()
    return (torch.ops.companion.unroll if compiling else operators.unroll)(*inputs)


def _unroll_backward(key, fast, S, *tensors):
    compiling = torch.compiler.is_compiling()
    run = torch.ops.companion.unroll_backward if compiling else operators.unroll_backward
    return tuple(run(key, fast, *_groups(key, S, tensors)))


def _groups(key, S, tensors):
    """dys, dlast, xs, state, weights and tape, from one tuple of tensors in this order."""
    dys, dlast, xs, tensors = tensors[0], tensors[1 : 1 + S], tensors[1 + S], tensors[2 + S :]
    end = S + len(NAMES[key])
    return dys, dlast, xs, tensors[:S], tensors[S:end], tensors[end:]


def _one_by_one(function, info, in_dims, inputs):
    """Run a Function under `torch.vmap`, on one element of the mapped dimension at a time."""
    pairs = list(zip(inputs, in_dims, strict=True))
    runs = [
        function.apply(*(v if dim is None else v.select(dim, k) for v, dim in pairs))
        for k in range(info.batch_size)
    ]
    return tuple(map(torch.stack, zip(*runs, strict=True))), (0,) * len(runs[0])


class Unroll(Function):
    """Backpropagation through time by the cell's own derivative, not by autograd."""

    @staticmethod
    def forward(*inputs):
        key, fast, S, xs, *tensors = inputs
        return tuple(_unroll(key, fast, True, xs, tensors[:S], tensors[S:]))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.key, ctx.fast, ctx.S, *tensors = inputs
        tape = output[1 + ctx.S :]
        ctx.mark_non_differentiable(*tape)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *tape)

    @staticmethod
    def backward(ctx, dys, *dlast):
        saved = ctx.saved_tensors
        xs, h = saved[:2]
        if dys is None:
            dys = h.new_zeros((len(xs), *h.shape))
        dlast = [torch.zeros_like(h) if d is None else d for d in dlast[: ctx.S]]
        # Only a second derivative needs this one to be differentiable.
        run = UnrollBackward.apply if torch.is_grad_enabled() else _unroll_backward
        return None, None, None, *run(ctx.key, ctx.fast, ctx.S, dys, *dlast, *saved)

    @staticmethod
    def vmap(info, in_dims, *inputs):
        return _one_by_one(Unroll, info, in_dims, inputs)


class OrdinaryUnroll(Unroll):
    """The same where no torch.func is at work, in torch's older form, which takes less time."""

    setup_context = Function.setup_context

    @staticmethod
    def forward(ctx, key, fast, S, xs, *tensors):
        output = operators.unroll(key, fast, True, xs, tensors[:S], tensors[S:])
        ctx.key, ctx.fast, ctx.S = key, fast, S
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(xs, *tensors, *output[1 + S :])
        return tuple(output[: 1 + S])


class UnrollBackward(Function):
    """The backward pass; its own derivative is that of the same pass in torch operations."""

    @staticmethod
    def forward(*inputs):
        return _unroll_backward(*inputs)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.key, _, ctx.S, *tensors = inputs
        *_, tape = _groups(ctx.key, ctx.S, tensors)
        ctx.tape = len(tape)
        # The tape is a function of the rest: `backward` computes it again.
        ctx.save_for_backward(*tensors[: len(tensors) - ctx.tape])

    @staticmethod
    def backward(ctx, *grads):
        def derive(*tensors):
            dys, dlast, xs, state, weights, _ = _groups(ctx.key, ctx.S, tensors)
            cell, params = KNOWN[ctx.key], dict(zip(NAMES[ctx.key], weights, strict=True))
            _, _, *tape = torch_loops.forward(cell, params, xs, state)
            dxs, dstate, dparams = torch_loops.backward(cell, params, xs, tape, dys, dlast)
            return dxs, *dstate, *dparams.values()

        pull = torch.func.vjp(derive, *ctx.saved_tensors)[1]
        return None, None, None, *pull(grads), *[None] * ctx.tape

    @staticmethod
    def vmap(info, in_dims, *inputs):
        return _one_by_one(UnrollBackward, info, in_dims, inputs)
