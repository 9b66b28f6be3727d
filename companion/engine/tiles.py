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
PANEL = 2 * (64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16)  # bytes
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
        """Of as many vectors as each has numbers: the columns."""
        d = 1
        while d < self.count:  # pairs of rows exchange their blocks of d by d numbers
            keep = [n if not n & d else self.count + n - d for n in range(self.count)]
            give = [n + d if not n & d else self.count + n for n in range(self.count)]
            rows = list(rows)
            for i in range(self.count):
                if not i & d:
                    pair = rows[i], rows[i + d]
                    rows[i], rows[i + d] = (
                        self.builder.shuffle_vector(*pair, ir.Constant(self.lanes, order))
                        for order in (keep, give)
                    )
            d *= 2
        return rows


def tile(count: int) -> Callable[..., None]:
    """The function that adds `count` rows, from `row` on, times a panel (K, W) to a result.

    column: the panel's first in the result; size: how many of its W columns the result has.
    """

    def generate(context, builder, signature, arguments):
        types_of = signature.args
        rows, panel, result = (
            context.make_array(types_of[n])(context, builder, arguments[n]) for n in (0, 2, 3)
        )
        row, column, size = arguments[1], arguments[4], arguments[5]
        v = _Vectors(context, builder, types_of[0], PANEL)
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
        lines = []
        for i in map(INDEX, range(v.count)):
            there = builder.icmp_signed("<", i, across)
            inside = v.first(builder.select(there, along, INDEX(0)))
            at = (k, builder.add(n, i)) if turned else (builder.add(k, i), n)
            lines.append(v.load(v.pointer(weight, v.vector, *at), inside))
        for i, line in enumerate(v.turned(lines) if turned else lines):
            there = builder.icmp_signed("<", INDEX(i), rows)
            with builder.if_then(there):
                place = v.pointer(panel, v.vector, builder.add(k, INDEX(i)), column)
                builder.store(line, place, align=v.bytes_each)
        return context.get_dummy_value()

    @intrinsic
    def block(typing, weight, k, n, panel, column):
        index = types.intp
        return types.void(weight, index, index, panel, index), generate

    return block
