"""One pass over X: for a tile of rows the scores, the residual and the gradient, while the tile is in the cache.

Rows are cut into chunks, chunks into tiles, both by the shapes alone. Each chunk sums into a partial gradient of its own
and the partials are added in their order, so the result has the same bits whichever thread took which chunk.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core import config
from numba.extending import intrinsic, overload

from kernels import _check, _threads
from kernels._blocks import VECTOR_BYTES, axpy, dot, padded
from kernels._compile import compiled, inlined, part
from kernels._threads import ALONE, DONE, FINISH, HELP, LEAD, NEXT, all_done, take

TILE_BYTES = 2**18  # of X and scores: a part of the L2 cache
SCRATCH_BYTES = 3 * 2**20  # of a thread, however wide a row
MIN_TILE, MAX_TILE = 128, 1024  # a tile of fewer rows would wait for the gradient, read and written once for each
CHUNK_NANOSECONDS = 12_000  # less would hardly pay for a helper that is awake
MIN_CHUNK, MAX_CHUNKS = 96, 64  # rows that pay for a partial gradient of their own; chunks
SMALL = 100_000  # a measure of work below which there is one chunk anyway: not worth asking `geometry`
WIDE_D, WIDE_K = 256, 24  # features; classes or hidden units
SQUARE = 16  # a matrix is transposed in squares whose rows and columns both stay in the L1 cache
PARTIAL_BYTES = 2**23  # of all partial gradients together


@intrinsic
def address(typingctx, array):
    """Of the first number."""

    def generate(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


@part(fastmath={"reassoc", "contract"})
def total(numbers, n):
    """Sum of the first n numbers, in whatever order is fastest (and the same every time)."""
    result = numbers.dtype.type(0)
    for i in range(n):
        result += numbers[i]
    return result


@part
def add(sums, numbers):
    """sums += numbers"""
    for i in range(len(sums)):
        sums[i] += numbers[i]


@part
def not_finite(numbers, n):
    """How many of the first n numbers are nan or infinite."""
    count = 0
    for i in range(n):
        count += numbers[i] - numbers[i] != 0
    return count


@part
def transpose(A, rows, columns, B):
    """B = Aᵀ, of the first rows and columns of A."""
    for i in range(0, rows, SQUARE):
        for j in range(0, columns, SQUARE):
            for c in range(j, min(j + SQUARE, columns)):
                for r in range(i, min(i + SQUARE, rows)):
                    B[c, r] = A[r, c]


@part
def transposed(W):
    """Wᵀ, each row with room for whole vectors."""
    rows, columns = W.shape
    Wt = np.empty((columns, padded(rows)), W.dtype)
    transpose(W, rows, columns, Wt)
    return Wt


@part
def whole_vectors(n):
    """n, rounded up to whole vectors of either dtype."""
    return (n + 15) // 16 * 16


@part
def is_wide(D, K, size):
    """Whether K is to lie along the vectors: W and dW need not be turned then, but the scores of a tile, twice."""
    lanes = VECTOR_BYTES // size
    used = K / ((K + lanes - 1) // lanes * lanes)
    return D >= WIDE_D and K >= WIDE_K and used >= 0.75


@part
def sums_of(D, K, wide):
    """How many numbers the sums of dW take: D × K in whole vectors where K is wide, else K × D."""
    return D * whole_vectors(K) if wide else K * padded(D)


@compiled
def geometry(N, D, K, size, extra):
    """Rows of a tile, rows of a chunk, chunks, whether K is wide, and how many numbers the sums of a chunk take.

    `extra` is the number of other rows of scratch of a tile's length.
    """
    row = size * (D + K + extra)
    tile = max(1, min(MAX_TILE, max(MIN_TILE, TILE_BYTES // row), SCRATCH_BYTES // row))
    nanoseconds = 0.012 * size * D * (K + 2) + 0.2 * size * (K + 1)  # of a row; rough, for one core
    wide = is_wide(D, K, size)
    sums = sums_of(D, K, wide) + K
    chunks = min(MAX_CHUNKS, int(N * nanoseconds / CHUNK_NANOSECONDS), PARTIAL_BYTES // (size * sums))
    chunks = min(chunks, N // MIN_CHUNK)
    chunks = max(1, chunks - chunks % 2)  # two threads get the same number
    rows = ((N + chunks - 1) // chunks + 7) // 8 * 8
    tile = min(rows, tile + -tile % 16 if tile > 8 else tile)  # few are rows so wide that 16 would take twice SCRATCH_BYTES
    return tile, rows, (N + rows - 1) // rows, wide, sums


def one_pass(residual: Callable[..., Any]) -> Any:
    """The pass over X of a problem, for every thread to run until all chunks are taken.

    ``residual(S, n, y, s, scratch, extra, partial, want_loss, want_gradient)`` overwrites the scores S (K, T) of n
    samples with s ∂loss/∂score, and gives their weighted loss and how many of them cannot be: it adds what other
    gradients it has to `partial`.
    """

    def tile_pass(X, y, W, b, weight, tile, rows, scratch_rows, extra, partials, sums, progress, want_loss, want_gradient):
        N, D = X.shape
        K, size, like, here = W.shape[1], X.itemsize, X.dtype.type(0), np.intp(0)  # a literal 0 would be one more type
        fortran = X.strides[0] == size and (X.strides[1] != size or D == 1)
        # Another order is copied tile by tile; so is one whose rows, a multiple of a page apart, all fall upon the same
        # lines of the L1 cache, where that pays.
        wide = is_wide(D, K, size)
        copied = not wide and not fortran and ((X.strides[1] != size and D > 1) or (K > 4 and X.strides[0] % 4096 == 0))
        copy = np.empty((tile if copied else 0, D + 64 // size), X.dtype)
        Wt = transposed(W[: 0 if wide else D])
        Z = np.empty((tile if wide else 0, whole_vectors(K)), X.dtype)
        S = np.empty((K + scratch_rows + 1, padded(tile)), X.dtype)
        S, scratch, s = S[:K], S[K:-1], S[-1]
        s[:] = 1
        S_at, lds, ldw, ldg, sums_W = address(S), S.strides[0], Wt.strides[0], padded(D), sums_of(D, K, wide)
        chunk = take(progress, NEXT)
        while chunk * rows < N:
            partial = partials[chunk]
            partial[:] = 0
            loss, weights, bad = 0.0, 0.0, 0
            stop = min(N, (chunk + 1) * rows)
            for start in range(chunk * rows, stop, tile):
                n = min(tile, stop - start)
                X_at, ldx = address(X) + start * X.strides[0], X.strides[1] if fortran else X.strides[0]
                if copied:
                    for r in range(n):
                        for d in range(D):
                            copy[r, d] = X[start + r, d]
                    X_at, ldx = address(copy), copy.strides[0]
                if weight.size > 0:
                    for r in range(n):
                        s[r] = weight[start + r]
                        bad += s[r] < 0
                weights += total(s, n)
                # addresses are taken here and not above: Numba frees an array after its last mention
                if wide:
                    for r in range(n):
                        for k in range(K):
                            Z[r, k] = b[k] if b.size > 0 else like
                    W_at, Z_at, ldz = address(W), address(Z), Z.strides[0]
                    axpy(like, size, W_at, K * size, D, K, X_at, X.strides[0], X.strides[1], n, Z_at, ldz, here)
                    transpose(Z, n, K, S)
                else:
                    for k in range(K):
                        S[k] = b[k] if b.size > 0 else like
                    if fortran:
                        axpy(like, size, X_at, ldx, D, n, address(Wt), ldw, size, K, S_at, lds, here)
                    else:
                        dot(like, size, X_at, ldx, n, D, address(Wt), ldw, K, S_at, lds)
                labels, more = y[start : start + n], partial[sums_W + K :]
                part, wrong = residual(S, n, labels, s, scratch, extra, more, want_loss, want_gradient)
                loss += part
                bad += wrong
                if want_gradient:
                    ahead = 0 if copied or start + tile >= stop else tile * X.strides[0]
                    if wide:
                        transpose(S, K, n, Z)
                        Z_at, ldz, G_at = address(Z), Z.strides[0], address(partial)
                        axpy(like, size, Z_at, ldz, n, K, X_at, X.strides[1], X.strides[0], D, G_at, ldz, here)
                    elif fortran:
                        dot(like, size, X_at, ldx, D, n, S_at, lds, K, address(partial), ldg * size)
                    else:
                        axpy(like, size, X_at, ldx, n, D, S_at, lds, size, K, address(partial), ldg * size, ahead)
                    for k in range(K):
                        partial[sums_W + k] += total(S[k], n)
            sums[chunk, 0], sums[chunk, 1], sums[chunk, 2] = loss, weights, bad
            take(progress, DONE)
            chunk = take(progress, NEXT)

    return inlined(tile_pass)


@part
def average(partials, start, wide, W, b, reg, weights, dW, db):
    """Gradient of W and b from the sums that begin at `start` in each chunk's partial; how many numbers are not finite."""
    (D, K), penalised = W.shape, W.dtype.type(reg)
    sums_W = sums_of(D, K, wide)
    sums = partials[0, start : start + sums_W + K]
    for chunk in range(1, len(partials)):
        add(sums, partials[chunk, start:])
    if wide:
        for d in range(D):
            for k in range(K):
                dW[d, k] = sums[d * whole_vectors(K) + k]
    else:
        transpose(sums[:sums_W].reshape(K, padded(D)), K, D, dW)
    for d in range(D):
        for k in range(K):
            dW[d, k] = dW[d, k] / weights + penalised * W[d, k]
    for k in range(b.size):
        db[k] = sums[sums_W + k] / weights
    return not_finite(dW.reshape(-1), D * K) + not_finite(db, b.size)


@part
def totals(sums):
    """Sum of the losses, sum of the weights, and how much was wrong, of all chunks."""
    loss, weights, bad = 0.0, 0.0, 0.0
    for chunk in range(len(sums)):
        loss += sums[chunk, 0]
        weights += sums[chunk, 1]
        bad += sums[chunk, 2]
    return loss, weights, bad + (not 0 < weights < np.inf)


@part(fastmath={"reassoc", "contract"})
def squares(numbers):
    """Sum of the squares, in float64."""
    result = 0.0
    for i in range(len(numbers)):
        result += np.float64(numbers[i]) * np.float64(numbers[i])
    return result


@part
def penalty(W, reg):
    """½ reg ‖W‖²"""
    return 0.5 * reg * squares(W.reshape(-1))


@inlined
def first(b):
    """The bias of a model with one output; 0 where it has none."""
    return float(b[0]) if b.size > 0 else 0.0


def as_vector(b: Any, like: Any) -> Any:
    """An optional bias, or optional weights, as an array: empty for None, of one for a number."""
    return np.empty(0, like.dtype) if b is None else np.atleast_1d(b)


@overload(as_vector)
def _as_vector(b, like):
    if isinstance(b, (types.NoneType, types.Omitted)):
        return lambda b, like: np.empty(0, like.dtype)
    if isinstance(b, types.Array):
        return lambda b, like: b
    return lambda b, like: np.full(1, b, like.dtype)


@inlined
def alone(whole, X, y, W, b, reg, sample_weight, want_loss, want_gradient):
    """All of what `one_layer` compiled, on this thread, for a caller's own compiled code."""
    dW, db, s = np.empty(W.shape, X.dtype), np.empty(b.size, X.dtype), as_vector(sample_weight, X)
    none = np.empty((0, 0), X.dtype), np.empty((0, 0)), np.empty(0, np.int64)
    loss, _, _ = whole(X, y, W, b, s, reg, dW, db, want_loss, want_gradient, none[0], none[1], none[2], none[2], ALONE)
    return loss, dW, db


class Kernel(dict[int, Callable[..., Any]]):
    """By the bytes of a float, a compiled function of types that depend on it alone: called without asking for them."""

    def __init__(self, function: Any, signature: Callable[[Any], tuple[Any, ...]]) -> None:
        self.function, self.signature = function, signature

    def __missing__(self, size: int) -> Callable[..., Any]:
        arguments = self.signature(types.float32 if size == 4 else types.float64)
        self.function.compile(arguments)
        self[size] = self.function.overloads[arguments].entry_point
        return self[size]


def array(real: Any, dimensions: int, layout: str = "C", readonly: bool = False) -> Any:
    return types.Array(real, dimensions, layout, readonly=readonly)


def one_layer(residual: Callable[..., Any], scratch_rows: int, label: Any) -> Kernel:
    """Compile the gradient of scores X W + b from its residual, see `one_pass`; `label` is y's type, None for X's."""
    tile_pass = one_pass(residual)

    def whole(X, y, W, b, s, reg, dW, db, want_loss, want_gradient, partials, sums, progress, calls, role):
        (N, D), K = X.shape, W.shape[1]
        tile, rows, chunks, wide, numbers = geometry(N, D, K, X.itemsize, scratch_rows)
        if role == ALONE:
            partials, sums = np.empty((chunks, numbers), X.dtype), np.empty((chunks, 3))
            progress = np.zeros(2 * DONE, np.int64)
        if role == LEAD:
            take(calls, 0)  # the interpreter lock is free now: helpers that look out for this come
        if role != FINISH:
            tile_pass(X, y, W, b, s, tile, rows, scratch_rows, (), partials, sums, progress, want_loss, want_gradient)
        if role == HELP or (role == LEAD and not all_done(progress, chunks)):
            return 0.0, 0.0, False
        loss, weights, bad = totals(sums)
        if want_gradient:
            bad += average(partials, 0, wide, W, b, reg, weights, dW, db)
        if want_loss:
            loss = loss / weights + penalty(W, reg)
            bad += not np.isfinite(loss)
        return loss, bad, True

    whole.__module__, whole.__qualname__ = residual.__module__, "tiled"

    def signature(real: Any) -> tuple[Any, ...]:
        given = [array(real, 2, "A", True), array(label or real, 1, "C", True)]
        given += [array(real, dimensions, "C", True) for dimensions in (2, 1, 1)]
        flags = types.boolean, types.boolean
        return (*given, types.float64, array(real, 2), array(real, 1), *flags, *_threads.signature(real))

    return Kernel(compiled(whole), signature)


EMPTY = {dtype.itemsize: np.empty(0, dtype) for dtype in _check.FLOATS}  # no bias, no weights


def one_number(b: float | None, like: Any) -> Any:
    """The bias of a model with one output as an array."""
    if b is None:
        return EMPTY[like.itemsize]
    number = np.empty(1, like.dtype)
    number[0] = b
    return number


_geometry = Kernel(geometry, lambda _: (types.intp,) * 5)


def run(kernel: Kernel, D: int, K: int, scratch_rows: int, more: int, threads: int | None, call: Any) -> Any:
    """The loss and how much was wrong, by as many threads as are worth it; `more` other numbers are summed."""
    X = call[0]
    size = X.itemsize
    if threads == 1 or len(X) * (D + 16) * (K + 2) < SMALL:
        loss, bad, _ = kernel[size](*call, *_threads.NOBODY[size], _threads.ALONE)
        return loss, bad
    _, _, chunks, _, numbers = _geometry[size](len(X), D, K, size, scratch_rows)
    return _threads.run(kernel[size], chunks, numbers + more, threads, call)


def unless_interpreted(tiled: Callable[..., Any], instead: Callable[..., Any] | None) -> Any:
    """`tiled`, whose vectors exist only compiled: with NUMBA_DISABLE_JIT=1 `instead` stands in for it."""
    if instead is None or not config.DISABLE_JIT:
        return None if config.DISABLE_JIT else tiled
    return lambda *batch, threads=None: instead(*batch)


def run_one_layer(kernel, scratch_rows, X, y, W, b, reg, sample_weight, want_loss, want_gradient, threads):
    """loss, dW, db and how much was wrong by what `one_layer` made; `b` is an array, of length 0 for none."""
    (D, K), dtype = W.shape, X.dtype
    s = EMPTY[X.itemsize] if sample_weight is None else sample_weight
    dW, db = np.empty(W.shape, dtype), np.empty(b.shape, dtype)
    call = X, y, W, b, s, reg, dW, db, want_loss, want_gradient
    loss, bad = run(kernel, D, K, scratch_rows, 0, threads, call)
    return loss, dW, db, bad
