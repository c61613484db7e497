"""The products with one row, of weights or of residuals, and their micro-kernels.

    gemv_t    c[i] += Σ_j A[i, j] b[j]    contracts the contiguous axis of A
    gemv_n    c[j] += Σ_i p[i] A[i, j]    contracts the other axis of A

They take the time to read A. A is a tuple of its address and row stride, as in gemm.py; b and c are
addresses.
"""

import functools

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import device_function
from .vectors import NO_PREFETCH, VECTOR_BYTES, VectorBuilder, itemsize

T_ROWS = 8 if VECTOR_BYTES == 64 else 4  # rows of A that gemv_t reads side by side
N_ROWS = 8  # that gemv_n reads side by side: c is read and written once for so many
N_MIN_VECTORS = 8  # rows shorter than this are not long
NARROW = 6  # rows of as many numbers are transposed in registers

_INTP = types.intp
_PAIR = types.UniTuple(_INTP, 2)


def gemv_t_microkernel(rows, prefetch=False):
    """Return the micro-kernel of one row of B and m rows of A, `rows` of which it reads at a time.

    It computes C[i] += Σ_j A[i, j] B[j] for i < m and j < k. Where fewer rows are left, the last
    one takes the place of those that are missing, and what it adds to the padding of C is not used.
    With `prefetch`, it prefetches prefetch_distance bytes ahead of its loads from A, else only what
    the hardware does not foresee of rows that are in a cache.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, B, C, m, k, prefetch_distance):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda), (B, C, m, k, distance) = v.unpack(args[1]), args[2:]
            b_row, last = v.pointer(B), builder.sub(m, v.intp(1))
            full = builder.and_(k, v.intp(-v.lanes))
            mask = v.mask(builder.sub(k, full))
            b_tail = v.masked_load(b_row, mask, full)

            def block(i, _):
                a_rows = []
                for r in range(rows):
                    row = builder.add(i, v.intp(r))
                    row = builder.select(builder.icmp_signed("<", row, last), row, last)
                    a_rows.append(v.pointer(A, builder.mul(row, lda)))
                if not prefetch:
                    v.prefetch_starts(a_rows, lda)

                def add(sums, b, load):
                    return [
                        v.multiply_add(load(a), b, s) for a, s in zip(a_rows, sums, strict=True)
                    ]

                def add_vector(j, sums):
                    for a in a_rows if prefetch else []:
                        v.prefetch(builder.gep(a, [j]), distance)
                    return add(sums, v.load(b_row, j), lambda a: v.load(a, j))

                sums = v.loop(full, v.lanes, [v.zero()] * rows, add_vector)
                sums = v.conditional(
                    builder.icmp_signed("<", full, k),
                    sums,
                    lambda: add(sums, b_tail, lambda a: v.masked_load(a, mask, full)),
                )
                total = v.horizontal_sums(sums)
                result = builder.gep(v.pointer(C), [i])
                result = builder.bitcast(result, total.type.as_pointer())
                total = builder.fadd(builder.load(result, align=v.size), total)
                builder.store(total, result, align=v.size)
                return []

            v.loop(m, rows, [], block)
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _INTP, _INTP, _INTP, _INTP, _INTP), generate

    return microkernel


def gemv_n_microkernel(rows, prefetch=False):
    """Return the micro-kernel of one row of C and k rows of A, at most `rows`, read side by side.

    It computes C[j] += Σ_i P[i] A[i, j] for i < k and j < n. The last row, times 0, takes the place
    of those that are missing. `prefetch` is as in that of gemv_t.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, P, C, n, k, prefetch_distance):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda), (P, step), (C, n, k, distance) = *map(v.unpack, args[1:3]), args[3:]
            a_rows, p, c = [], [], v.pointer(C)
            for i in range(rows):
                there, last = builder.icmp_signed("<", v.intp(i), k), builder.sub(k, v.intp(1))
                row = builder.select(there, v.intp(i), last)
                a_rows.append(v.pointer(A, builder.mul(row, lda)))
                number = builder.load(v.pointer(P, builder.mul(row, step)), align=v.size)
                p.append(v.splat(builder.select(there, number, ir.Constant(v.scalar, 0.0))))
            if not prefetch:
                v.prefetch_starts(a_rows, lda)
            full = builder.and_(n, v.intp(-v.lanes))
            mask = v.mask(builder.sub(n, full))

            def add(j, load):
                for row in a_rows if prefetch else []:
                    v.prefetch(builder.gep(row, [j]), distance)
                total = v.load(c, j)  # rows of C are padded
                for i in range(rows):
                    total = v.multiply_add(p[i], load(a_rows[i]), total)
                v.store(total, builder.gep(c, [j]))
                return []

            v.loop(full, v.lanes, [], lambda j, _: add(j, lambda row: v.load(row, j)))
            with builder.if_then(builder.icmp_signed("<", full, n)):
                add(full, lambda row: v.masked_load(row, mask, full))
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _PAIR, _INTP, _INTP, _INTP, _INTP), generate

    return microkernel


def narrow_microkernel(scores):
    """Return the micro-kernel of whole vectors of rows of A without gaps, of 2 to NARROW numbers.

    With `scores`, it computes C[i] += Σ_j A[i, j] B[j], else C[j] += Σ_i B[i] A[i, j], for i < m
    and j < n. Rows are transposed in registers.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, B, C, m, n):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            A, (B, C), m = args[1], map(v.pointer, args[2:4]), args[4]

            def emit(width):
                wide = ir.VectorType(v.scalar, width * v.lanes).as_pointer()

                def columns(i):
                    block = builder.bitcast(
                        v.pointer(A, builder.mul(i, v.intp(width * v.size))), wide
                    )
                    block = builder.load(block, align=v.size)
                    lanes = [range(j, width * v.lanes, width) for j in range(width)]
                    return [v.shuffle(block, block, list(column)) for column in lanes]

                def add_scores(i, _):
                    total = v.load(C, i)
                    for column, w in zip(columns(i), weights, strict=True):
                        total = v.multiply_add(column, w, total)
                    v.store(total, builder.gep(C, [i]))
                    return []

                def add_gradient(i, sums):
                    p = v.load(B, i)
                    pairs = zip(columns(i), sums, strict=True)
                    return [v.multiply_add(column, p, total) for column, total in pairs]

                numbers = [builder.gep(B if scores else C, [v.intp(j)]) for j in range(width)]
                if scores:
                    weights = [v.splat(builder.load(w, align=v.size)) for w in numbers]
                    v.loop(m, v.lanes, [], add_scores)
                    return
                sums = v.loop(m, v.lanes, [v.zero()] * width, add_gradient)
                for number, total in zip(numbers, sums, strict=True):
                    total = builder.extract_element(v.horizontal_sums([total]), v.i32(0))
                    total = builder.fadd(builder.load(number, align=v.size), total)
                    builder.store(total, number, align=v.size)

            v.switch(args[5], {w: functools.partial(emit, w) for w in range(2, NARROW + 1)})
            return context.get_dummy_value()

        return types.void(zero, _INTP, _INTP, _INTP, _INTP, _INTP), generate

    return microkernel


_gemv_t, _gemv_t_prefetching = (gemv_t_microkernel(T_ROWS, prefetch) for prefetch in (False, True))
_gemv_n_half, _gemv_n = gemv_n_microkernel(N_ROWS // 2), gemv_n_microkernel(N_ROWS)
_gemv_n_prefetching = gemv_n_microkernel(N_ROWS, prefetch=True)
_narrow_t, _narrow_n = narrow_microkernel(True), narrow_microkernel(False)


@device_function
def gemv_t(zero, A, b, c, shape, prefetch_distance):
    """Compute c[i] += Σ_j A[i, j] b[j]; shape = (rows of A, length of j).

    It prefetches as gemm_nt does.
    """
    (A, lda), (m, k), size = A, shape, itemsize(zero)
    whole = m & -(VECTOR_BYTES // size) if 2 <= k <= NARROW and lda == k * size else 0
    if whole > 0:
        _narrow_t(zero, A, b, c, whole, k)
    a, c, left = (A + whole * lda, lda), c + whole * size, m - whole
    if prefetch_distance != NO_PREFETCH:
        _gemv_t_prefetching(zero, a, b, c, left, k, prefetch_distance)
    else:
        _gemv_t(zero, a, b, c, left, k, NO_PREFETCH)


@device_function
def gemv_n(zero, A, p, c, shape, prefetch_distance):
    """Compute c[j] += Σ_i p[i] A[i, j] where rows are long or narrow; shape = (length of j, of i).

    p is (address, stride). Returns the number of rows that it has added: the micro-kernel of
    gemm_nn is as fast for others. It prefetches as gemm_nn does.
    """
    (A, lda), (p, step), (n, k), size = A, p, shape, itemsize(zero)
    lanes = VECTOR_BYTES // size
    if n > (N_MIN_VECTORS - 1) * lanes:
        for i in range(0, k, N_ROWS):
            rows, numbers, left = (A + i * lda, lda), (p + i * step, step), k - i
            if prefetch_distance != NO_PREFETCH:
                most = min(left, N_ROWS)
                _gemv_n_prefetching(zero, rows, numbers, c, n, most, prefetch_distance)
            elif left > N_ROWS // 2:
                _gemv_n(zero, rows, numbers, c, n, min(left, N_ROWS), NO_PREFETCH)
            else:
                _gemv_n_half(zero, rows, numbers, c, n, left, NO_PREFETCH)
        return k
    whole = k & -lanes if 2 <= n <= NARROW and lda == n * size and step == size else 0
    if whole > 0:
        _narrow_n(zero, A, p, c, whole, n)
    return whole
