"""Parts of compiled work, in the threads of a `Team`, with no Python in between. Needs numba.

Threads that run Python wait for one another at its lock: eight of them needed longer to begin than
short work takes.
"""

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

INDEX, INT, VOID = ir.IntType(64), ir.IntType(32), ir.VoidType()
DATA = ir.IntType(8).as_pointer()
BODY = ir.FunctionType(VOID, [DATA])  # what a thread runs, of what it is given
RUN = ir.FunctionType(VOID, [BODY.as_pointer(), DATA, INT, INT])  # GOMP_parallel


@njit(error_model="numpy", inline="always")
def part_of(size, multiple, k, count):
    """Where part k of `count` of range(size) begins and ends: whole blocks of a length."""
    blocks = -(-size // multiple)
    end = size if k + 1 == count else blocks * (k + 1) // count * multiple
    return blocks * k // count * multiple, end


@intrinsic
def in_threads(typing, arguments, count, size, run):
    """Call the function that calls this one again, with k from 0 to count - 1, in threads.

    It is called as f(*arguments, k, count, size, run); size, run: of the `Team`. Each thread takes
    the next k that nobody has, until none is left. Returns whether a call failed.
    """
    kinds = (*arguments.types, *[types.intp] * 4)

    def generate(context, builder, signature, values):
        shared = ir.LiteralStructType([INDEX, INDEX, *(value.type for value in values)])
        place = cgutils.alloca_once(builder, shared)
        for field, value in enumerate((INDEX(0), INDEX(0), *values)):
            builder.store(value, cgutils.gep_inbounds(builder, place, 0, field))
        builder.function.attributes.add("noinline")  # each copy of it would be optimised anew
        body = _body(context, builder.function, kinds, shared)
        _, _, size, run = values
        run, data = builder.inttoptr(run, RUN.as_pointer()), builder.bitcast(place, DATA)
        builder.call(run, [body, data, builder.trunc(size, INT), INT(0)])
        failed = builder.load(cgutils.gep_inbounds(builder, place, 0, 1))
        return builder.icmp_signed("!=", failed, INDEX(0))

    return types.boolean(arguments, types.intp, types.intp, types.intp), generate


def _body(context, function, kinds, shared):
    """The LLVM function that a thread runs, of a pointer to what is shared."""
    body = ir.Function(function.module, BODY, function.module.get_unique_name("parts"))
    body.linkage = "internal"
    builder = ir.IRBuilder(body.append_basic_block())
    again, some, end = (body.append_basic_block() for _ in range(3))
    place = builder.bitcast(body.args[0], shared.as_pointer())
    following, failed, *fields = (
        cgutils.gep_inbounds(builder, place, 0, field) for field in range(6)
    )
    arguments, count, size, run = map(builder.load, fields)
    builder.branch(again)
    builder.position_at_end(again)
    k = builder.atomic_rmw("add", following, INDEX(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", k, count), some, end)
    builder.position_at_end(some)
    each = [*cgutils.unpack_tuple(builder, arguments), k, count, size, run]
    status, _ = context.call_conv.call_function(builder, function, types.boolean, kinds, each)
    with cgutils.if_unlikely(builder, status.is_error):
        builder.atomic_rmw("add", failed, INDEX(1), "monotonic")
    builder.branch(again)
    builder.position_at_end(end)
    builder.ret_void()
    return body
