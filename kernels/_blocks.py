"""The two micro-kernels that every gradient here is made of: the one place that knows LLVM.

    dot    S[c, i] += Σ_j A[i, j] B[c, j]      contracts the axis that is contiguous in memory
    axpy   G[c, j] += Σ_i P[c, i] A[i, j]      contracts the other one

With A a tile of a C-ordered X (i a sample, j a feature), `dot` makes the scores and `axpy` the gradient; of a
Fortran-ordered X (i a feature, j a sample) it is the other way round. LLVM does not keep a block of sums in
registers by itself, so the blocks are written as explicit vectors. Arrays come as addresses and strides in bytes;
`like` is any number of their dtype. Rows of the result must be long enough for whole blocks, see `padded`.
"""

import os

import numpy as np
from llvmlite import ir
from numba.core import cgutils, codegen, config, types
from numba.extending import intrinsic

from kernels._compile import compiled, part


def _features() -> str:
    """What the target can do: Numba's choice, which NUMBA_CPU_NAME and NUMBA_CPU_FEATURES override."""
    if config.CPU_FEATURES is not None:
        return config.CPU_FEATURES
    return codegen.get_host_cpu_features() if config.CPU_NAME in (None, "host") else ""


def _vector_bytes(features: str) -> int:
    if "KERNELS_VECTOR_BYTES" in os.environ:
        return int(os.environ["KERNELS_VECTOR_BYTES"])
    return 64 if "+avx512f" in features else 32 if "+avx2" in features else 16


VECTOR_BYTES = _vector_bytes(_features())
FUSED = "+fma" in _features() or "+neon" in _features()
# Sums of one block stay in registers: 24 of the 32 that AVX-512 and NEON have, 12 of AVX2's 16.
DOT_ROWS, DOT_COLUMNS = (8, 3) if VECTOR_BYTES == 64 else (4, 3)
AXPY_ROWS, AXPY_VECTORS = (4, 4) if VECTOR_BYTES == 64 else (4, 2)
DOT_CHUNK, DOT_PANEL = 1024, 16  # bytes of each row, and rows, at a time: they stay in the L1 cache for all of B
AXPY_SUMS = 8  # at least, so that additions that take four cycles follow one another without a pause
PACKED_ROW, PACKED_FOR = AXPY_VECTORS * VECTOR_BYTES, 16  # bytes; rows of P that it takes to be worth a copy of A
AXPY_CHUNK = 128  # rows at a time, for the same reason
INTP = types.intp


@part
def padded(n):
    """n, rounded up to what a result's rows must hold: whole blocks of either kernel in either dtype.

    An odd number of lines of the cache, or rows a page apart would all fall upon the same few places of it.
    """
    return ((n + 15) // 16 | 1) * 16


class _Emit:
    """LLVM instructions on vectors of one float type."""

    def __init__(self, context, builder, like):
        self.builder = builder
        self.scalar = context.get_value_type(like)
        self.size = like.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.int = context.get_value_type(INTP)
        self.suffix = f"v{self.lanes}f{like.bitwidth}"

    def intp(self, n):
        return ir.Constant(self.int, n)

    def zero(self):
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def pointer(self, address, *offsets):
        for offset in offsets:
            address = self.builder.add(address, offset)
        return self.builder.inttoptr(address, self.scalar.as_pointer())

    def as_vector(self, pointer, j=None):
        pointer = pointer if j is None else self.builder.gep(pointer, [j])
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    def load(self, pointer, j=None):
        return self.builder.load(self.as_vector(pointer, j), align=self.size)

    def store(self, value, pointer):
        self.builder.store(value, self.as_vector(pointer), align=self.size)

    def splat(self, value, lanes=None):
        lanes = lanes or self.lanes
        one = self.builder.insert_element(
            ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
        )
        return self.builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

    def mask(self, count):
        """True in the first `count` lanes."""
        lanes = ir.Constant(ir.VectorType(self.int, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.splat(count))

    def masked_load(self, pointer, mask, j=None):
        pointer = self.as_vector(pointer, j)
        kind = ir.FunctionType(self.vector, [pointer.type, ir.IntType(32), mask.type, self.vector])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.{self.suffix}.p0")
        return self.builder.call(function, [pointer, ir.Constant(ir.IntType(32), self.size), mask, self.zero()])

    def prefetch(self, pointer, offset):
        """Ask for the line at `offset` bytes from there to be brought into the L2 cache; never faults."""
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        place = self.builder.gep(self.builder.bitcast(pointer, byte), [offset])
        self.builder.call(function, [place, ir.Constant(i32, 0), ir.Constant(i32, 2), ir.Constant(i32, 1)])

    def multiply_add(self, a, b, c):
        if not FUSED:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fma.{self.suffix}"), [a, b, c]
        )

    def loop(self, stop, step, carried, body, start=None):
        """for j in range(start or 0, stop, step): carried = body(j, carried); gives what is carried in the end."""
        builder = self.builder
        before, head = builder.block, builder.append_basic_block("head")
        inside, after = builder.append_basic_block("inside"), builder.append_basic_block("after")
        builder.branch(head)
        builder.position_at_end(head)
        j, values = builder.phi(self.int), [builder.phi(value.type) for value in carried]
        builder.cbranch(builder.icmp_signed("<", j, stop), inside, after)
        builder.position_at_end(inside)
        new = body(j, values)
        for phi, first, later in zip(
            [j, *values], [start or self.intp(0), *carried], [builder.add(j, self.intp(step)), *new], strict=True
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(later, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return values

    def when(self, condition, values, body):
        """body() if condition else values"""
        builder, before = self.builder, self.builder.block
        with builder.if_then(condition):
            new, inside = body(), builder.block
        phis = [builder.phi(value.type) for value in values]
        for phi, old, value in zip(phis, values, new, strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(value, inside)
        return phis

    def shuffle(self, a, b, lanes):
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))

    def sums(self, vectors):
        """The sum of each vector, as one vector: halves of two are added at a time, not lanes of each."""
        segment = self.lanes
        while segment > 1:
            half = segment // 2
            first = [lane for start in range(0, vectors[0].type.count, segment) for lane in range(start, start + half)]
            second = [lane + half for lane in first]
            if len(vectors) > 1:
                width = vectors[0].type.count
                first, second = (half_lanes + [lane + width for lane in half_lanes] for half_lanes in (first, second))
                pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
            else:
                pairs = [(vectors[0], vectors[0])]
            vectors = [self.builder.fadd(self.shuffle(a, b, first), self.shuffle(a, b, second)) for a, b in pairs]
            segment = half
        while len(vectors) > 1:  # more vectors than lanes: one after another
            both = list(range(2 * vectors[0].type.count))
            vectors = [self.shuffle(a, b, both) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        return vectors[0]


@intrinsic(prefer_literal=True)
def _dot_block(typingctx, like, A, lda, width, B, ldb, S, lds, rows, columns):
    """S[c, i] += Σ_j A[i, j] B[c, j] for `rows` rows i and `columns` rows c."""

    def generate(context, builder, signature, args):
        emit = _Emit(context, builder, like)
        _, A, lda, width, B, ldb, S, lds, _, _ = args
        R, C = rows.literal_value, columns.literal_value
        a_rows = [emit.pointer(A, builder.mul(emit.intp(i), lda)) for i in range(R)]
        b_rows = [emit.pointer(B, builder.mul(emit.intp(c), ldb)) for c in range(C)]

        def add(sums, load):
            a, b = [load(row) for row in a_rows], [load(row) for row in b_rows]
            return [emit.multiply_add(a[i], b[c], sums[c * R + i]) for c in range(C) for i in range(R)]

        whole = builder.and_(width, emit.intp(-emit.lanes))

        sums = emit.loop(whole, emit.lanes, [emit.zero()] * (C * R), lambda j, sums: add(sums, lambda row: emit.load(row, j)))
        mask = emit.mask(builder.sub(width, whole))
        sums = emit.when(
            builder.icmp_signed("<", whole, width), sums, lambda: add(sums, lambda row: emit.masked_load(row, mask, whole))
        )
        for c in range(C):
            total = emit.sums(sums[c * R : (c + 1) * R])
            pointer = builder.bitcast(emit.pointer(S, builder.mul(emit.intp(c), lds)), total.type.as_pointer())
            builder.store(builder.fadd(builder.load(pointer, align=emit.size), total), pointer, align=emit.size)
        return context.get_dummy_value()

    return types.void(like, *[INTP] * 7, rows, columns), generate


@intrinsic(prefer_literal=True)
def _axpy_block(typingctx, like, A, lda, n, width, P, ldp, step, G, ldg, ahead, rows, vectors, asks):
    """G[c, j] += Σ_i P[c, i] A[i, j] for `rows` rows c and `vectors` vectors of j, of which `width` numbers count.

    If it `asks`, for the lines `ahead` bytes from those of A: to look each time whether it should takes longer than it saves.
    """

    def generate(context, builder, signature, args):
        emit = _Emit(context, builder, like)
        _, A, lda, n, width, P, ldp, step, G, ldg, ahead, _, _, _ = args
        C, U = rows.literal_value, vectors.literal_value
        together = max(1, AXPY_SUMS // (C * U))  # rows of A, each with sums of its own: one sum would wait for itself
        mask = emit.mask(builder.sub(width, emit.intp((U - 1) * emit.lanes)))
        results = [
            emit.pointer(G, builder.mul(emit.intp(c), ldg), emit.intp(u * VECTOR_BYTES)) for c in range(C) for u in range(U)
        ]
        factors = [builder.add(P, builder.mul(emit.intp(c), ldp)) for c in range(C)]

        def add(i, sums):
            row = emit.pointer(A, builder.mul(i, lda))
            a = [emit.load(row, emit.intp(u * emit.lanes)) for u in range(U - 1)]
            a.append(emit.masked_load(row, mask, emit.intp((U - 1) * emit.lanes)))
            for u in range(U if asks.literal_value else 0):
                emit.prefetch(row, builder.add(ahead, emit.intp(u * VECTOR_BYTES)))
            place = builder.mul(i, step)
            p = [emit.splat(builder.load(emit.pointer(factor, place), align=emit.size)) for factor in factors]
            return [emit.multiply_add(p[c], a[u], sums[c * U + u]) for c in range(C) for u in range(U)]

        def add_together(i, sums):
            split = [sums[t * C * U : (t + 1) * C * U] for t in range(together)]
            return [total for t in range(together) for total in add(builder.add(i, emit.intp(t)), split[t])]

        sums = [emit.load(result) for result in results]
        start = emit.intp(0)
        if together > 1:
            start = builder.and_(n, emit.intp(-together))
            split = emit.loop(start, together, sums + [emit.zero()] * (C * U * (together - 1)), add_together)
            while len(split) > C * U:
                half = len(split) // 2
                split = [builder.fadd(a, b) for a, b in zip(split[:half], split[half:], strict=True)]
            sums = split
        for result, total in zip(results, emit.loop(n, 1, sums, add, start), strict=True):
            emit.store(total, result)
        return context.get_dummy_value()

    return types.void(like, *[INTP] * 10, rows, vectors, asks), generate


@intrinsic
def _not_inlined(typingctx):
    """Keep the function that calls this a function: LLVM would copy all its blocks to each place that it is called from."""

    def generate(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _pack(typingctx, like, A, lda, n, width, to):
    """Rows of `width` numbers, AXPY_VECTORS vectors apart from `to` on: each in lines of its own, all next to one another."""

    def generate(context, builder, signature, args):
        emit = _Emit(context, builder, like)
        _, A, lda, n, width, to = args
        whole = builder.and_(width, emit.intp(-emit.lanes))
        mask = emit.mask(builder.sub(width, whole))

        def row(i, _):
            source, copy = emit.pointer(A, builder.mul(i, lda)), emit.pointer(to, builder.mul(i, emit.intp(PACKED_ROW)))

            def vector(j, _):
                emit.store(emit.load(source, j), builder.gep(copy, [j]))
                return []

            emit.loop(whole, emit.lanes, [], vector)
            with builder.if_then(builder.icmp_signed("<", whole, width)):
                emit.store(emit.masked_load(source, mask, whole), builder.gep(copy, [whole]))
            return []

        emit.loop(n, 1, [], row)
        return context.get_dummy_value()

    return types.void(like, *[INTP] * 5), generate


@compiled
def dot(like, size, A, lda, n_i, n_j, B, ldb, n_c, S, lds):
    """S[c, i] += Σ_j A[i, j] B[c, j], numbers of `size` bytes."""
    _not_inlined()
    chunk = DOT_CHUNK // size
    blocks = (n_c + DOT_COLUMNS - 1) // DOT_COLUMNS
    whole = n_i // DOT_ROWS * DOT_ROWS
    rows = max(DOT_PANEL, DOT_PANEL * chunk // n_j // DOT_ROWS * DOT_ROWS)  # more of them where they are short
    for panel in range(0, whole, rows):
        for j in range(0, n_j, chunk):
            width = min(chunk, n_j - j)
            c = 0
            for block in range(blocks):
                count = (n_c - c) // (blocks - block)
                b = B + c * ldb + j * size
                for i in range(panel, min(panel + rows, whole), DOT_ROWS):
                    a, s = A + i * lda + j * size, S + c * lds + i * size
                    if count == 3:
                        _dot_block(like, a, lda, width, b, ldb, s, lds, DOT_ROWS, 3)
                    elif count == 2:
                        _dot_block(like, a, lda, width, b, ldb, s, lds, DOT_ROWS, 2)
                    else:
                        _dot_block(like, a, lda, width, b, ldb, s, lds, DOT_ROWS, 1)
                c += count
    for i in range(whole, n_i):
        for c in range(n_c):
            _dot_block(like, A + i * lda, lda, n_j, B + c * ldb, ldb, S + c * lds + i * size, lds, 1, 1)


def _axpy_rows(rows, asks):
    """`_axpy_block` of any number of vectors, for a fixed number of rows."""

    @part
    def axpy_rows(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, vectors):
        if AXPY_VECTORS == 4 and vectors == 4:
            _axpy_block(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, rows, 4, asks)
        elif AXPY_VECTORS == 4 and vectors == 3:
            _axpy_block(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, rows, 3, asks)
        elif vectors == 2:
            _axpy_block(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, rows, 2, asks)
        else:
            _axpy_block(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, rows, 1, asks)

    return axpy_rows


def _axpy_any(asks):
    """`_axpy_block` of any number of rows and vectors."""
    one, two, three, four = (_axpy_rows(rows, asks) for rows in range(1, 5))

    @part
    def axpy_any(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, rows, vectors):
        if rows == 4:
            four(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, vectors)
        elif rows == 3:
            three(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, vectors)
        elif rows == 2:
            two(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, vectors)
        else:
            one(like, a, lda, n, width, p, ldp, step, g, ldg, ahead, vectors)

    return axpy_any


_axpy_quiet, _axpy_asking = _axpy_any(0), _axpy_any(1)


@compiled
def axpy(like, size, A, lda, n_i, n_j, P, ldp, step, n_c, G, ldg, ahead):
    """G[c, j] += Σ_i P[c, i] A[i, j], the P[c, i] `step` bytes apart; may ask for the lines `ahead` bytes from those of A."""
    _not_inlined()
    lanes = VECTOR_BYTES // size
    all_vectors = (n_j + lanes - 1) // lanes
    j_blocks = (all_vectors + AXPY_VECTORS - 1) // AXPY_VECTORS
    c_blocks = (n_c + AXPY_ROWS - 1) // AXPY_ROWS
    packed = np.empty(AXPY_CHUNK * PACKED_ROW // 8 + 8 if n_c >= PACKED_FOR else 0)
    for i in range(0, n_i, AXPY_CHUNK):
        n = min(AXPY_CHUNK, n_i - i)
        v = 0
        for j_block in range(j_blocks):
            vectors = (all_vectors - v) // (j_blocks - j_block)
            j = v * lanes
            width = min(vectors * lanes, n_j - j)
            c, a, stride = 0, A + i * lda + j * size, lda
            if n_c >= PACKED_FOR:
                line = (np.intp(packed.ctypes.data) + 63) & -64
                _pack(like, a, lda, n, width, line)
                a, stride = line, PACKED_ROW
            for c_block in range(c_blocks):
                count = (n_c - c) // (c_blocks - c_block)
                p, g = P + c * ldp + i * step, G + c * ldg + j * size
                if c_blocks == 1 and ahead != 0:  # with more there is enough to do while the lines come by themselves
                    _axpy_asking(like, a, stride, n, width, p, ldp, step, g, ldg, ahead, count, vectors)
                else:
                    _axpy_quiet(like, a, stride, n, width, p, ldp, step, g, ldg, ahead, count, vectors)
                c += count
            v += vectors
