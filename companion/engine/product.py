"""Matrix products for compiled cells, with weights packed once a sequence. Needs numba.

A step multiplies few rows (a batch) by the same weights as every other step. BLAS is made for
large matrices, and arranges the weights anew in every call. Here they are packed into panels of as
many columns as two vector registers hold, and a tile of at most six rows by one panel keeps all
its sums in registers while it runs down the panel.
An element's sum is taken in one order, whatever is beside it: a row's result does not depend on
its batch, nor on how many threads there are.
Source: the micro-kernel of Goto and van de Geijn (2008).
"""

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FEATURES = llvmlite.binding.get_host_cpu_features()
PANEL = 2 * (64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16)  # bytes
# So many rows and terms are multiplied at a time that they stay in the caches.
ROWS, TERMS = 128, 512
INDEX, BIT, LANE = ir.IntType(64), ir.IntType(1), ir.IntType(32)


def _tile(count):
    """The function that adds `count` rows, from `row` on, times a panel (K, W) to a result.

    column: the panel's first in the result; size: how many of its W columns the result has.
    """

    def generate(context, builder, signature, arguments):
        rows_type, _, panel_type, result_type = signature.args[:4]
        rows, panel, result = (
            context.make_array(kind)(context, builder, arguments[n])
            for n, kind in ((0, rows_type), (2, panel_type), (3, result_type))
        )
        row, column, size = arguments[1], arguments[4], arguments[5]
        number = context.get_value_type(rows_type.dtype)
        bytes_each = rows_type.dtype.bitwidth // 8
        W = PANEL // bytes_each
        vector, lanes = ir.VectorType(number, W), ir.VectorType(LANE, W)
        name = f"v{W}f{8 * bytes_each}"

        def call(intrinsic_name, returns, *values):
            kind = ir.FunctionType(returns, [value.type for value in values])
            function = cgutils.get_or_insert_function(builder.module, kind, intrinsic_name)
            return builder.call(function, values)

        def spread(value):
            nothing = ir.Constant(ir.VectorType(value.type, W), ir.Undefined)
            one = builder.insert_element(nothing, value, LANE(0))
            return builder.shuffle_vector(one, nothing, ir.Constant(lanes, [0] * W))

        def pointer(array, kind, i, j):
            """To element (i, j) of an array, or to the vector that begins there."""
            base = builder.ptrtoint(array.data, INDEX)
            for n, step in zip((i, j), cgutils.unpack_tuple(builder, array.strides), strict=True):
                base = builder.add(base, builder.mul(n, step))
            return builder.inttoptr(base, kind.as_pointer())

        rest = builder.trunc(size, LANE)
        inside = builder.icmp_signed("<", ir.Constant(lanes, [*range(W)]), spread(rest))
        nothing, align = ir.Constant(vector, None), LANE(bytes_each)
        at = [builder.add(row, INDEX(i)) for i in range(count)]
        places = [pointer(result, vector, i, column) for i in at]
        sums = [cgutils.alloca_once(builder, vector) for _ in at]  # registers, once optimised
        for total, place in zip(sums, places, strict=True):
            read = call(f"llvm.masked.load.{name}.p0", vector, place, align, inside, nothing)
            builder.store(read, total)
        terms = builder.extract_value(panel.shape, 0)
        with cgutils.for_range(builder, terms) as loop:
            k = loop.index
            weights = builder.load(pointer(panel, vector, k, INDEX(0)), align=bytes_each)
            for i, total in zip(at, sums, strict=True):
                value = spread(builder.load(pointer(rows, number, i, k)))
                fused = call(f"llvm.fma.{name}", vector, value, weights, builder.load(total))
                builder.store(fused, total)
        for total, place in zip(sums, places, strict=True):
            value = builder.load(total)
            call(f"llvm.masked.store.{name}.p0", ir.VoidType(), value, place, align, inside)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing, rows, row, panel, result, column, size):
        index = types.intp
        return types.void(rows, index, panel, result, index, index), generate

    return tile


_six, _four, _two, _one = map(_tile, (6, 4, 2, 1))


@njit(error_model="numpy")
def pack(weight):
    """The panels (P, K, W) of a weight (K, N), the last filled up with zeros."""
    K, N = weight.shape
    W = PANEL // weight.itemsize
    packed = np.zeros(((N + W - 1) // W, K, W), weight.dtype)
    for p in range(len(packed)):
        for first in range(0, K, 16):  # strips that stay in the cache, also of a turned weight
            for n in range(min(W, N - p * W)):
                for k in range(first, min(first + 16, K)):
                    packed[p, k, n] = weight[k, p * W + n]
    return packed


@njit(error_model="numpy")
def add_product(rows, packed, result):
    """result += rows @ weight, for rows (B, K), result (B, N) and the panels of a (K, N)."""
    B, N = result.shape
    W = packed.shape[2]
    for p in range(len(packed)):
        column, size = p * W, min(W, N - p * W)
        b = 0
        while b + 6 <= B:
            _six(rows, b, packed[p], result, column, size)
            b += 6
        while b + 4 <= B:
            _four(rows, b, packed[p], result, column, size)
            b += 4
        while b + 2 <= B:
            _two(rows, b, packed[p], result, column, size)
            b += 2
        if b < B:
            _one(rows, b, packed[p], result, column, size)


@njit(error_model="numpy")
def product(left, right, result):
    """result = left @ right, for matrices of any size."""
    M, K = left.shape
    result[:] = 0
    for k in range(0, K, TERMS):
        packed = pack(right[k : k + TERMS])
        for m in range(0, M, ROWS):
            add_product(left[m : m + ROWS, k : k + TERMS], packed, result[m : m + ROWS])
