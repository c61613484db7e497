"""The two matrix products that compute scores and gradients, and their micro-kernels.

    gemm_nt    C[c, i] += Σ_j A[i, j] B[c, j]    contracts the contiguous axis of A
    gemm_nn    C[c, j] += Σ_i P[c, i] A[i, j]    contracts the other axis of A

With A a tile of a C-ordered X (i a sample, j a feature), gemm_nt computes the scores and gemm_nn
the gradient; with a Fortran-ordered X (i a feature, j a sample), gemm_nn computes the scores and
gemm_nt the gradient. LLVM does not keep a block of sums in registers by itself, so the
micro-kernels use explicit vectors.

A matrix is a tuple of its address and its strides in bytes: (address, row_stride), with a
column_stride too for P. `zero` is a zero of the matrices' dtype. Rows of A, B and C are contiguous,
and those of C are padded to a multiple of 16 elements. A shape (m, n, k) ends in the contracted
length, as in BLIS.

Further reading: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM
Transactions on Mathematical Software 34(3), 2008, and docs/KernelsHowTo.md of BLIS, from which the
names MR, NR, KC, MC and the numbering of the five loops are taken.
"""

import functools

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import device_function, jit
from .vectors import VECTOR_BYTES, VectorBuilder, address, itemsize, keep_out_of_line

# MR × NR accumulators, in registers: at most 24 of AVX-512's 32, 12 of AVX2's 16 and NEON's 32.
NT_MR, NT_NR = (8, 3) if VECTOR_BYTES == 64 else (4, 3)  # rows of A; rows of B
NN_MR, NN_NR = (4, 4) if VECTOR_BYTES == 64 else (4, 2)  # rows of P and C; vectors of j
# Blocks of A stay in L1: NT_MC rows of NT_KC_BYTES for all rows of B, NN_KC rows for all of P's.
NT_MC, NT_KC_BYTES = 16, 1024
NN_KC = 128
NN_ACCUMULATORS = 8  # independent accumulators at least, to hide the latency of multiply_add
PANEL_ROW_BYTES = NN_NR * VECTOR_BYTES
PACK_MIN_ROWS = 16  # fewer rows of P do not repay a packed copy of A
NO_PREFETCH = np.intp(0)  # a prefetch_distance; a literal 0 would compile gemm_nn for another type

_INTP = types.intp
_PAIR, _TRIPLE = types.UniTuple(_INTP, 2), types.UniTuple(_INTP, 3)


@device_function
def padded(n):
    """Return the length of a row of C for n elements: whole blocks of both products and dtypes.

    It is an odd multiple of 16, because rows a page apart would collide in a few cache sets.
    """
    return ((n + 15) // 16 | 1) * 16


# ---- micro-kernels ----


def gemm_nt_microkernel(rows, columns):
    """Return the micro-kernel of gemm_nt for `rows` rows of A and `columns` rows of B.

    It computes C[c, i] += Σ_j A[i, j] B[c, j] for j < k.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, B, C, k):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda), (B, ldb), (C, ldc) = (v.unpack(matrix) for matrix in args[1:4])
            a_rows = [v.pointer(A, builder.mul(v.intp(i), lda)) for i in range(rows)]
            b_rows = [v.pointer(B, builder.mul(v.intp(c), ldb)) for c in range(columns)]

            def add(sums, load):
                a, b = [load(row) for row in a_rows], [load(row) for row in b_rows]
                pairs = [(i, c) for c in range(columns) for i in range(rows)]
                return [
                    v.multiply_add(a[i], b[c], s) for (i, c), s in zip(pairs, sums, strict=True)
                ]

            full = builder.and_(args[4], v.intp(-v.lanes))
            mask = v.mask(builder.sub(args[4], full))
            sums = [v.zero()] * (rows * columns)
            sums = v.loop(
                full, v.lanes, sums, lambda j, sums: add(sums, lambda row: v.load(row, j))
            )
            sums = v.conditional(
                builder.icmp_signed("<", full, args[4]),
                sums,
                lambda: add(sums, lambda row: v.masked_load(row, mask, full)),
            )
            for c in range(columns):
                total = v.horizontal_sums(sums[c * rows : (c + 1) * rows])
                row = v.pointer(C, builder.mul(v.intp(c), ldc))
                row = builder.bitcast(row, total.type.as_pointer())
                total = builder.fadd(builder.load(row, align=v.size), total)
                builder.store(total, row, align=v.size)
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _PAIR, _PAIR, _INTP), generate

    return microkernel


def gemm_nn_microkernel(prefetch):
    """Return the micro-kernel of gemm_nn for up to NN_MR rows of P and NN_NR vectors of A's row.

    It computes C[c, j] += Σ_i P[c, i] A[i, j] for i < k, with blocks = (rows, vectors) and shape =
    (columns of A in the block, k). With `prefetch`, it prefetches prefetch_distance bytes ahead of
    its loads from A. `prefetch` is fixed at compile time: a test in the loop would cost more than
    it saves.
    """

    @intrinsic
    def microkernel(typingctx, zero, blocks, A, P, C, shape, prefetch_distance):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (mr, nr), A, P, C, shape = (v.unpack(pack) for pack in args[1:6])
            distance = args[6] if prefetch else None
            sizes = {
                (r, u): r * (NN_NR + 1) + u
                for r in range(1, NN_MR + 1)
                for u in range(1, NN_NR + 1)
            }
            cases = {
                number: functools.partial(_emit_gemm_nn, v, size, A, P, C, shape, distance)
                for size, number in sizes.items()
            }
            v.switch(builder.add(builder.mul(mr, v.intp(NN_NR + 1)), nr), cases)
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _PAIR, _TRIPLE, _PAIR, _PAIR, _INTP), generate

    return microkernel


def _emit_gemm_nn(v, size, A, P, C, shape, prefetch_distance):
    """Emit the gemm_nn micro-kernel of one size, (rows, vectors)."""
    builder, (rows, vectors) = v.builder, size
    (A, lda), (P, ldp, step), (C, ldc), (width, k) = A, P, C, shape
    offsets = [v.intp(u * VECTOR_BYTES) for u in range(vectors)]
    mask = v.mask(builder.sub(width, v.intp((vectors - 1) * v.lanes)))
    c_rows = [builder.mul(v.intp(c), ldc) for c in range(rows)]
    results = [v.pointer(C, row, offset) for row in c_rows for offset in offsets]
    p_rows = [builder.add(P, builder.mul(v.intp(c), ldp)) for c in range(rows)]

    def add(i, sums):
        row = v.pointer(A, builder.mul(i, lda))
        a = [v.load(row, v.intp(u * v.lanes)) for u in range(vectors - 1)]
        a.append(v.masked_load(row, mask, v.intp((vectors - 1) * v.lanes)))
        for offset in offsets if prefetch_distance else []:
            v.prefetch(row, builder.add(prefetch_distance, offset))
        column = builder.mul(i, step)
        pointers = [v.pointer(row, column) for row in p_rows]
        p = [v.splat(builder.load(pointer, align=v.size)) for pointer in pointers]
        pairs = [(c, u) for c in range(rows) for u in range(vectors)]
        return [v.multiply_add(p[c], a[u], s) for (c, u), s in zip(pairs, sums, strict=True)]

    count = rows * vectors
    unroll = max(1, NN_ACCUMULATORS // count)  # rows of A with separate accumulators

    def add_unrolled(i, sums):
        split = [sums[t * count : (t + 1) * count] for t in range(unroll)]
        rows = [(builder.add(i, v.intp(t)), part) for t, part in enumerate(split)]
        return [total for row, part in rows for total in add(row, part)]

    sums, start = [v.load(result) for result in results], v.intp(0)
    if unroll > 1:
        start = builder.and_(k, v.intp(-unroll))
        sums += [v.zero()] * (count * (unroll - 1))
        sums = v.loop(start, unroll, sums, add_unrolled)
        while len(sums) > count:
            half = len(sums) // 2
            pairs = zip(sums[:half], sums[half:], strict=True)
            sums = [builder.fadd(a, b) for a, b in pairs]
    for result, total in zip(results, v.loop(k, 1, sums, add, start), strict=True):
        v.store(total, result)


@intrinsic
def _pack_panel(typingctx, zero, A, shape, panel):
    """Copy rows into a packed panel: PANEL_ROW_BYTES apart, no two in the same cache line."""

    def generate(context, builder, signature, args):
        v = VectorBuilder(builder, zero)
        (A, lda), (width, k), panel = v.unpack(args[1]), v.unpack(args[2]), args[3]
        full = builder.and_(width, v.intp(-v.lanes))
        mask = v.mask(builder.sub(width, full))

        def copy_row(i, _):
            source = v.pointer(A, builder.mul(i, lda))
            copy = v.pointer(panel, builder.mul(i, v.intp(PANEL_ROW_BYTES)))

            def copy_vector(j, _):
                v.store(v.load(source, j), builder.gep(copy, [j]))
                return []

            v.loop(full, v.lanes, [], copy_vector)
            with builder.if_then(builder.icmp_signed("<", full, width)):
                v.store(v.masked_load(source, mask, full), builder.gep(copy, [full]))
            return []

        v.loop(k, 1, [], copy_row)
        return context.get_dummy_value()

    return types.void(zero, _PAIR, _PAIR, _INTP), generate


# ---- the products ----

_nt_1, _nt_2, _nt_3 = (gemm_nt_microkernel(NT_MR, columns) for columns in (1, 2, 3))
_nt_single = gemm_nt_microkernel(1, 1)


@jit
def gemm_nt(zero, A, B, C, shape):
    """Compute C[c, i] += Σ_j A[i, j] B[c, j]; shape = (rows of A, rows of B, length of j)."""
    keep_out_of_line()
    (A, lda), (B, ldb), (C, ldc), (m, n, k), size = A, B, C, shape, itemsize(zero)
    kc = NT_KC_BYTES // size
    n_blocks = (n + NT_NR - 1) // NT_NR
    full = m // NT_MR * NT_MR
    mc = max(NT_MC, NT_MC * kc // k // NT_MR * NT_MR)  # more rows if they are short
    for ic in range(0, full, mc):  # loop 3: blocks of rows of A
        for pc in range(0, k, kc):  # loop 4: chunks of the contracted length
            length = min(kc, k - pc)
            c = 0
            for block in range(n_blocks):  # loop 2: NR rows of B or fewer, as even as possible
                nr = (n - c) // (n_blocks - block)
                b = B + c * ldb + pc * size, ldb
                for i in range(ic, min(ic + mc, full), NT_MR):  # loop 1: MR rows of A
                    a, s = (A + i * lda + pc * size, lda), (C + c * ldc + i * size, ldc)
                    if nr == 3:
                        _nt_3(zero, a, b, s, length)
                    elif nr == 2:
                        _nt_2(zero, a, b, s, length)
                    else:
                        _nt_1(zero, a, b, s, length)
                c += nr
    for i in range(full, m):
        for c in range(n):
            a, b, s = (A + i * lda, lda), (B + c * ldb, ldb), (C + c * ldc + i * size, ldc)
            _nt_single(zero, a, b, s, k)


_nn_plain, _nn_prefetching = gemm_nn_microkernel(False), gemm_nn_microkernel(True)


@jit
def gemm_nn(zero, A, P, C, shape, prefetch_distance):
    """Compute C[c, j] += Σ_i P[c, i] A[i, j]; shape = (rows of C, columns of C, length of i).

    It prefetches prefetch_distance bytes ahead of its loads from A, unless that is NO_PREFETCH.
    """
    keep_out_of_line()
    (A, lda), (P, ldp, step), (C, ldc), (m, n, k), size = A, P, C, shape, itemsize(zero)
    lanes = VECTOR_BYTES // size
    n_vectors = (n + lanes - 1) // lanes
    n_blocks, m_blocks = (n_vectors + NN_NR - 1) // NN_NR, (m + NN_MR - 1) // NN_MR
    packed = m >= PACK_MIN_ROWS
    panel = np.empty(NN_KC * PANEL_ROW_BYTES // 8 + 8 if packed else 0)
    for pc in range(0, k, NN_KC):  # loop 4: chunks of the contracted length
        kc = min(NN_KC, k - pc)
        v = 0
        for n_block in range(n_blocks):  # loop 2: NR vectors of the rows of A and C, or fewer
            nr = (n_vectors - v) // (n_blocks - n_block)
            j = v * lanes
            block = min(nr * lanes, n - j), kc
            a = A + pc * lda + j * size, lda
            if packed:
                panel_ptr = (address(panel) + 63) & -64  # aligned to a cache line
                _pack_panel(zero, a, block, panel_ptr)
                a = panel_ptr, PANEL_ROW_BYTES
            c = 0
            for m_block in range(m_blocks):  # loop 1: MR rows of P and C, or fewer
                mr = (m - c) // (m_blocks - m_block)
                p, s = (P + c * ldp + pc * step, ldp, step), (C + c * ldc + j * size, ldc)
                # With more rows of C, the hardware prefetcher keeps up with the arithmetic.
                if m_blocks == 1 and prefetch_distance != NO_PREFETCH:
                    _nn_prefetching(zero, (mr, nr), a, p, s, block, prefetch_distance)
                else:
                    _nn_plain(zero, (mr, nr), a, p, s, block, prefetch_distance)
                c += mr
            v += nr
