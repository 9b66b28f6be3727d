"""What `companion.engine.product` does in vector registers, written for LLVM. Needs numba.

A panel (K, W) holds as many columns of a weight (K, N) as two vector registers hold numbers.
"""

from collections.abc import Callable

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FEATURES = llvmlite.binding.get_host_cpu_features()
MANY_REGISTERS = FEATURES.get("avx512f", False)  # 32, else 16
PANEL = 2 * (64 if MANY_REGISTERS else 32 if FEATURES.get("avx") else 16)  # bytes
INDEX, LANE = ir.IntType(64), ir.IntType(32)


class _Vectors:
    """Instructions on vectors of a number of bytes, of the numbers that an array type holds."""

    def __init__(self, context, builder, array_type, size):
        self.context, self.builder = context, builder
        self.number = context.get_value_type(array_type.dtype)
        self.bytes_each = array_type.dtype.bitwidth // 8
        self.count = size // self.bytes_each
        self.vector = ir.VectorType(self.number, self.count)
        self.lanes = ir.VectorType(LANE, self.count)
        self.name = f"v{self.count}f{8 * self.bytes_each}"

    def call(self, name, returns, *values):
        kind = ir.FunctionType(returns, [value.type for value in values])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, values)

    def spread(self, value):
        """A vector that holds one number everywhere."""
        nothing = ir.Constant(ir.VectorType(value.type, self.count), ir.Undefined)
        one = self.builder.insert_element(nothing, value, LANE(0))
        return self.builder.shuffle_vector(one, nothing, ir.Constant(self.lanes, [0] * self.count))

    def pointer(self, array, kind, i, j):
        """To element (i, j) of an array, or to the vector that begins there."""
        builder = self.builder
        base = builder.ptrtoint(array.data, INDEX)
        for n, step in zip((i, j), cgutils.unpack_tuple(builder, array.strides), strict=True):
            base = builder.add(base, builder.mul(n, step))
        return builder.inttoptr(base, kind.as_pointer())

    def first(self, size):
        """Which lanes are among the first `size`."""
        rest = self.builder.trunc(size, LANE)
        every = ir.Constant(self.lanes, [*range(self.count)])
        return self.builder.icmp_signed("<", every, self.spread(rest))

    def load(self, place, inside):
        """The vector at a place, with zeros where it is not inside."""
        name, nothing = f"llvm.masked.load.{self.name}.p0", ir.Constant(self.vector, None)
        return self.call(name, self.vector, place, LANE(self.bytes_each), inside, nothing)

    def store(self, value, place, inside):
        name, align = f"llvm.masked.store.{self.name}.p0", LANE(self.bytes_each)
        self.call(name, ir.VoidType(), value, place, align, inside)

    def turned(self, rows):
        """Of as many vectors as each has numbers: the columns.

        By what processors do in one step: numbers change places within 16 bytes, then the 16 bytes.
        """
        lane = 16 // self.bytes_each
        starts, half = range(0, self.count, lane), lane // 2
        low = [k for n in starts for j in range(n, n + half) for k in (j, self.count + j)]
        even = [k + j for k in (0, self.count) for n in starts[::2] for j in range(n, n + lane)]
        within = low, [k + half for k in low]
        across = even, [k + lane for k in even]

        def mixed(one, other, order):
            order = ir.Constant(self.lanes, order)
            return self.builder.shuffle_vector(one, other, order)

        rows = list(rows)
        for n in starts:
            group, d = rows[n : n + lane], lane
            while d > 1:
                pairs = zip(group[:half], group[half:], strict=True)
                group = [mixed(*pair, order) for pair in pairs for order in within]
                d //= 2
            rows[n : n + lane] = group
        for n in range(lane):
            group, d = rows[n::lane], len(starts)
            while d > 1:
                pairs = [*zip(group[::2], group[1::2], strict=True)]
                group = [mixed(*pair, order) for order in across for pair in pairs]
                d //= 2
            rows[n::lane] = group
        return rows


def tile(count: int, width: int = PANEL) -> Callable[..., None]:
    """The function that adds `count` rows, from `row` on, times a panel (K, W) to a result.

    width: of the panel's columns that are taken, in bytes.
    column: the panel's first in the result; size: how many of its W columns the result has.
    """

    def generate(context, builder, signature, arguments):
        types_of = signature.args
        rows, panel, result = (
            context.make_array(types_of[n])(context, builder, arguments[n]) for n in (0, 2, 3)
        )
        row, column, size = arguments[1], arguments[4], arguments[5]
        v = _Vectors(context, builder, types_of[0], width)
        inside = v.first(size)
        at = [builder.add(row, INDEX(i)) for i in range(count)]
        places = [v.pointer(result, v.vector, i, column) for i in at]
        sums = [cgutils.alloca_once(builder, v.vector) for _ in at]  # registers, once optimised
        for total, place in zip(sums, places, strict=True):
            builder.store(v.load(place, inside), total)
        terms = builder.extract_value(panel.shape, 0)
        with cgutils.for_range(builder, terms) as loop:
            k = loop.index
            weights = builder.load(v.pointer(panel, v.vector, k, INDEX(0)), align=v.bytes_each)
            for i, total in zip(at, sums, strict=True):
                value = v.spread(builder.load(v.pointer(rows, v.number, i, k)))
                fused = v.call(f"llvm.fma.{v.name}", v.vector, value, weights, builder.load(total))
                builder.store(fused, total)
        for total, place in zip(sums, places, strict=True):
            v.store(builder.load(total), place, inside)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing, rows, row, panel, result, column, size):
        index = types.intp
        return types.void(rows, index, panel, result, index, index), generate

    return tile


def block(turned: bool) -> Callable[..., None]:
    """The function that copies a square of a weight (K, N), from (k, n) on, into its panel.

    The square's side is what a register holds. column: its first in the panel (K, W), which gets
    zeros where the weight has ended. turned: whether the weight lies in memory column by column.
    """

    def generate(context, builder, signature, arguments):
        types_of = signature.args
        weight, panel = (
            context.make_array(types_of[n])(context, builder, arguments[n]) for n in (0, 3)
        )
        k, n, column = arguments[1], arguments[2], arguments[4]
        v = _Vectors(context, builder, types_of[0], PANEL // 2)
        K, N = cgutils.unpack_tuple(builder, weight.shape)
        rows, columns = builder.sub(K, k), builder.sub(N, n)
        across, along = (columns, rows) if turned else (rows, columns)
        inside, none = v.first(along), ir.Constant(ir.VectorType(ir.IntType(1), v.count), None)
        lines = []
        for i in map(INDEX, range(v.count)):
            there = builder.icmp_signed("<", i, across)
            at = (k, builder.add(n, i)) if turned else (builder.add(k, i), n)
            place = v.pointer(weight, v.vector, *at)
            lines.append(v.load(place, builder.select(there, inside, none)))
        # What is beyond the last row is written to its place, and then the row itself: no branch.
        last = builder.sub(rows, INDEX(1))
        for i, line in reversed([*enumerate(v.turned(lines) if turned else lines)]):
            row = builder.select(builder.icmp_signed("<", INDEX(i), last), INDEX(i), last)
            place = v.pointer(panel, v.vector, builder.add(k, row), column)
            builder.store(line, place, align=v.bytes_each)
        return context.get_dummy_value()

    @intrinsic
    def block(typing, weight, k, n, panel, column):
        index = types.intp
        return types.void(weight, index, index, panel, index), generate

    return block
