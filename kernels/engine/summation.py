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
def add_to_sums(typingctx, zero, numbers, n, sums):
    """Add n numbers of the dtype of `zero` to as many sums in float64; both are addresses."""

    def generate(context, builder, signature, args):
        v, real = VectorBuilder(builder, zero), ir.DoubleType()
        first, n, sums = v.pointer(args[1]), args[2], builder.inttoptr(args[3], real.as_pointer())
        full = builder.and_(n, v.intp(-v.lanes))

        def add(j, number, wide):
            place = builder.bitcast(builder.gep(sums, [j]), wide.as_pointer())
            number = builder.fpext(number, wide) if v.size < 8 else number
            builder.store(builder.fadd(builder.load(place, align=8), number), place, align=8)
            return []

        wide = ir.VectorType(real, v.lanes)
        v.loop(full, v.lanes, [], lambda j, _: add(j, v.load(first, j), wide))
        # One by one: a W of few rows has no more than these.
        v.loop(n, 1, [], lambda j, _: add(j, builder.load(builder.gep(first, [j])), real), full)
        return context.get_dummy_value()

    return types.void(zero, types.intp, types.intp, types.intp), generate


@device_function
def total(numbers, n):
    """Return the sum of the first n numbers, of unit stride, in their dtype."""
    return _sum_of_numbers(numbers.dtype.type(0), address(numbers), n)


@device_function
def dot(a, b):
    """Return the sum of a times b, both of unit stride, over the length of a, in float64."""
    return _sum_of_products(a.dtype.type(0), address(a), address(b), len(a))
