"""One pass over X: for a tile of rows the scores, the residual and the gradient, while the tile is in the cache.

Rows are cut into chunks, chunks into tiles, both by the shapes alone. Each chunk sums into a partial gradient of its own
and the partials are added in their order, so the result has the same bits whichever thread took which chunk.
"""

import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import config
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from kernels import _check
from kernels._blocks import axpy, dot, padded
from kernels._compile import compiled, inlined

Array = NDArray[Any]
TILE_BYTES = 2**18  # of X and scores: a part of the L2 cache
MIN_TILE, MAX_TILE = 128, 1024  # a tile of fewer rows would wait for the gradient, read and written once for each
CHUNK_NANOSECONDS = 30_000  # a thread takes about that long to start
MAX_CHUNKS = 64
PARTIAL_BYTES = 2**23  # of all partial gradients together


# ---- compiled: the pass ----


@compiled
def geometry(N, D, K, size, extra):
    """Rows of a tile, rows of a chunk, chunks. `extra` is the number of other rows of scratch of a tile's length."""
    tile = min(MAX_TILE, max(MIN_TILE, TILE_BYTES // (size * (D + K + extra))))
    nanoseconds = 0.012 * size * D * (K + 2) + 0.2 * size * (K + 1)  # of a row; rough, for one core
    chunks = min(MAX_CHUNKS, int(N * nanoseconds / CHUNK_NANOSECONDS), PARTIAL_BYTES // (size * D * K))
    chunks = max(1, min(chunks, max(4, N // 256)))  # fewer rows would hardly pay for a partial gradient of their own
    rows = ((N + chunks - 1) // chunks + 7) // 8 * 8
    tile = min(rows, padded(tile))
    return tile, rows, (N + rows - 1) // rows


@intrinsic
def _take(typingctx, queue):
    """queue[0]++ and what it was, in one step that no other thread can interrupt."""

    def generate(context, builder, signature, args):
        array = context.make_array(queue)(context, builder, args[0])
        return builder.atomic_rmw("add", array.data, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(queue), generate


@inlined
def address(array):
    return np.intp(array.ctypes.data)


@compiled(fastmath={"reassoc", "contract"})
def total(numbers, n):
    """Sum of the first n numbers, in whatever order is fastest (and the same every time)."""
    result = numbers.dtype.type(0)
    for i in range(n):
        result += numbers[i]
    return result


@inlined
def not_finite(numbers, n):
    """How many of the first n numbers are nan or infinite."""
    count = 0
    for i in range(n):
        count += numbers[i] - numbers[i] != 0
    return count


@inlined
def transposed(W):
    """Wᵀ, each row with room for whole vectors."""
    rows, columns = W.shape
    Wt = np.empty((columns, padded(rows)), W.dtype)
    for i in range(rows):
        for j in range(columns):
            Wt[j, i] = W[i, j]
    return Wt


def one_pass(residual: Callable[..., Any]) -> Any:
    """The pass over X of a problem, for every thread to run until all chunks are taken.

    ``residual(S, n, y, s, scratch, extra, partial, want_loss, want_gradient)`` overwrites the scores S (K, T) of n
    samples with s ∂loss/∂score, and gives their weighted loss and how many of them cannot be: it adds what other
    gradients it has to `partial`.
    """

    def tile_pass(X, y, W, b, sample_weight, tile, rows, scratch_rows, extra, partials, sums, queue, want_loss, want_gradient):
        N, D = X.shape
        K, size, like = W.shape[1], X.itemsize, X.dtype.type(0)
        fortran = X.strides[0] == size and (X.strides[1] != size or D == 1)
        # Another order is copied tile by tile; so is one whose rows, a multiple of a page apart, all fall upon the same
        # lines of the L1 cache, where that pays.
        copied = not fortran and ((X.strides[1] != size and D > 1) or (K > 4 and X.strides[0] % 4096 == 0))
        copy = np.empty((tile if copied else 0, D + 64 // size), X.dtype)
        Wt = transposed(W)
        S = np.empty((K, padded(tile)), X.dtype)
        scratch = np.empty((scratch_rows, padded(tile)), X.dtype)
        s = np.empty(padded(tile), X.dtype)
        s[:] = 1
        S_at, lds, ldw, ldg = address(S), S.strides[0], Wt.strides[0], padded(D)
        chunk = _take(queue)
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
                if sample_weight.size > 0:
                    for r in range(n):
                        s[r] = sample_weight[start + r]
                        bad += s[r] < 0
                weights += total(s, n)
                for k in range(K):
                    S[k] = b[k] if b.size > 0 else like
                W_at = address(Wt)  # here and not above: Numba frees an array after its last mention
                if fortran:
                    axpy(like, size, X_at, ldx, D, n, W_at, ldw, K, S_at, lds)
                else:
                    dot(like, size, X_at, ldx, n, D, W_at, ldw, K, S_at, lds)
                if not want_gradient:  # a gradient shows an infinity in X by itself, a loss may not: p = 0, relu
                    for k in range(K):
                        bad += not_finite(S[k], n)
                labels, more = y[start : start + n], partial[K * ldg + K :]
                part, wrong = residual(S, n, labels, s, scratch, extra, more, want_loss, want_gradient)
                loss += part
                bad += wrong
                if want_gradient:
                    if fortran:
                        dot(like, size, X_at, ldx, D, n, S_at, lds, K, address(partial), ldg * size)
                    else:
                        axpy(like, size, X_at, ldx, n, D, S_at, lds, K, address(partial), ldg * size)
                    for k in range(K):
                        partial[K * ldg + k] += total(S[k], n)
            sums[chunk, 0], sums[chunk, 1], sums[chunk, 2] = loss, weights, bad
            chunk = _take(queue)

    return inlined(tile_pass)


@inlined
def average(partials, start, W, b, reg, weights, dW, db):
    """Gradient of W and b from the sums that begin at `start` in each chunk's partial; how many numbers are not finite."""
    D, K = W.shape
    ldg = padded(D)
    sums = partials[0, start : start + K * ldg + K]
    for chunk in range(1, len(partials)):
        for i in range(K * ldg + K):
            sums[i] += partials[chunk, start + i]
    bad = 0
    for d in range(D):
        for k in range(K):
            dW[d, k] = sums[k * ldg + d] / weights + reg * W[d, k]
        bad += not_finite(dW[d], K)
    for k in range(b.size):
        db[k] = sums[K * ldg + k] / weights
    return bad + not_finite(db, b.size) + not_finite(b, b.size)


@inlined
def totals(sums):
    """Sum of the losses, sum of the weights, and how much was wrong, of all chunks."""
    loss, weights, bad = 0.0, 0.0, 0.0
    for chunk in range(len(sums)):
        loss += sums[chunk, 0]
        weights += sums[chunk, 1]
        bad += sums[chunk, 2]
    return loss, weights, bad + (not 0 < weights < np.inf)


@inlined
def penalty(W, reg):
    """½ reg ‖W‖²"""
    result = 0.0
    for d in range(W.shape[0]):
        for k in range(W.shape[1]):
            result += 0.5 * reg * W[d, k] * W[d, k]
    return result


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
def alone(whole, scratch_rows, X, y, W, b, reg, sample_weight, want_loss, want_gradient):
    """All of what `one_layer` compiled, on this thread, for a caller's own compiled code."""
    N, D = X.shape
    K = W.shape[1]
    tile, rows, chunks = geometry(N, D, K, X.itemsize, scratch_rows)
    partials = np.empty((chunks, K * padded(D) + K), X.dtype)
    sums, queue = np.empty((chunks, 3)), np.zeros(1, np.int64)
    dW, db = np.empty((D, K), X.dtype), np.empty(b.size, X.dtype)
    s = as_vector(sample_weight, X)
    loss, _ = whole(X, y, W, b, s, reg, tile, rows, partials, sums, queue, dW, db, want_loss, want_gradient, True)
    return loss, dW, db


def one_layer(residual: Callable[..., Any], scratch_rows: int) -> Any:
    """Compile the gradient of scores X W + b from its residual; see `one_pass`.

    The compiled function takes chunks of the work until there are none; called with `finish` once all are done, it
    averages what is in `partials` and `sums` into `dW` and `db`, and gives the loss and how much was wrong.
    """
    tile_pass = one_pass(residual)

    def whole(X, y, W, b, sample_weight, reg, tile, rows, partials, sums, queue, dW, db, want_loss, want_gradient, finish):
        tile_pass(X, y, W, b, sample_weight, tile, rows, scratch_rows, (), partials, sums, queue, want_loss, want_gradient)
        if not finish:
            return 0.0, 0.0
        loss, weights, bad = totals(sums)
        if want_gradient:
            bad += average(partials, 0, W, b, reg, weights, dW, db)
        if want_loss:
            loss = loss / weights + penalty(W, reg)
            bad += not np.isfinite(loss) or not_finite(b, b.size) > 0
        return loss, bad

    whole.__module__, whole.__qualname__ = residual.__module__, "tiled"
    return compiled(whole)


# ---- Python: compiled once for each dtype, run by as many threads as there is work for ----


class Kernel:
    """A compiled function whose types depend on one dtype alone: called without asking for the types of its arguments."""

    def __init__(self, function: Any, signature: Callable[[Any], tuple[Any, ...]]) -> None:
        self.function, self.signature = function, signature
        self.entry_points: dict[Any, Callable[..., Any]] = {}

    def __getitem__(self, dtype: np.dtype[Any]) -> Callable[..., Any]:
        if dtype not in self.entry_points:
            real = numba.from_dtype(dtype)
            arguments = self.signature(real)
            self.function.compile(arguments)
            self.entry_points[dtype] = self.function.overloads[arguments].entry_point
        return self.entry_points[dtype]


def array(real: Any, dimensions: int, layout: str = "C", readonly: bool = False) -> Any:
    return types.Array(real, dimensions, layout, readonly=readonly)


def one_layer_kernel(residual: Callable[..., Any], scratch_rows: int, label: Any) -> Kernel:
    """What `one_layer` compiles; `label` is the type of y, None for the dtype of X."""

    def signature(real: Any) -> tuple[Any, ...]:
        given = [array(real, 2, "A", True), array(label or real, 1, "C", True), array(real, 2, "C", True)]
        given += [array(real, 1, "C", True), array(real, 1, "C", True), types.float64, types.intp, types.intp]
        made = [array(real, 2), array(types.float64, 2), array(types.int64, 1), array(real, 2), array(real, 1)]
        return (*given, *made, types.boolean, types.boolean, types.boolean)

    return Kernel(one_layer(residual, scratch_rows), signature)


_geometry = Kernel(geometry, lambda _: (types.intp,) * 5)
_threads = 0  # 0: not set
_lock = threading.Lock()
_pool: concurrent.futures.ThreadPoolExecutor | None = None


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(n: int | None) -> None:
    """Set how many threads the tiled kernels use where a call does not say.

    Parameters
    ----------
    n : int or None
        At least 1; None for the default: the environment variable ``KERNELS_NUM_THREADS`` where it is set, else as many
        as this process may use CPUs. Small work stays on the calling thread. The result does not depend on it.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number, at least 1.
    """
    global _threads
    _threads = _check.threads(n) or 0


def default_threads() -> int:
    if _threads:
        return _threads
    asked = os.environ.get("KERNELS_NUM_THREADS", "")
    if not asked:
        return cpus()
    if not asked.strip().isdigit() or int(asked) < 1:
        raise ValueError(
            f"the environment variable KERNELS_NUM_THREADS is {asked!r}: set it to a whole number, at least 1, or unset it"
        )
    return int(asked)


def pool(workers: int) -> concurrent.futures.ThreadPoolExecutor:
    """The threads that help, made when first needed, and again where more are wanted."""
    global _pool
    with _lock:
        if _pool is None or _pool._max_workers < workers:
            _pool = concurrent.futures.ThreadPoolExecutor(workers, "kernels")
        return _pool


def _after_fork() -> None:
    """A child has none of its parent's threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run(kernel: Callable[..., Any], chunks: int, threads: int | None, *arguments: Any) -> tuple[float, float]:
    """Call a compiled function on every thread at once until all chunks are taken, then once more to finish."""
    helpers = []
    if chunks >= 4 and threads != 1:  # less is done before another thread has started
        threads = min(threads or default_threads(), chunks // 2)
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down and starts no thread any more
            helpers = [pool(threads - 1).submit(kernel, *arguments, False) for _ in range(threads - 1)]
        kernel(*arguments, False)
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return kernel(*arguments, True)


def room(n: int) -> int:
    """`padded`, for Python."""
    return (n + 15) // 16 * 16


def tile_geometry(N: int, D: int, K: int, dtype: np.dtype[Any], scratch_rows: int) -> tuple[int, int, int]:
    """`geometry`, for Python."""
    return _geometry[dtype](N, D, K, dtype.itemsize, scratch_rows)


def unless_interpreted(tiled: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
    """`tiled`, whose vectors exist only compiled: with NUMBA_DISABLE_JIT=1 `instead` stands in for it."""
    if not config.DISABLE_JIT:
        return tiled
    return lambda *batch, threads=None: instead(*batch)


def run_one_layer(kernel, scratch_rows, X, y, W, b, reg, sample_weight, want_loss, want_gradient, threads):
    """loss, dW and db by what `one_layer_kernel` made; `b` is an array, of length 0 for none."""
    (N, D), K, dtype = X.shape, W.shape[1], X.dtype
    s = np.empty(0, dtype) if sample_weight is None else sample_weight
    tile, rows, chunks = tile_geometry(N, D, K, dtype, scratch_rows)
    work = np.empty((chunks, K * room(D) + K), dtype), np.empty((chunks, 3)), np.zeros(1, np.int64)
    dW, db = np.empty((D, K), dtype), np.empty(b.size, dtype)
    loss, _ = run(kernel[dtype], chunks, threads, X, y, W, b, s, reg, tile, rows, *work, dW, db, want_loss, want_gradient)
    return loss, dW, db
