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
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import device_function
from .vectors import VECTOR_BYTES, VectorBuilder, address, itemsize, keep_out_of_line

# MR × NR accumulators, in registers: at most 24 of AVX-512's 32, 12 of AVX2's 16 and NEON's 32.
# 16 registers leave room for four factors only, which are therefore loaded one by one.
NT_MR, NT_NR = (8, 3) if VECTOR_BYTES == 64 else (4, 3)  # rows of A; rows of B
NN_MR, NN_NR = (4, 4) if VECTOR_BYTES == 64 else (6, 2)  # rows of P and C; vectors of j
# Blocks of A stay in L1: NT_MC rows of NT_KC_BYTES for all rows of B; for all rows of P, as many
# rows as make NN_KC_BYTES in a column. Of those, NN_NC_BYTES each are packed at a time, into L2.
NT_MC, NT_KC_BYTES = 16, 1024
NN_KC_BYTES, NN_NC_BYTES = 1024, 512
# One row of C, several vectors long, is read and written once for this many rows of A.
NV_ROWS, NV_MIN_VECTORS = 8, 8
NARROW = 4  # rows of as many numbers are transposed in registers
NN_ACCUMULATORS = 8  # independent accumulators at least, to hide the latency of multiply_add
PANEL_ROW_BYTES = NN_NR * VECTOR_BYTES
ROWS_AHEAD = 8  # which are prefetched while a row is copied
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
                b, new = [load(row) for row in b_rows], []
                for i, row in enumerate(a_rows):  # one of A at a time: more would not fit
                    a = load(row)
                    new += [v.multiply_add(a, b[c], sums[i * columns + c]) for c in range(columns)]
                return new

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
                total = v.horizontal_sums(sums[c::columns])
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
    (columns of A in the block, k). A block of 0 vectors is one vector that is not full; no other is
    read through a mask, which costs some processors a second instruction. With `prefetch`, it
    prefetches prefetch_distance bytes ahead of its loads from A. `prefetch` is fixed at compile
    time: a test in the loop would cost more than it saves.
    """

    @intrinsic
    def microkernel(typingctx, zero, blocks, A, P, C, shape, prefetch_distance):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (mr, nr), A, P, C, shape = (v.unpack(pack) for pack in args[1:6])
            distance = args[6] if prefetch else None
            sizes = {
                (r, u): r * (NN_NR + 1) + u for r in range(1, NN_MR + 1) for u in range(NN_NR + 1)
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
        while len(sums) > count:
            half = len(sums) // 2
            pairs = zip(sums[:half], sums[half:], strict=True)
            sums = [builder.fadd(a, b) for a, b in pairs]
    for result, total in zip(results, v.loop(k, 1, sums, add, start), strict=True):
        v.store(total, result)


def gemv_t_microkernel(rows):
    """Return the micro-kernel of one row of B and m rows of A, `rows` of which it reads at a time.

    It computes C[i] += Σ_j A[i, j] B[j] for i < m and j < k. Where fewer rows are left, the last
    one takes the place of those that are missing, and what it adds to the padding of C is not used.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, B, C, m, k):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda), (B, C, m, k) = v.unpack(args[1]), args[2:]
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
                v.prefetch_starts(a_rows, builder.mul(lda, v.intp(rows)))

                def add(sums, b, load):
                    return [
                        v.multiply_add(load(a), b, s) for a, s in zip(a_rows, sums, strict=True)
                    ]

                def add_vector(j, sums):
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

        return types.void(zero, _PAIR, _INTP, _INTP, _INTP, _INTP), generate

    return microkernel


def gemv_n_microkernel(rows):
    """Return the micro-kernel of one row of C and k rows of A, at most `rows`, read side by side.

    It computes C[j] += Σ_i P[i] A[i, j] for i < k and j < n. The last row, times 0, takes the place
    of those that are missing.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, P, C, n, k):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda), (P, step), (C, n, k) = v.unpack(args[1]), v.unpack(args[2]), args[3:]
            a_rows, p, c = [], [], v.pointer(C)
            for i in range(rows):
                there, last = builder.icmp_signed("<", v.intp(i), k), builder.sub(k, v.intp(1))
                row = builder.select(there, v.intp(i), last)
                a_rows.append(v.pointer(A, builder.mul(row, lda)))
                number = builder.load(v.pointer(P, builder.mul(row, step)), align=v.size)
                p.append(v.splat(builder.select(there, number, ir.Constant(v.scalar, 0.0))))
            v.prefetch_starts(a_rows, builder.mul(lda, v.intp(rows)))
            full = builder.and_(n, v.intp(-v.lanes))
            mask = v.mask(builder.sub(n, full))

            def add(j, load):
                total = v.load(c, j)  # rows of C are padded
                for i in range(rows):
                    total = v.multiply_add(p[i], load(a_rows[i]), total)
                v.store(total, builder.gep(c, [j]))
                return []

            v.loop(full, v.lanes, [], lambda j, _: add(j, lambda row: v.load(row, j)))
            with builder.if_then(builder.icmp_signed("<", full, n)):
                add(full, lambda row: v.masked_load(row, mask, full))
            return context.get_dummy_value()

        return types.void(zero, _PAIR, _PAIR, _INTP, _INTP, _INTP), generate

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


def copy_microkernel(gathered):
    """Return the micro-kernel that copies `shape` = (columns, rows) of A into B in panels.

    Rows of A are contiguous. A panel has NN_NR vectors of each row. B is (address, row_stride,
    panel_stride); the panels of a row are contiguous if the latter is PANEL_ROW_BYTES. Each row is
    read whole, since rows of one panel alone are all in different pages. With `gathered`, A is
    followed by the address of the numbers of its rows.
    """

    @intrinsic
    def microkernel(typingctx, zero, A, shape, B):
        def generate(context, builder, signature, args):
            v = VectorBuilder(builder, zero)
            (A, lda, *numbers), (width, k), (B, ldb, step) = (v.unpack(m) for m in args[1:4])
            columns = NN_NR * v.lanes  # of a panel
            whole = builder.sdiv(width, v.intp(columns))
            left = builder.sub(width, builder.mul(whole, v.intp(columns)))
            full = builder.and_(left, v.intp(-v.lanes))
            mask = v.mask(builder.sub(left, full))

            def row_offset(i):
                for place in numbers:
                    pointer = builder.inttoptr(place, v.int.as_pointer())
                    i = builder.load(builder.gep(pointer, [i]))
                return builder.mul(i, lda)

            def copy_row(i, _):
                row, copy = row_offset(i), builder.add(B, builder.mul(i, ldb))
                # The hardware foresees no jump to a row.
                later = builder.add(i, v.intp(ROWS_AHEAD))
                there = builder.icmp_signed("<", later, k)
                ahead = builder.sub(row_offset(builder.select(there, later, i)), row)

                def ends(panel):
                    start = builder.mul(panel, v.intp(PANEL_ROW_BYTES))
                    return v.pointer(A, row, start), v.pointer(copy, builder.mul(panel, step))

                def copy_vector(source, copy, j):
                    if gathered:
                        v.prefetch(builder.gep(source, [j]), ahead)
                    v.store(v.load(source, j), builder.gep(copy, [j]))
                    return []

                def copy_panel(panel, _):
                    source, copy = ends(panel)
                    if not gathered:
                        v.prefetch(source, ahead)
                    for u in range(NN_NR):
                        copy_vector(source, copy, v.intp(u * v.lanes))
                    return []

                v.loop(whole, 1, [], copy_panel)
                source, copy = ends(whole)
                v.loop(full, v.lanes, [], lambda j, _: copy_vector(source, copy, j))
                with builder.if_then(builder.icmp_signed("<", full, left)):
                    v.store(v.masked_load(source, mask, full), builder.gep(copy, [full]))
                return []

            v.loop(k, 1, [], copy_row)
            return context.get_dummy_value()

        return types.void(zero, _TRIPLE if gathered else _PAIR, _PAIR, _TRIPLE), generate

    return microkernel


_copy_rows, _gather_rows = copy_microkernel(False), copy_microkernel(True)


@intrinsic
def _copy_transposed(typingctx, zero, A, shape, B):
    """Copy `shape` = (columns, rows) of A, which has a column_stride, column by column."""

    def generate(context, builder, signature, args):
        v = VectorBuilder(builder, zero)
        (A, lda, step), (width, k), (B, ldb) = (v.unpack(matrix) for matrix in args[1:4])

        def copy_column(j, _):
            source = builder.add(A, builder.mul(j, step))
            copy = builder.add(B, builder.mul(j, v.intp(v.size)))

            def copy_number(i, _):
                number = builder.load(v.pointer(source, builder.mul(i, lda)), align=v.size)
                builder.store(number, v.pointer(copy, builder.mul(i, ldb)), align=v.size)
                return []

            v.loop(k, 1, [], copy_number)
            return []

        v.loop(width, 1, [], copy_column)
        return context.get_dummy_value()

    return types.void(zero, _TRIPLE, _PAIR, _PAIR), generate


@device_function
def copy_block(zero, A, rows, shape, B):
    """Copy `shape` = (columns, rows) of A to the address B; return the strides of the copy.

    A is (address, row_stride, column_stride); `rows` has the numbers of its rows to copy, or is
    empty, for consecutive rows. What is contiguous in A remains so, and is padded to whole vectors;
    B has room for `numbers_of_block`.
    """
    keep_out_of_line()
    (A, lda, step), (width, k), size = A, shape, itemsize(zero)
    if lda == size != step and rows.size == 0:
        ldb = padded(k) * size
        _copy_rows(zero, (A, step), (k, width), (B, ldb, PANEL_ROW_BYTES))
        return size, ldb
    ldb = padded(width) * size
    if step == size or width == 1:
        if rows.size > 0:
            _gather_rows(zero, (A, lda, address(rows)), shape, (B, ldb, PANEL_ROW_BYTES))
        else:
            _copy_rows(zero, (A, lda), shape, (B, ldb, PANEL_ROW_BYTES))
        return ldb, size
    for r in range(k if rows.size > 0 else 1):
        a = A + rows[r] * lda if rows.size > 0 else A
        block = width, 1 if rows.size > 0 else k
        _copy_transposed(zero, (a, lda, step), block, (B + r * ldb, ldb))
    return ldb, size


@device_function
def numbers_of_block(width, k):
    """Return how many numbers a copy of (k, width) has room for, in either order."""
    return max(k * padded(width), width * padded(k))


# ---- the products ----

_nt_2, _nt_3 = (gemm_nt_microkernel(NT_MR, columns) for columns in (2, 3))
_nt_row_2, _nt_row_3 = (gemm_nt_microkernel(1, columns) for columns in (2, 3))
_gemv_t = gemv_t_microkernel(NT_MR)
_narrow_t, _narrow_n = narrow_microkernel(True), narrow_microkernel(False)


@device_function
def gemm_nt(zero, A, B, C, shape):
    """Compute C[c, i] += Σ_j A[i, j] B[c, j]; shape = (rows of A, rows of B, length of j)."""
    keep_out_of_line()
    (A, lda), (B, ldb), (C, ldc), (m, n, k), size = A, B, C, shape, itemsize(zero)
    if n == 1:
        whole = m & -(VECTOR_BYTES // size) if 2 <= k <= NARROW and lda == k * size else 0
        if whole > 0:
            _narrow_t(zero, A, B, C, whole, k)
        _gemv_t(zero, (A + whole * lda, lda), B, C + whole * size, m - whole, k)
        return
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
                    else:
                        _nt_2(zero, a, b, s, length)
                c += nr
    for i in range(full, m):
        c = 0
        for block in range(n_blocks):
            nr = (n - c) // (n_blocks - block)
            a, b, s = (A + i * lda, lda), (B + c * ldb, ldb), (C + c * ldc + i * size, ldc)
            if nr == 3:
                _nt_row_3(zero, a, b, s, k)
            else:
                _nt_row_2(zero, a, b, s, k)
            c += nr


_gemv_n_half, _gemv_n = gemv_n_microkernel(NV_ROWS // 2), gemv_n_microkernel(NV_ROWS)
_nn_plain, _nn_prefetching = gemm_nn_microkernel(False), gemm_nn_microkernel(True)


@device_function
def gemm_nn(zero, A, P, C, shape, prefetch_distance):
    """Compute C[c, j] += Σ_i P[c, i] A[i, j]; shape = (rows of C, columns of C, length of i).

    It prefetches prefetch_distance bytes ahead of its loads from A, unless that is NO_PREFETCH.
    """
    keep_out_of_line()
    (A, lda), (P, ldp, step), (C, ldc), (m, n, k), size = A, P, C, shape, itemsize(zero)
    lanes = VECTOR_BYTES // size
    n_vectors = (n + lanes - 1) // lanes
    if m == 1 and n_vectors >= NV_MIN_VECTORS:
        for i in range(0, k, NV_ROWS):
            rows, numbers, left = (A + i * lda, lda), (P + i * step, step), k - i
            if left > NV_ROWS // 2:
                _gemv_n(zero, rows, numbers, C, n, min(left, NV_ROWS))
            else:
                _gemv_n_half(zero, rows, numbers, C, n, left)
        return
    if m == 1 and 2 <= n <= NARROW and lda == n * size and step == size:
        whole = k & -lanes
        _narrow_n(zero, A, P, C, whole, n)
        A, P, k = A + whole * lda, P + whole * size, k - whole
    packed, m_blocks = m >= PACK_MIN_ROWS, (m + NN_MR - 1) // NN_MR
    depth, columns = NN_KC_BYTES // size, max(n, 1)
    if packed:  # whole panels, in groups as even as possible
        n_panels = max(1, (n * size + PANEL_ROW_BYTES - 1) // PANEL_ROW_BYTES)
        parts = (n_panels * PANEL_ROW_BYTES + NN_NC_BYTES - 1) // NN_NC_BYTES
        columns = (n_panels + parts - 1) // parts * PANEL_ROW_BYTES // size
    panels = np.empty(min(depth, k) * NN_NC_BYTES + 64 if packed else 0, np.uint8)
    for pc in range(0, k, depth):  # loop 4: chunks of the contracted length
        kc = min(depth, k - pc)
        for jc in range(0, n, columns):  # loop 3: panels packed at a time
            nc = min(columns, n - jc)
            first = A + pc * lda + jc * size, lda
            panel, full = (address(panels) + 63) & -64, nc // lanes  # aligned to a cache line
            if packed:
                panel_bytes, full = kc * PANEL_ROW_BYTES, (nc + lanes - 1) // lanes
                _copy_rows(zero, first, (nc, kc), (panel, PANEL_ROW_BYTES, panel_bytes))
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
                    p = P + c * ldp + pc * step, ldp, step
                    # With more rows of C, the hardware prefetcher keeps up with the arithmetic.
                    if m_blocks == 1 and prefetch_distance != NO_PREFETCH:
                        distance = prefetch_distance
                        _nn_prefetching(zero, (mr, nr), a, p, (s + c * ldc, ldc), block, distance)
                    else:
                        _nn_plain(zero, (mr, nr), a, p, (s + c * ldc, ldc), block, NO_PREFETCH)
                    c += mr
                v += max(nr, 1)
