"""Sums over samples and parameters, in one order wherever they are inlined.

LLVM, allowed to reorder a sum, takes an order that depends on where a function is inlined, and that
on what was compiled before: two processes could differ in the last bit.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import device_function
from .vectors import VectorBuilder, address

SUM_VECTORS = 4  # independent sums, to hide the latency of an addition
SUM_COLUMNS = 16  # that `sum_chunks` adds at a time: whole vectors of both dtypes


def _emit_sum(v, n, zero, term):
    """Emit the sum over n numbers of what `term` makes of a function that loads a vector."""
    builder, step = v.builder, SUM_VECTORS * v.lanes
    full = builder.and_(n, v.intp(-v.lanes))
    whole = builder.and_(n, v.intp(-step))

    def at(j):
        return term(lambda pointer: v.load(pointer, j))

    def add_vectors(j, sums):
        terms = [at(builder.add(j, v.intp(u * v.lanes))) for u in range(SUM_VECTORS)]
        return [builder.fadd(total, more) for total, more in zip(sums, terms, strict=True)]

    sums = v.loop(whole, step, [zero] * SUM_VECTORS, add_vectors)
    sums = v.add_groups(sums, 1)
    (total,) = v.loop(full, v.lanes, sums, lambda j, sums: [builder.fadd(sums[0], at(j))], whole)
    mask = v.mask(builder.sub(n, full))
    total = builder.fadd(total, term(lambda pointer: v.masked_load(pointer, mask, full)))
    return builder.extract_element(v.horizontal_sums([total]), v.i32(0))


@intrinsic
def _sum_of_numbers(typingctx, zero, numbers, n):
    """Return the sum of n numbers from an address on, in their dtype."""

    def generate(context, builder, signature, args):
        v = VectorBuilder(builder, zero)
        first = v.pointer(args[1])
        return _emit_sum(v, args[2], v.zero(), lambda load: load(first))

    return zero(zero, types.intp, types.intp), generate


@intrinsic
def _sum_of_products(typingctx, zero, A, B, n):
    """Return Σ a b over n numbers from two addresses on, in float64."""

    def generate(context, builder, signature, args):
        v = VectorBuilder(builder, zero)
        a, b, wide = *map(v.pointer, args[1:3]), ir.VectorType(ir.DoubleType(), v.lanes)

        def term(load):
            factors = [load(a), load(b)]
            if v.size < 8:
                factors = [builder.fpext(factor, wide) for factor in factors]
            return builder.fmul(*factors)

        return _emit_sum(v, args[3], ir.Constant(wide, [0.0] * v.lanes), term)

    return types.float64(zero, types.intp, types.intp, types.intp), generate


@intrinsic
def sum_chunks(typingctx, zero, partials, shape, strides, sums):
    """Add partial sums over the chunks, in chunk order and in float64, and transpose the result.

    ::

        sums[i, k] = Σ_c partials[c, k, i]        shape = (chunks, rows k, columns i)

    strides = (chunk_stride, row_stride) of the partial sums, in bytes; `zero` has their dtype. It
    takes SUM_COLUMNS columns at a time, and reads and writes as many where fewer are left.
    """

    def generate(context, builder, signature, args):
        v, wide = VectorBuilder(builder, zero), VectorBuilder(builder, types.float64)
        (chunks, rows, columns), (of_chunk, of_row) = map(v.unpack, args[2:4])
        sums = builder.inttoptr(args[4], wide.scalar.as_pointer())
        narrow = ir.VectorType(v.scalar, wide.lanes).as_pointer()
        places = range(0, SUM_COLUMNS, wide.lanes)

        def sum_row(k, _):
            row = builder.add(args[1], builder.mul(k, of_row))

            def sum_columns(i, _):
                first = builder.add(row, builder.mul(i, v.intp(v.size)))

                def add_chunk(chunk, totals):
                    numbers, new = v.pointer(first, builder.mul(chunk, of_chunk)), []
                    for place, total in zip(places, totals, strict=True):
                        part = builder.gep(numbers, [v.intp(place)])
                        part = builder.load(builder.bitcast(part, narrow), align=v.size)
                        part = builder.fpext(part, wide.vector) if v.size < 8 else part
                        new.append(builder.fadd(total, part))
                    return new

                totals = v.loop(chunks, 1, [wide.zero()] * len(places), add_chunk)
                place = builder.add(builder.mul(i, rows), k)
                for total in totals:
                    for lane in range(wide.lanes):
                        number = builder.extract_element(total, v.i32(lane))
                        builder.store(number, builder.gep(sums, [place]), align=8)
                        place = builder.add(place, rows)
                return []

            v.loop(columns, SUM_COLUMNS, [], sum_columns)
            return []

        v.loop(rows, 1, [], sum_row)
        return context.get_dummy_value()

    intp = types.intp
    triple, pair = types.UniTuple(intp, 3), types.UniTuple(intp, 2)
    return types.void(zero, intp, triple, pair, intp), generate


@device_function
def total(numbers, n):
    """Return the sum of the first n numbers, of unit stride, in their dtype."""
    return _sum_of_numbers(numbers.dtype.type(0), address(numbers), n)


@device_function
def dot(a, b):
    """Return the sum of a times b, both of unit stride, over the length of a, in float64."""
    return _sum_of_products(a.dtype.type(0), address(a), address(b), len(a))
