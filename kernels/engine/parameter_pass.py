"""The pass for many parameters: the threads share blocks of the parameters, not of the samples.

Where W is large, a partial gradient for every chunk of samples would cost more than it saves. Here
rows are taken in super-tiles, and each of those in three phases, whose items the threads share:

    scores     Z = X W + b               by blocks of rows, and parts of D where rows are few
    residual   Z = s ∂loss/∂score        by blocks of rows; in a network for both layers
    gradient   dW += Xᵀ Z                by blocks of features, and of hidden units

An item is taken when all items of the phases before are done. Each element of the gradient is
summed by one thread and in an order that the shapes determine, so the result is bitwise identical
for any number of threads. The scores of a sample are contiguous here: the products are vectorised
over K, and X is copied block by block, whatever its strides.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .atomics import atomic_add, atomic_advance, atomic_load, wait_a_moment
from .gemm import NN_KC_BYTES, gemm_nn, gemm_nt
from .jit import device_function
from .pack import carve, copy_block, numbers_of_block, padded
from .reduce import Goal, totals, write_rows, write_run
from .summation import total
from .team import FAILED, WAITED, make_shared
from .tile_pass import (
    COUNTERS_BYTES,
    DONE,
    NEXT,
    SCRATCH_ROWS,
    room_for_targets,
    targets,
    transpose,
    whole_vectors,
)
from .vectors import (
    NO_PREFETCH,
    VECTOR_BYTES,
    address,
    itemsize,
    keep_out_of_line,
    stack_memory,
)

WIDE_D, WIDE_K = 256, 24  # sizes of a layer from which this pass is the faster one
HEAVY, FEW_ROWS = 2**14, 192  # parameters for which that holds where rows are few
SEVERAL, FEWEST_ROWS = 2**11, 40  # and where they are fewer still
# Scores of a sample: fewer do not fill vectors, more take too much scratch where features are few.
LEAST_SCORES, SOME_SCORES, MANY_SCORES = 8, 16, 2**13
LARGE_BYTES = 2**22  # a gradient of which there should be no copies
SCORE_BYTES = 2**22  # scores of a super-tile: part of the last cache
ITEMS = 8  # of a phase, at least, where the sizes allow
MIN_ROWS, MAX_ROWS = 96, 336  # of a block
MIN_FEATURES, MAX_FEATURES = 72, 336  # of a block of the gradient: whole blocks of gemm_nn
LEAST_BLOCK = 24  # rows or features that repay an item, if they are all there are
PART_BYTES = 2**23  # all partial scores together
MIN_DEPTH = 128  # features that repay partial scores
SHORT_ROW = 64  # of a gradient: a loop over fewer numbers costs more than they do
RESIDUAL_ROWS = 40  # that repay an item of their own
RESIDUAL_BYTES = 2**17  # scores whose residual is computed at a time: part of the L2 cache


class Plan(NamedTuple):
    """How a pass is divided, by the shapes and the dtype alone."""

    rows: int  # of a super-tile
    block: int  # rows of a block
    blocks: int  # of a super-tile
    parts: int  # of D, in the scores
    residual: int  # rows of an item of the residual
    of_residual: int  # such items of a super-tile
    features: int  # of a block of the first layer's gradient
    of_first: int  # such blocks, and the bias
    units: int  # of a block of the second layer's gradient
    of_tile: int  # items of a super-tile
    items: int  # of the whole pass
    numbers: int  # for each item, that the threads share as scratch


@register_jitable
def is_wide(D, K, size):
    """Return whether a layer has enough features, and classes that fill vectors."""
    lanes = VECTOR_BYTES // size
    whole = (K + lanes - 1) // lanes * lanes
    return D >= WIDE_D and K >= WIDE_K and 3 * whole <= 4 * K


@register_jitable
def many_parameters(N, D, K, above, size):
    """Return whether this pass is taken; `above` is the number of classes above K hidden units."""
    parameters = K * (D + above)
    heavy = parameters >= HEAVY and (N < FEW_ROWS or size * parameters > LARGE_BYTES)
    heavy |= parameters >= SEVERAL and N < FEWEST_ROWS and K >= SOME_SCORES
    heavy &= LEAST_SCORES <= K <= MANY_SCORES and above <= MANY_SCORES
    return is_wide(D, K, size) or is_wide(K, above, size) or heavy


@register_jitable(error_model="numpy")
def block_length(n, least, most, multiple):
    """Return the length of blocks of n: ITEMS, or another even number of them, or one."""
    blocks = max((n + most - 1) // most, min(ITEMS, n // least), 1)
    blocks += blocks % 2 if blocks > 1 else 0
    return ((n + blocks - 1) // blocks + multiple - 1) // multiple * multiple


@device_function
def row_length(K):
    """Return the length of a row of a block of the gradient: short ones are averaged as one run.

    A product adds 0 to what follows in the last vector of a row, the next one here. That does no
    harm where one thread has the block, and rows have room for whole vectors after the last.
    """
    return K if K < SHORT_ROW else whole_vectors(K)


@register_jitable
def half(n):
    """Return half of n, for two threads, unless that is too little."""
    return max(n // 2, LEAST_BLOCK)


@register_jitable(error_model="numpy")
def plan_pass(N, D, K, above, size, halves):
    """Return the Plan of a pass; `halves` is 2 for a Hessian-vector product, else 1."""
    width, width_above = whole_vectors(K), whole_vectors(above)
    shared = halves * width  # scores and residuals of a row
    if above > 0:
        shared += width + halves * width_above
    most = max(8, SCORE_BYTES // (size * shared))
    tiles = (N + most - 1) // most
    rows = ((N + tiles - 1) // tiles + 7) // 8 * 8
    tiles = (N + rows - 1) // rows
    least = MIN_ROWS if D >= 2 * MIN_DEPTH else min(MIN_ROWS, half(rows))
    block = block_length(rows, least, MAX_ROWS, 12)
    blocks = (rows + block - 1) // block
    most = 1 + PART_BYTES // (size * halves * width * rows)
    parts = min(ITEMS // blocks, D // MIN_DEPTH, most)
    parts = max(1, parts - parts % 2)
    residual = block_length(rows, RESIDUAL_ROWS, block, 16)
    of_residual = (rows + residual - 1) // residual
    features = block_length(D, min(MIN_FEATURES, half(D)), MAX_FEATURES, 12)
    units = block_length(K, min(MIN_FEATURES, half(K)), MAX_FEATURES, 12)
    of_first = (D + features - 1) // features + 1
    of_second = (K + units - 1) // units + 1 if above > 0 else 0
    of_tile = parts * blocks + of_residual + of_first + of_second
    numbers = rows * ((parts - 1) * halves * width + shared)
    if tiles > 1:
        numbers += (D + 1) * width + ((K + 1) * width_above if above > 0 else 0)
    numbers += 128 // size  # to begin at a cache line
    items = tiles * of_tile
    numbers = (numbers + items - 1) // items
    of_rows = rows, block, blocks, parts, residual, of_residual
    return Plan(*of_rows, features, of_first, units, of_tile, items, numbers)


# ---- the products, with X copied block by block ----


@device_function
def add_scores(zero, A, rows, W, Z, shape):
    """Compute Z[n, k] += Σ_d A[n, d] W[d, k]; shape = (samples, K, features).

    A and rows are those of `copy_block`.
    """
    keep_out_of_line()
    (A, lda, step), (W, ldw), (N, K, D), size = A, W, shape, itemsize(zero)
    most = min(D, NN_KC_BYTES // size)
    copy = np.empty(numbers_of_block(most, N) * size, np.uint8)
    for d in range(0, D, most):
        depth, c = min(most, D - d), address(copy)
        ldc, step_of_copy = copy_block(zero, (A + d * step, lda, step), rows, (depth, N), c)
        p = c, ldc, step_of_copy
        gemm_nn(zero, (W + d * ldw, ldw), p, Z, (N, K, depth), NO_PREFETCH)


@device_function
def add_gradient(zero, A, rows, R, C, shape):
    """Compute C[d, k] += Σ_n A[n, d] R[n, k]; shape = (features, K, samples).

    A and rows are those of `copy_block`.
    """
    keep_out_of_line()
    (A, lda, step), (R, ldr), (D, K, N), size = A, R, shape, itemsize(zero)
    most = min(N, NN_KC_BYTES // size)
    copy = np.empty(numbers_of_block(D, most) * size, np.uint8)
    for n in range(0, N, most):
        depth, c = min(most, N - n), address(copy)
        a = A if rows.size > 0 else A + n * lda
        ldc, step_of_copy = copy_block(zero, (a, lda, step), rows[n : n + depth], (D, depth), c)
        p = c, step_of_copy, ldc
        gemm_nn(zero, (R + n * ldr, ldr), p, C, (D, K, depth), NO_PREFETCH)


# ---- the hidden layer of a block of rows ----


@device_function
def forward(H, W2, b2, Z, n):
    """Turn the scores H of hidden units into max(0, H), and write H W2 + b2 into Z."""
    (units, K), size, zero = W2.shape, H.itemsize, H.dtype.type(0)
    for r in range(n):
        for j in range(units):  # 0 if negative, or nan if it overflowed
            H[r, j] = zero + zero * H[r, j] if H[r, j] < 0 else H[r, j]
        for k in range(K):
            Z[r, k] = b2[k]
    w, h, z = (address(W2), K * size), (address(H), H.strides[0], size), address(Z)
    gemm_nn(zero, w, h, (z, Z.strides[0]), (n, K, units), NO_PREFETCH)


@device_function
def forward_product(H, RH, W2, direction, RZ, n):
    """Turn RH, the scores of hidden units in a direction, into RH [H > 0].

    Write those above them, RH W2 + max(0, H) V2 + v2, into RZ. H has become max(0, H).
    """
    (units, K), size, zero, (V2, v2) = W2.shape, H.itemsize, H.dtype.type(0), direction
    for r in range(n):
        for j in range(units):
            RH[r, j] = RH[r, j] if H[r, j] > 0 else zero
        for k in range(K):
            RZ[r, k] = v2[k]
    h, Rh = (address(H), H.strides[0], size), (address(RH), RH.strides[0], size)
    w, v, Rz = (address(W2), K * size), (address(V2), K * size), (address(RZ), RZ.strides[0])
    gemm_nn(zero, v, h, Rz, (n, K, units), NO_PREFETCH)
    gemm_nn(zero, w, Rh, Rz, (n, K, units), NO_PREFETCH)


@device_function
def backward(H, W2, R2, G, n):
    """Add the residual of the hidden units, (R2 W2ᵀ) [H > 0], to G."""
    (units, K), zero, size = W2.shape, H.dtype.type(0), H.itemsize
    r, g = (address(R2), R2.strides[0]), (address(G), G.strides[0])
    gemm_nt(zero, (address(W2), K * size), r, g, (units, n, K), NO_PREFETCH)
    for i in range(n):
        for j in range(units):
            G[i, j] = zero if H[i, j] == 0 else G[i, j]


# ---- the items ----


@device_function
def add_rows(Z, other, K):
    """Add rows of other scores, of which K are used, to Z."""
    for r in range(len(Z)):
        for k in range(K):
            Z[r, k] += other[r, k]


@device_function
def score_item(tile, layer, Z, plan, item):
    """Write the scores of a block of rows, or what a part of the features adds to them."""
    ((X, lda, step), rows, n), (W, b), zero, size = tile, layer, Z.dtype.type(0), Z.itemsize
    (D, K), part, r = W.shape, item % plan.parts, item // plan.parts * plan.block
    m, d, last = (
        max(0, min(plan.block, n - r)),
        D * part // plan.parts,
        D * (part + 1) // plan.parts,
    )
    z = Z[part * plan.rows + r :]
    for q in range(m):
        for k in range(K):
            z[q, k] = zero if part > 0 else b[k]
    a = X + d * step + (0 if rows.size > 0 else r * lda), lda, step
    w, c = (address(W) + d * K * size, K * size), (address(z), Z.strides[0])
    add_scores(zero, a, rows[r : r + m], w, c, (m, K, last - d))


@device_function
def gradient_item(tile, R, layer, out, block, settings):
    """Add the samples of a super-tile to a block of a layer's gradient; write it after the last.

    block = (first, length, memory): features from the first on, or the bias if that is D. settings
    = (is this the first super-tile, the last, goal, averaging). Returns the number of values that
    are not finite.
    """
    ((A, lda, step), rows, n), (W, b), (dW, db), (first, length, C) = tile, layer, out, block
    (starts, ends, goal, averaging), (D, K), zero, wrong = settings, W.shape, W.dtype.type(0), 0
    if starts:
        C[:] = zero
    if first < D:
        a, r, c = (A + first * step, lda, step), (address(R), R.strides[0]), address(C)
        add_gradient(zero, a, rows, r, (c, C.strides[0]), (length, K, n))
        if ends:
            shape, memory, width = (length, K), C.reshape(-1), C.shape[1]
            wrong += write_rows(memory, width, (first, 0), shape, (W, dW), goal, averaging)
        return wrong
    sums, (_, rate, weight) = np.zeros(K), averaging
    for row in range(n):
        for k in range(K):
            sums[k] += R[row, k]
    for k in range(K):
        C[0, k] += sums[k]
    return write_run(C[0, :K], b, db, goal, (0.0, rate, weight)) if ends else 0


@device_function
def block_of(j, blocks, length, D, width, memory):
    """Return the block of `gradient_item` with number j; memory = (kept over super-tiles, not)."""
    kept, local = memory
    first = D if j == blocks - 1 else j * length
    length = min(length, D - first)
    rows = max(1, length)
    if len(kept) > 0:
        return first, length, kept[first : first + rows]
    return first, length, carve(local, 0, rows, width)[0]


# ---- the pass ----


def make_parameter_pass(  # noqa: C901
    residual: Callable[..., Any], two_layers: bool, direction: int
) -> Any:
    """Return the function that runs the pass of a problem.

    In that of a Hessian-vector product, V is the layer with the number `direction`, and RZ the
    scores' derivative in that direction; see `hidden_product` of `tile_pass`.
    """
    halves = 2 if direction else 1

    @device_function
    def parameter_pass(call):  # noqa: C901
        """Take items until none is left; write what `goal` selects into `written`.

        Loss, weight and invalid count of each item are written to `sums`. call = (batch, layers,
        written, plan, workspace, (want_loss, goal, reg, learning rate)).
        """
        keep_out_of_line()
        batch, layers, written, plan, workspace, wanted = call
        (X, y, weight, rows), (want_loss, goal, reg, rate) = batch, wanted
        W, b, (partials, sums, counters, team) = layers[0], layers[1], workspace
        (D, K), size, gathered, N = W.shape, X.itemsize, rows.size > 0, rows.size or len(X)
        # Scratch that the threads share, and of this thread alone.
        width, shared, several = whole_vectors(K), partials.reshape(-1), plan.rows < N
        Z, start = carve(shared, (-address(shared) & 63) // size, plan.parts * plan.rows, width)
        kept, start = carve(shared, start, D + 1 if several else 0, width)
        R, classes, vector = Z, K, layers[direction:]
        penalised = vector[0], vector[1]
        if direction:
            RZ, start = carve(shared, start, plan.parts * plan.rows, width)
        if two_layers:
            W2, b2 = layers[2], layers[3]
            penalised2 = vector[2], vector[3]
            classes, width2 = len(b2), whole_vectors(len(b2))
            R, start = carve(shared, start, plan.rows, width)
            R2, start = carve(shared, start, plan.rows, width2)
            kept2, start = carve(shared, start, K + 1 if several else 0, width2)
            Z2 = np.empty((plan.residual, width2), X.dtype)
            if direction:
                r2, start = carve(shared, start, plan.rows, width2)
                RZ2 = np.empty((plan.residual, width2), X.dtype)
        scores = halves * classes
        most = max(16, min(plan.residual, RESIDUAL_BYTES // (size * scores) // 16 * 16))
        S = np.empty((scores + SCRATCH_ROWS + 1, padded(most)), X.dtype)
        room = room_for_targets(most, y, weight, rows, S[-1])
        local_numbers = min(plan.features, D) * width
        if two_layers:
            local_numbers = max(local_numbers, min(plan.units, K) * width2)
        local = np.empty(0 if several else local_numbers, X.dtype)
        residuals = plan.parts * plan.blocks
        gradients = residuals + plan.of_residual
        spins = 0
        while True:
            item = atomic_load(counters, NEXT)
            if item >= plan.items:
                break
            i = item % plan.of_tile
            # An item can begin when all items of the phases before are done.
            before = (
                item - i + (gradients if i >= gradients else residuals if i >= residuals else 0)
            )
            if atomic_load(counters, DONE) < before:
                spins = wait_a_moment(spins)
                if team[FAILED] != 0:  # an item that was taken may never be done
                    break
                continue
            if not atomic_advance(counters, NEXT, item):
                continue
            loss, weights, invalid, top = 0.0, 0.0, 0.0, item // plan.of_tile * plan.rows
            n = min(plan.rows, N - top)
            x = address(X) + (0 if gathered else top * X.strides[0]), X.strides[0], X.strides[1]
            tile = x, rows[top : top + n], n
            if i < residuals:
                score_item(tile, (W, b), Z, plan, i)
                if direction:
                    score_item(tile, penalised, RZ, plan, i)
            elif i < gradients:
                first = (i - residuals) * plan.residual
                last = min(n, first + plan.residual)
                for r in range(first, last, most):
                    m = min(most, last - r)
                    z = Z[r : r + m]
                    for part in range(1, plan.parts):
                        add_rows(z, Z[part * plan.rows + r :], K)
                    upper, upper_residual = z, z
                    if direction:
                        Rz = RZ[r : r + m]
                        for part in range(1, plan.parts):
                            add_rows(Rz, RZ[part * plan.rows + r :], K)
                    if two_layers:
                        forward(z, W2, b2, Z2, m)
                        upper, upper_residual = Z2, R2[r : r + m]
                        if direction:
                            forward_product(z, Rz, W2, penalised2, RZ2, m)
                            Rz = RZ2
                    transpose(upper, m, classes, S)
                    if direction:
                        transpose(Rz, m, classes, S[classes:])
                    labels, s, wrong = targets(y, weight, rows, top + r, m, room)
                    invalid += wrong
                    weights += total(s, m)
                    found, wrong = residual(
                        S[:scores],
                        labels,
                        s,
                        S[scores:],
                        (),
                        S[0, :0],
                        want_loss,
                        goal != Goal.NOTHING,
                    )
                    loss += found
                    invalid += wrong
                    if goal != Goal.NOTHING:
                        transpose(S, classes, m, upper_residual)
                        if two_layers:
                            below = R[r : r + m]
                            below[:] = X.dtype.type(0)
                            backward(z, W2, upper_residual, below, m)
                            if direction:
                                transpose(S[classes:], classes, m, r2[r : r + m])
                                backward(z, penalised2[0], r2[r : r + m], below, m)
            elif goal != Goal.NOTHING:
                j, all_weights = i - gradients, 0.0
                ends = top + n == N
                for earlier in range(item - j if ends else 0):
                    all_weights += sums[earlier, 1]
                settings = top == 0, ends, goal, (reg, rate, all_weights)
                if j < plan.of_first:
                    memory = kept, local
                    block = block_of(j, plan.of_first, plan.features, D, row_length(K), memory)
                    out = written[0], written[1]
                    invalid += gradient_item(tile, R, penalised, out, block, settings)
                elif two_layers:
                    j, blocks = j - plan.of_first, plan.of_tile - gradients - plan.of_first
                    block = block_of(j, blocks, plan.units, K, row_length(classes), (kept2, local))
                    out = written[2], written[3]
                    hidden = (address(Z), width * size, size), rows[:0], n
                    if direction and block[0] < K:  # the bias has no such part
                        Rh, averaging = (address(RZ), width * size, size), settings[3]
                        starts = top == 0, False, goal, averaging
                        gradient_item((Rh, rows[:0], n), r2, penalised2, out, block, starts)
                        settings = False, ends, goal, averaging
                    invalid += gradient_item(hidden, R2, penalised2, out, block, settings)
            sums[item, 0], sums[item, 1], sums[item, 2] = loss, weights, invalid
            atomic_add(counters, DONE, 1)
        atomic_add(team, WAITED, spins)

    run_shared_pass = make_shared(parameter_pass)

    @device_function
    def run(batch, layers, written, asked, team, helpers):
        """Run the pass with at most this number of helpers; return loss, weight, invalid count."""
        (X, _, _, rows), (D, K) = batch, layers[0].shape
        above = layers[3].size if two_layers else 0
        plan = plan_pass(rows.size or len(X), D, K, above, X.itemsize, halves)
        partials, sums = np.empty((plan.items, plan.numbers), X.dtype), np.empty((plan.items, 3))
        counters = carray(stack_memory(COUNTERS_BYTES), 2 * DONE, np.int64)
        call = batch, layers, written, plan, (partials, sums, counters, team), asked
        run_shared_pass(call, counters, team, helpers)
        return totals(sums)

    return run
