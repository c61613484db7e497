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
names MR, NR, KC, MC and the numbering of the five loops are taken. The products of problems
with one score are in gemv.py, the copies of blocks and panels in pack.py.
"""

import functools

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from .gemv import gemv_n, gemv_t
from .jit import device_function
from .pack import NR, PANEL_ROW_BYTES, copy_rows
from .vectors import (
    LINE_BYTES,
    NO_PREFETCH,
    VECTOR_BYTES,
    VectorBuilder,
    address,
    itemsize,
    keep_out_of_line,
    stack_memory,
)

# MR × NR accumulators, in registers: at most 24 of AVX-512's 32, 12 of AVX2's 16 and NEON's 32.
# 16 registers leave room for four factors only, which are therefore loaded one by one.
NT_MR, NT_NR = (8, 3) if VECTOR_BYTES == 64 else (4, 3)  # rows of A; rows of B
NN_MR, NN_NR = 4 if VECTOR_BYTES == 64 else 6, NR  # rows of P and C; vectors of j, 4 or 2
# Blocks of A stay in L1: NT_MC rows of NT_KC_BYTES for all rows of B; for all rows of P, as many
# rows as make NN_KC_BYTES in a column. Of those, NN_NC_BYTES each are packed at a time, into L2.
NT_MC, NT_KC_BYTES = 16, 1024
NN_KC_BYTES, NN_NC_BYTES = 1024, 1024
NN_ACCUMULATORS = 8  # independent accumulators at least, to hide the latency of multiply_add
PACK_MIN_ROWS = 16  # fewer rows of P do not repay a packed copy of A

_INTP = types.intp
_PAIR, _TRIPLE = types.UniTuple(_INTP, 2), types.UniTuple(_INTP, 3)


# ---- micro-kernels ----


def gemm_nt_microkernel(rows, prefetch=False):
    """Return the micro-kernel of gemm_nt for `rows` rows of A and 1 to NT_NR of B, its `columns`.

    It computes C[c, i] += Σ_j A[i, j] B[c, j] for j < k. With `prefetch`, it prefetches
    prefetch_distance bytes ahead of its loads from A; that is fixed at compile time, because a test
    in the loop would cost more than it saves.
    """

    @intrinsic
    def microkernel(typingctx, zero, columns, A, B, C, k, prefetch_distance):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            columns, *matrices, k, distance = args[1:]
            A, B, C = map(v.unpack, matrices)
            distance = distance if prefetch else None
            cases = {
                n: functools.partial(_emit_gemm_nt, v, (rows, n), A, B, C, k, distance)
                for n in range(1, NT_NR + 1)
            }
            v.switch(columns, cases)
            return context.get_dummy_value()

        return types.void(zero, _INTP, _PAIR, _PAIR, _PAIR, _INTP, _INTP), generate

    return microkernel


def _emit_gemm_nt(v, size, A, B, C, k, prefetch_distance):
    """Emit the gemm_nt micro-kernel of one size, (rows of A, rows of B)."""
    builder, (rows, columns), (A, lda), (B, ldb), (C, ldc) = v.builder, size, A, B, C
    a_rows = [v.pointer(A, builder.mul(v.intp(i), lda)) for i in range(rows)]
    b_rows = [v.pointer(B, builder.mul(v.intp(c), ldb)) for c in range(columns)]

    def add(sums, j, load):
        b, new = [load(row) for row in b_rows], []
        for i, row in enumerate(a_rows):  # one of A at a time: more would not fit
            a = load(row)
            if prefetch_distance:
                v.prefetch(builder.gep(row, [j]), prefetch_distance)
            new += [v.multiply_add(a, b[c], sums[i * columns + c]) for c in range(columns)]
        return new

    full = builder.and_(k, v.intp(-v.lanes))
    mask = v.mask(builder.sub(k, full))
    sums = [v.zero()] * (rows * columns)
    sums = v.loop(full, v.lanes, sums, lambda j, sums: add(sums, j, lambda row: v.load(row, j)))
    sums = v.conditional(
        builder.icmp_signed("<", full, k),
        sums,
        lambda: add(sums, full, lambda row: v.masked_load(row, mask, full)),
    )
    for c in range(columns):
        total = v.horizontal_sums(sums[c::columns])
        row = v.pointer(C, builder.mul(v.intp(c), ldc))
        row = builder.bitcast(row, total.type.as_pointer())
        total = builder.fadd(builder.load(row, align=v.size), total)
        builder.store(total, row, align=v.size)


def gemm_nn_microkernel(rows, prefetch=False):
    """Return the micro-kernel of gemm_nn for these numbers of rows of P, and vectors of A's row.

    It computes C[c, j] += Σ_i P[c, i] A[i, j] for i < k, with blocks = (rows, vectors) and shape =
    (columns of A in the block, k). A block of 0 vectors is one vector that is not full; no other is
    read through a mask, which costs some processors a second instruction. With `prefetch`, it
    prefetches as that of gemm_nt, and has blocks of NN_NR vectors alone, to compile less.
    """

    @intrinsic
    def microkernel(typingctx, zero, blocks, A, P, C, shape, prefetch_distance):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (mr, nr), A, P, C, shape = (v.unpack(pack) for pack in args[1:6])
            distance = args[6] if prefetch else None
            vectors = [NN_NR] if prefetch else range(NN_NR + 1)
            sizes = {(r, u): r * (NN_NR + 1) + u for r in rows for u in vectors}
            cases = {
                number: functools.partial(_emit_gemm_nn, v, size, A, P, C, shape, distance)
                for size, number in sizes.items()
            }
            v.switch(builder.add(builder.mul(mr, v.intp(NN_NR + 1)), nr), cases)
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _PAIR, _TRIPLE, _PAIR, _PAIR, _INTP), generate

    return microkernel


def _emit_gemm_nn(v, size, A, P, C, shape, prefetch_distance):
    """Emit the gemm_nn micro-kernel of one size, (rows, vectors); 0 vectors are one with a mask."""
    builder, (rows, full) = v.builder, size
    vectors = max(1, full)
    (A, lda), (P, ldp, step), (C, ldc), (width, k) = A, P, C, shape
    offsets = [v.intp(u * VECTOR_BYTES) for u in range(vectors)]
    mask = None if full else v.mask(width)
    c_rows = [builder.mul(v.intp(c), ldc) for c in range(rows)]
    results = [v.pointer(C, row, offset) for row in c_rows for offset in offsets]
    p_rows = [builder.add(P, builder.mul(v.intp(c), ldp)) for c in range(rows)]

    def add(i, sums):
        row = v.pointer(A, builder.mul(i, lda))
        a = [v.load(row, v.intp(u * v.lanes)) for u in range(full)] or [v.masked_load(row, mask)]
        for offset in offsets if prefetch_distance else []:
            v.prefetch(row, builder.add(prefetch_distance, offset))
        column = builder.mul(i, step)
        new = []
        for c, p_row in enumerate(p_rows):
            p = v.splat(builder.load(v.pointer(p_row, column), align=v.size))
            new += [v.multiply_add(p, a[u], sums[c * vectors + u]) for u in range(vectors)]
        return new

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
        sums = v.add_groups(sums, count)
    for result, total in zip(results, v.loop(k, 1, sums, add, start), strict=True):
        v.store(total, result)


# ---- the products ----

_nt, _nt_prefetching = (gemm_nt_microkernel(NT_MR, prefetch) for prefetch in (False, True))
_nt_row = gemm_nt_microkernel(1)
_nn, _nn_prefetching = (gemm_nn_microkernel(range(1, NN_MR + 1), p) for p in (False, True))
_nn_row, _nn_row_prefetching = (gemm_nn_microkernel([1], prefetch) for prefetch in (False, True))


@device_function
def gemm_nt_row(zero, A, B, C, shape, prefetch_distance):
    """Compute what gemm_nt does for one row of B."""
    keep_out_of_line()
    gemv_t(zero, A, B[0], C[0], (shape[0], shape[2]), prefetch_distance)


@device_function
def gemm_nt(zero, A, B, C, shape, prefetch_distance):
    """Compute C[c, i] += Σ_j A[i, j] B[c, j]; shape = (rows of A, rows of B, length of j).

    It prefetches prefetch_distance bytes ahead of its loads from A, unless that is NO_PREFETCH.
    """
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
                    if block == 0 and prefetch_distance != NO_PREFETCH:  # not for every block
                        _nt_prefetching(zero, nr, a, b, s, length, prefetch_distance)
                    else:
                        _nt(zero, nr, a, b, s, length, NO_PREFETCH)
                c += nr
    for i in range(full, m):
        c = 0
        for block in range(n_blocks):
            nr = (n - c) // (n_blocks - block)
            a, b, s = (A + i * lda, lda), (B + c * ldb, ldb), (C + c * ldc + i * size, ldc)
            _nt_row(zero, nr, a, b, s, k, NO_PREFETCH)
            c += nr


@device_function
def gemm_nn_row(zero, A, P, C, shape, prefetch_distance):
    """Compute what gemm_nn does for one row of C."""
    keep_out_of_line()
    (A, lda), (P, _, step), C, (_, n, k), size = A, P, C[0], shape, itemsize(zero)
    lanes, depth = VECTOR_BYTES // size, NN_KC_BYTES // size
    done = gemv_n(zero, (A, lda), (P, step), C, (n, k), prefetch_distance)
    for pc in range(done, k, depth):
        kc, v, p = min(depth, k - pc), 0, (P + pc * step, size, step)
        while v * lanes < n:
            nr = min(NN_NR, n // lanes - v)
            block = min(max(nr, 1) * lanes, n - v * lanes), kc
            a, c = (A + pc * lda + v * VECTOR_BYTES, lda), (C + v * VECTOR_BYTES, size)
            if nr == NN_NR and prefetch_distance != NO_PREFETCH:
                _nn_row_prefetching(zero, (1, nr), a, p, c, block, prefetch_distance)
            else:
                _nn_row(zero, (1, nr), a, p, c, block, NO_PREFETCH)
            v += max(nr, 1)


@device_function
def gemm_nn(zero, A, P, C, shape, prefetch_distance):
    """Compute C[c, j] += Σ_i P[c, i] A[i, j]; shape = (rows of C, columns of C, length of i).

    It prefetches prefetch_distance bytes ahead of its loads from A, unless that is NO_PREFETCH.
    """
    keep_out_of_line()
    (A, lda), (P, ldp, step), (C, ldc), (m, n, k), size = A, P, C, shape, itemsize(zero)
    lanes = VECTOR_BYTES // size
    packed, m_blocks = m >= PACK_MIN_ROWS, (m + NN_MR - 1) // NN_MR
    depth, columns = NN_KC_BYTES // size, max(n, 1)
    if packed:  # whole panels, in groups as even as possible
        n_panels = max(1, (n * size + PANEL_ROW_BYTES - 1) // PANEL_ROW_BYTES)
        parts = (n_panels * PANEL_ROW_BYTES + NN_NC_BYTES - 1) // NN_NC_BYTES
        columns = (n_panels + parts - 1) // parts * PANEL_ROW_BYTES // size
    panels = carray(stack_memory(LINE_BYTES), LINE_BYTES, np.uint8)
    if packed:
        panels = np.empty(min(depth, k) * NN_NC_BYTES + LINE_BYTES, np.uint8)
    for pc in range(0, k, depth):  # loop 4: chunks of the contracted length
        kc = min(depth, k - pc)
        for jc in range(0, n, columns):  # loop 3: panels packed at a time
            nc = min(columns, n - jc)
            first = A + pc * lda + jc * size, lda
            panel, full = (address(panels) + 63) & -64, nc // lanes  # aligned to a cache line
            if packed:
                panel_bytes, full = kc * PANEL_ROW_BYTES, (nc + lanes - 1) // lanes
                copy_rows(zero, first, (nc, kc), (panel, PANEL_ROW_BYTES, panel_bytes))
            v = 0
            while v * lanes < nc:  # loop 2: NR vectors, or fewer, or one that is not full
                nr = min(NN_NR, full - v)
                block = min(max(nr, 1) * lanes, nc - v * lanes), kc
                a = first[0] + v * VECTOR_BYTES, lda
                if packed:
                    a = panel + v * VECTOR_BYTES * kc, PANEL_ROW_BYTES
                c, s = 0, C + (jc + v * lanes) * size
                for m_block in range(m_blocks):  # loop 1: MR rows of P and C, or fewer
                    mr = (m - c) // (m_blocks - m_block)
                    p, row = (P + c * ldp + pc * step, ldp, step), (s + c * ldc, ldc)
                    once = m_block == 0 and prefetch_distance != NO_PREFETCH
                    if once and nr == NN_NR and not packed:
                        _nn_prefetching(zero, (mr, nr), a, p, row, block, prefetch_distance)
                    else:
                        _nn(zero, (mr, nr), a, p, row, block, NO_PREFETCH)
                    c += mr
                v += max(nr, 1)
