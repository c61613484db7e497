"""The pass over X: scores, residual and gradient of each tile while the tile is in the cache.

Rows are divided into chunks, and chunks into tiles, by the shapes and the dtype alone. Each chunk
has its own partial gradient, and the partial gradients are added in chunk order, so the result is
bitwise identical whichever thread takes which chunk.

The scores S of a tile are stored (K, n), one column a sample: the residual is vectorised over
samples.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from .atomics import atomic_add
from .gemm import NT_KC_BYTES, NT_MC, gemm_nn, gemm_nn_row, gemm_nt, gemm_nt_row
from .jit import device_function, jit_inline
from .pack import carve, copy_block, padded
from .summation import SUM_COLUMNS, dot, total
from .vectors import LINE_BYTES, NO_PREFETCH, address, keep_out_of_line

TILE_BYTES = 2**18  # X and scores of a tile: part of the L2 cache
SCRATCH_BYTES = 3 * 2**20  # X and scores of a tile of very wide rows, for each thread
MIN_TILE, MAX_TILE = 128, 1024  # rows; with fewer, the gradient is read and written too often
CHUNK_NANOSECONDS = 21_000  # a shorter call hardly repays the use of a helper that is awake
# Rows that repay the partial gradient of a second thread, and one more; chunks
LEAST_CHUNK, MIN_CHUNK, MAX_CHUNKS = 32, 96, 64
COLUMN = 1024  # rows of a wide tile by columns, which are read in runs of as many
LAST_CACHE_BYTES = 2**25  # roughly, of all threads
# See `prefetch_distances`. Shorter rows are one stream to the hardware prefetcher.
STREAM_BYTES, BYTES_AHEAD, COLUMN_BYTES_AHEAD = 2**8, NT_MC * NT_KC_BYTES, 2**9
SQUARE = 16  # targets at a time, in a block that is read by rows and written by columns
PARTIAL_BYTES = 2**23  # all partial gradients together
SMALLEST_WEIGHT = 2.0**-60  # in float32 and float64, for weights that sum to 2^80 at most
DOUBT = 2.0**-60  # what a doubtful weight adds to the invalid count; far less than 1 for any N
NEXT, DONE = 0, 8  # counters of a pass, in two cache lines: chunks or items taken, and done
COUNTERS_BYTES = 2 * 64
SCRATCH_ROWS = 3  # rows of a tile's length that a residual may use as scratch

# ---- shapes ----


@register_jitable
def whole_vectors(n):
    """Return n rounded up to whole vectors of both dtypes."""
    return (n + 15) // 16 * 16


@register_jitable
def gradient_length(D, K):
    """Return the padded size of a partial dW, (K, D), and of a row of it."""
    row = padded(D)
    return K * row, row


@register_jitable
def nanoseconds(D, K, above, size):
    """Return roughly how long a row takes on one core; the arguments are those of `geometry`."""
    return size * (0.012 * D * (K + 2) + 0.3 * (K + 1 + above) + 0.018 * K * above)


@register_jitable
def rows_of_scratch(K, above, halves):
    """Return how many rows of scratch the residual of a tile needs; see `geometry`."""
    return SCRATCH_ROWS + (K + halves * above if above > 0 else 0)


@register_jitable(error_model="numpy")
def geometry(N, D, K, above, size, by_columns, halves):
    """Divide a pass into chunks and tiles; `above` is the number of classes above K hidden units.

    `above` is 0 without a hidden layer; `by_columns` is whether X is in Fortran order; `halves` is
    2 for a Hessian-vector product, else 1. Returns rows of a tile, rows of a chunk, number of
    chunks, rows of scratch, and elements of a partial gradient, after which the reduction reads on.
    """
    scratch_rows = rows_of_scratch(K, above, halves)
    row = size * (D + halves * K + scratch_rows)
    # A tile reads and writes the gradient, K rows of D; the fewer those, the smaller it may be.
    least, least_chunk = min(MIN_TILE, 8 * K), min(LEAST_CHUNK, 8 * K)
    if by_columns:
        least_chunk = MIN_CHUNK
        if MIN_TILE * row > TILE_BYTES:
            least = least_chunk = COLUMN
            if K == 1:  # reading takes all the time: longer runs, or a tile that is read once
                once = N * row > LAST_CACHE_BYTES and COLUMN // 2 * row <= LAST_CACHE_BYTES // 4
                least_chunk = least = COLUMN // 2 if once else 2 * COLUMN
            # a chunk for each of two threads
            least_chunk = max(MIN_CHUNK, min(least_chunk, N // 2))
    of_scratch = row - size * D if by_columns else row  # columns are never copied
    tile = max(least, min(MAX_TILE, TILE_BYTES // row))
    tile = max(1, min(tile, SCRATCH_BYTES // of_scratch))
    numbers = gradient_length(D, K)[0] + K
    chunks = int(N * nanoseconds(D, K, above, size) / CHUNK_NANOSECONDS)
    chunks = min(MAX_CHUNKS, chunks + chunks % 2)  # an even number, for two threads
    # A second chunk halves the time; a third mostly costs a partial gradient.
    most = min(PARTIAL_BYTES // (size * numbers), N // least_chunk, max(2, N // MIN_CHUNK))
    chunks = max(1, min(chunks, most - most % 2))
    rows = ((N + chunks - 1) // chunks + 7) // 8 * 8
    # Rows so wide that a tile holds few are not rounded up, which would double the scratch.
    tile = min(rows, tile + -tile % 16 if tile > 8 else tile)
    if above > 0:
        numbers += gradient_length(K, above)[0] + above
    return tile, rows, (N + rows - 1) // rows, scratch_rows, numbers + SUM_COLUMNS


@register_jitable
def prefetch_distances(shape, size, stride, K, tile, by_columns):
    """Return how far ahead of their loads the products of a tile prefetch: scores, gradient.

    They do so where X comes from memory, for what the hardware does not foresee: in rows, `stride`
    bytes apart, the next block of gemm_nt (or some bytes of the same row, if a block is more than a
    tile) and the next tile; in columns a few vectors.
    """
    if 2 * shape[0] * shape[1] * size < LAST_CACHE_BYTES:
        return NO_PREFETCH, NO_PREFETCH
    if by_columns:
        return COLUMN_BYTES_AHEAD, NO_PREFETCH
    block = NT_MC * stride
    if K == 1 and not STREAM_BYTES <= stride < TILE_BYTES // NT_MC:  # which the hardware foresees
        return NO_PREFETCH, NO_PREFETCH
    return max(BYTES_AHEAD, block) if block < TILE_BYTES else BYTES_AHEAD, tile * stride


# ---- small loops ----


@register_jitable
def is_by_columns(X, rows):
    """Return whether X is read in Fortran order: as it is, and not row by row."""
    strides, size = X.strides, X.itemsize
    return rows.size == 0 and strides[0] == size and (strides[1] != size or X.shape[1] == 1)


@device_function
def transpose(A, rows, columns, B):
    """Write the transpose of the first `rows` rows and `columns` columns of A into B."""
    whole = rows // 8 * 8
    for i in range(0, whole, 8):  # 8 numbers at a time, which LLVM stores as a vector
        a0, a1, a2, a3 = A[i], A[i + 1], A[i + 2], A[i + 3]
        a4, a5, a6, a7 = A[i + 4], A[i + 5], A[i + 6], A[i + 7]
        for c in range(columns):
            b = B[c, i:]
            b[0], b[1], b[2], b[3] = a0[c], a1[c], a2[c], a3[c]
            b[4], b[5], b[6], b[7] = a4[c], a5[c], a6[c], a7[c]
    for r in range(whole, rows):
        for c in range(columns):
            B[c, r] = A[r, c]


@device_function
def gather(A, rows, start, n, copy):
    """Copy n elements of A, from `start` on, or at the n indices in `rows` from `start` on."""
    keep_out_of_line()
    for r in range(n):
        copy[r] = A[rows[start + r] if rows.size > 0 else start + r]


@device_function
def doubtful(weights):
    """Return the number of negative weights, plus DOUBT for each that is tiny but not 0.

    A product with a tiny weight may underflow.
    """
    negative, small, zero = 0, 0, 0
    for i in range(len(weights)):
        negative += weights[i] < 0
        small += weights[i] < SMALLEST_WEIGHT
        zero += weights[i] == 0
    return negative + DOUBT * (small - zero - negative)


# y is one label or number a sample, (N,), or targets (N, K), or (labels, base, kept) for smoothed
# labels: each class has its target in `base`, (K,), and that of the label `kept` in addition.


def targets_of_tile(y, rows, start, n, copy):
    """Return y of n samples, from `start` on or at `rows`; `copy` is memory for it.

    It is (n,), or (K, tile) where y has K targets a sample: a column is a sample, as of the scores.
    """


@overload(targets_of_tile)
def _targets_of_tile(y, rows, start, n, copy):
    def one(y, rows, start, n, copy):
        if rows.size > 0:
            gather(y, rows, start, n, copy)
            return copy[:n]
        return y[start : start + n]

    def several(y, rows, start, n, copy):
        for first in range(0, len(copy), SQUARE):
            for r in range(n):
                row = rows[start + r] if rows.size > 0 else start + r
                for k in range(first, min(first + SQUARE, len(copy))):
                    copy[k, r] = y[row, k]
        return copy

    def smoothed(y, rows, start, n, copy):
        labels, base, kept = y
        for k in range(len(base)):
            copy[k, :n] = base[k]
        for r in range(n):
            label = labels[rows[start + r] if rows.size > 0 else start + r]
            if 0 <= label < len(base):
                copy[label, r] += kept
            else:
                copy[0, r] = np.nan
        return copy

    if isinstance(y, types.BaseTuple):
        return smoothed
    return one if y.ndim == 1 else several


def room_for_tile(y, tile, copied):
    """Return the `copy` of `targets_of_tile`, of which `copied` samples are at `rows`."""


@overload(room_for_tile)
def _room_for_tile(y, tile, copied):
    if isinstance(y, types.BaseTuple):
        return lambda y, tile, copied: np.empty((y[1].size, tile), y[1].dtype)
    if y.ndim == 1:
        return lambda y, tile, copied: np.empty(copied, y.dtype) if copied > 0 else y[:0]
    return lambda y, tile, copied: np.empty((y.shape[1], tile), y.dtype)


def targets_fit(y, N, K):
    """Return whether y has N samples (of K targets) and strides that the pass supports."""


@overload(targets_fit)
def _targets_fit(y, N, K):
    def one(y, N, K):
        ordered = (N == 1) | (y.strides[0] == y.itemsize)
        return ordered & (y.ctypes.data % y.itemsize == 0) & (y.size == N)

    def several(y, N, K):
        ordered = ((N == 1) | (y.strides[0] == K * y.itemsize)) & (y.ctypes.data % y.itemsize == 0)
        ordered &= (K == 1) | (y.strides[1] == y.itemsize)
        return ordered & (y.shape[0] == N) & (y.shape[1] == K)

    if isinstance(y, types.BaseTuple):
        return lambda y, N, K: targets_fit(y[0], N, K) & targets_fit(y[1], K, K)
    return one if y.ndim == 1 else several


@device_function
def targets(y, weight, rows, start, n, room):
    """Return y and the weights of n samples, from `start` on or at `rows`; what is wrong with them.

    `room` is (ones, targets, weights): n ones for samples without weights, and memory for copies of
    those at `rows`. The last value is the count of invalid weights.
    """
    ones, tile_targets, tile_weights = room
    s, invalid = ones[:n], 0.0
    of_tile = targets_of_tile(y, rows, start, n, tile_targets)
    if weight.size > 0:
        s = weight[start : start + n]
        if rows.size > 0:
            gather(weight, rows, start, n, tile_weights)
            s = tile_weights[:n]
        invalid = doubtful(s)
    return of_tile, s, invalid


@device_function
def room_for_targets(tile, y, weight, rows, ones):
    """Return the `room` of `targets` for tiles of this many samples; `ones` is its first part."""
    ones[:] = 1
    copied = tile if rows.size > 0 else 0
    gathers = copied > 0 and weight.size > 0
    return ones, room_for_tile(y, tile, copied), np.empty_like(ones) if gathers else weight[:0]


# ---- the residual of a tile ----
#
#     residual(S, y, s, scratch, rest, partial, want_loss, want_gradient) -> loss, invalid
#
# overwrites the scores S (K, n) of n samples by s ∂loss/∂score, and returns the sum of their
# weighted losses and the number of invalid labels. y is that of `targets_of_tile`. `scratch` holds
# temporary rows of a tile's length; the gradients of `rest`, the parameters above the scores, are
# added to `partial`.
#
# In a Hessian-vector product, S (2K, n) has the scores in its first half, and in its second what
# the direction adds to them, t = x V + v. They are overwritten by s (∂²loss/∂score²) t and, if
# there is a hidden layer, by s ∂loss/∂score.


@device_function
def of_score(y, k):
    """Return the targets of score k in a tile."""
    if y.ndim == 1:  # a constant: Numba removes the other branch
        return y
    return y[k]


def pointwise(residual: Callable[..., Any]) -> Any:
    """Make the residual of a tile from that of one score, (z, y) -> loss, ∂loss/∂z.

    The loss of several scores, each with its own target, is the sum of theirs.
    """
    # Inlined into the loops below, so that LLVM vectorises it and drops a loss that is not used.
    residual = jit_inline(getattr(residual, "py_func", residual))

    @device_function(fastmath={"contract"})
    def residual_of_tile(S, y, s, scratch, rest, partial, want_loss, want_gradient):
        n, losses, loss, zero = len(s), scratch[0], 0.0, S.dtype.type(0)
        for k in range(len(S)):
            z, t = S[k], of_score(y, k)
            if want_loss:
                for i in range(n):
                    overflow = zero * z[i]  # 0, or nan if the score overflowed
                    losses[i], slope = residual(z[i], t[i])
                    losses[i] += overflow
                    z[i] = overflow + s[i] * slope
                loss += dot(s, losses)
            else:
                for i in range(n):
                    z[i] = zero * z[i] + s[i] * residual(z[i], t[i])[1]
        return loss, 0

    return residual_of_tile


def hidden_layer(residual: Callable[..., Any]) -> Any:
    """Make the residual of a hidden layer, max(0, S), from that of the scores above it."""

    @device_function
    def residual_of_hidden(S, y, s, scratch, rest, partial, want_loss, want_gradient):
        W2, b2 = rest
        (H, K), n, size, zero = W2.shape, len(s), S.itemsize, S.dtype.type(0)
        Z, G, row = scratch[SCRATCH_ROWS : SCRATCH_ROWS + K], scratch[SCRATCH_ROWS + K :], padded(H)
        for j in range(H):
            for i in range(n):  # 0 if negative, or nan if it overflowed
                S[j, i] = zero + zero * S[j, i] if S[j, i] < 0 else S[j, i]
        for k in range(K):
            Z[k] = b2[k]
        h, z, g = (address(S), S.strides[0]), (address(Z), S.strides[0]), (address(G), S.strides[0])
        gemm_nn(zero, h, (address(W2), size, K * size), z, (K, n, H), NO_PREFETCH)
        loss, invalid = residual(Z, y, s, scratch, (), partial, want_loss, want_gradient)
        if want_gradient:
            gemm_nt(zero, h, z, (address(partial), row * size), (H, K, n), NO_PREFETCH)
            for k in range(K):
                partial[K * row + k] += total(Z[k], n)
            for j in range(H):
                G[j] = 0
            gemm_nn(zero, z, (address(W2), K * size, size), g, (H, n, K), NO_PREFETCH)
            for j in range(H):
                for i in range(n):
                    S[j, i] = zero if S[j, i] == 0 else G[j, i]
        return loss, invalid

    return residual_of_hidden


def pointwise_product(second_derivative: Callable[..., Any], signs: bool) -> Any:
    """Make the residual of a Hessian-vector product from (z, y) -> ∂²loss/∂z² of one score.

    With `signs`, each y must be -1 or +1.
    """
    second_derivative = jit_inline(getattr(second_derivative, "py_func", second_derivative))

    @device_function(fastmath={"contract"})
    def product_of_tile(S, y, s, scratch, rest, partial, want_loss, want_gradient):
        K, real, invalid = len(S) // 2, S.dtype.type, 0
        for k in range(K):
            z, t, of_k = S[k], S[K + k], of_score(y, k)
            for i in range(len(s)):  # 0, or nan if the score overflowed or y is not finite
                overflow = real(0) * z[i] + real(0) * of_k[i]
                z[i] = overflow + s[i] * (real(second_derivative(z[i], of_k[i])) * t[i])
            if signs:
                for i in range(len(s)):
                    invalid += of_k[i] * of_k[i] != 1
        return 0.0, invalid

    return product_of_tile


def constant_product(second_derivative: float) -> Any:
    """Make the residual of a Hessian-vector product where ∂²loss/∂z² is a number.

    It needs no scores of the parameters: those of the tile are in the direction.
    """

    @device_function(fastmath={"contract"})
    def product_of_tile(S, y, s, scratch, rest, partial, want_loss, want_gradient):
        real = S.dtype.type
        for k in range(len(S)):
            t, of_k = S[k], of_score(y, k)
            for i in range(len(s)):  # 0 times y is nan if y is not finite
                t[i] = real(0) * of_k[i] + s[i] * (real(second_derivative) * t[i])
        return 0.0, 0

    return product_of_tile


def hidden_product(product: Callable[..., Any]) -> Any:
    """Make the residual of a Hessian-vector product of a hidden layer from that above it.

    This is the R-operator of Pearlmutter, Fast exact multiplication by the Hessian, 1994. `rest` is
    (W2, b2, V1, v1, V2, v2).
    """

    @device_function
    def product_of_hidden(S, y, s, scratch, rest, partial, want_loss, want_gradient):
        W2, b2, _, _, V2, v2 = rest
        (H, K), n, size, zero, ld = W2.shape, len(s), S.itemsize, S.dtype.type(0), S.strides[0]
        row, both = padded(H), 2 * K
        Z, G = scratch[SCRATCH_ROWS : SCRATCH_ROWS + both], scratch[SCRATCH_ROWS + both :]
        for j in range(H):
            for i in range(n):  # 0 if negative, or nan if it overflowed
                S[H + j, i] = S[H + j, i] if S[j, i] > 0 else zero
                S[j, i] = zero + zero * S[j, i] if S[j, i] < 0 else S[j, i]
        for k in range(K):
            Z[k] = b2[k]
            Z[K + k] = v2[k]
        h, Rh = (address(S), ld), (address(S) + H * ld, ld)
        z, Rz, g = (address(Z), ld), (address(Z) + K * ld, ld), (address(G), ld)
        w, v, c = address(W2), address(V2), (address(partial), row * size)
        gemm_nn(zero, h, (w, size, K * size), z, (K, n, H), NO_PREFETCH)
        gemm_nn(zero, h, (v, size, K * size), Rz, (K, n, H), NO_PREFETCH)
        gemm_nn(zero, Rh, (w, size, K * size), Rz, (K, n, H), NO_PREFETCH)
        loss, invalid = product(Z, y, s, scratch, (), partial, want_loss, want_gradient)
        Rr, r = z, Rz  # which are there now
        gemm_nt(zero, h, Rr, c, (H, K, n), NO_PREFETCH)
        gemm_nt(zero, Rh, r, c, (H, K, n), NO_PREFETCH)
        for k in range(K):
            partial[K * row + k] += total(Z[k], n)
        for j in range(H):
            G[j] = 0
        gemm_nn(zero, Rr, (address(W2), K * size, size), g, (H, n, K), NO_PREFETCH)
        gemm_nn(zero, r, (address(V2), K * size, size), g, (H, n, K), NO_PREFETCH)
        for j in range(H):
            for i in range(n):
                S[j, i] = zero if S[j, i] == 0 else G[j, i]
        return loss, invalid

    return product_of_hidden


# ---- the pass ----


def make_tile_pass(residual: Callable[..., Any], one_score: bool, direction: int = 0) -> Any:
    """Return the pass of a problem; each thread of a call runs it until no chunk is left.

    With `one_score`, it has the products with one row alone. In that of a Hessian-vector product, V
    is the layer with the number `direction`: the residual turns the scores of W and of V into half
    as many.
    """
    halves = 2 if direction else 1
    nt, nn = (gemm_nt_row, gemm_nn_row) if one_score else (gemm_nt, gemm_nn)

    def tile_pass(call):
        """Write each chunk's gradient to `partials`; its loss, weight, invalid count to `sums`.

        call = (batch, layers, shapes, workspace, (want_loss, want_gradient)).
        """
        keep_out_of_line()
        batch, layers, shapes, workspace, (want_loss, want_gradient) = call
        (X, y, weight, rows), (tile, chunk_rows, scratch_rows) = batch, shapes
        W, b, (partials, sums, counters, _) = layers[0], layers[1], workspace
        D, size, zero, rest = X.shape[1], X.itemsize, X.dtype.type(0), layers[2:]
        outputs, vector = b.size, layers[direction:]
        K = halves * outputs  # scores of a sample
        gathered = rows.size > 0
        N = rows.size if gathered else len(X)
        chunk = atomic_add(counters, NEXT, 1)
        if chunk * chunk_rows >= N:  # a helper that came late
            return
        fortran = is_by_columns(X, rows)
        # Other strides are copied tile by tile; so are rows a multiple of 4096 bytes apart if there
        # are more than four scores, because such rows collide in the L1 cache.
        strided, paged = X.strides[1] != size and D > 1, K > 4 and X.strides[0] % 4096 == 0
        copied = gathered or (not fortran and (strided or paged))
        distances = prefetch_distances((N, D), size, X.strides[0], K, tile, fortran)
        of_scores, of_gradient = (NO_PREFETCH, NO_PREFETCH) if copied else distances
        # The memory of this thread, in one piece: a small call spends much on allocations.
        of_copy, of_Wt, of_S = tile if copied else 0, 0 if one_score else K, K + scratch_rows + 1
        memory = np.empty((of_copy + of_Wt) * padded(D) + of_S * padded(tile) + LINE_BYTES, X.dtype)
        copy, start = carve(
            memory, (-address(memory) & (LINE_BYTES - 1)) // size, of_copy, padded(D)
        )
        Wt, start = carve(memory, start, of_Wt, padded(D))
        S, _ = carve(memory, start, of_S, padded(tile))
        S, scratch, ones = S[:K], S[K:-1], S[-1]
        room = room_for_targets(tile, y, weight, rows, ones)
        if one_score:
            Wt = W.reshape(1, D)
        else:
            transpose(W, D, outputs, Wt)
        if direction:
            transpose(vector[0], D, outputs, Wt[outputs:])
        length, row = gradient_length(D, outputs)
        while chunk * chunk_rows < N:
            partial = partials[chunk]
            partial[:] = 0
            loss, weights, invalid = 0.0, 0.0, 0.0
            stop = min(N, (chunk + 1) * chunk_rows)
            for start in range(chunk * chunk_rows, stop, tile):
                n = min(tile, stop - start)
                x = (
                    address(X) + (0 if gathered else start * X.strides[0]),
                    X.strides[0],
                    X.strides[1],
                )
                if copied:
                    copy_block(zero, x, rows[start : start + n], (D, n), address(copy))
                    x = address(copy), copy.strides[0], size
                labels, s, n_invalid = targets(y, weight, rows, start, n, room)
                invalid += n_invalid
                weights += total(s, n)
                # Numba frees an array after its last use by name, so addresses are taken here.
                w, scores, g = (
                    address(Wt),
                    (address(S), S.strides[0]),
                    (address(partial), row * size),
                )
                for k in range(outputs):
                    S[k] = b[k]
                    if direction:
                        S[outputs + k] = vector[1][k]
                if fortran:
                    columns, w = (x[0], X.strides[1]), (w, Wt.strides[0], size)
                    nn(zero, columns, w, scores, (K, n, D), of_scores)
                else:
                    nt(zero, x[:2], (w, Wt.strides[0]), scores, (n, K, D), of_scores)
                partial_rest = partial[length + outputs :]
                losses, n_invalid = residual(
                    S, labels, s, scratch, rest, partial_rest, want_loss, want_gradient
                )
                loss += losses
                invalid += n_invalid
                if want_gradient:
                    if fortran:
                        nt(zero, (x[0], X.strides[1]), scores, g, (D, outputs, n), NO_PREFETCH)
                    else:
                        distance = of_gradient if start + tile < stop else NO_PREFETCH
                        r, shape = (scores[0], scores[1], size), (outputs, D, n)
                        nn(zero, x[:2], r, g, shape, distance)
                    for k in range(outputs):
                        partial[length + k] += total(S[k], n)
            sums[chunk, 0], sums[chunk, 1], sums[chunk, 2] = loss, weights, invalid
            chunk = atomic_add(counters, NEXT, 1)

    return device_function(tile_pass)
