"""The pass for few scores and few samples: the threads share blocks of the features.

A partial gradient for every chunk of samples would be as long as W, and be zeroed, added and
averaged for few of them. Here the items that the threads share are

    scores     X W of a block of features, for all samples
    gradient   dW = Xᵀ s ∂loss/∂z of such a block, averaged and written

Between the two, each thread computes the residual of all samples for itself. Each number is summed
by one thread and in an order that the shapes determine, so the result is bitwise identical for any
number of threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .atomics import atomic_add, atomic_load, wait_a_moment
from .gemm import gemm_nn_row, gemm_nt_row
from .jit import device_function
from .narrow import (
    LEAST_COLUMNS,
    MOST_COLUMNS,
    numbers_of_strips,
    strip_gradient,
    strip_scores,
    sum_strips,
    write_strips,
)
from .pack import carve, padded
from .reduce import AT_START, Goal, reduce_layer, write_run
from .summation import total
from .team import FAILED, WAITED, make_shared
from .tile_pass import (
    COUNTERS_BYTES,
    DONE,
    NEXT,
    TILE_BYTES,
    gradient_length,
    is_by_columns,
    room_for_targets,
    rows_of_scratch,
    targets,
    whole_vectors,
)
from .vectors import NO_PREFETCH, address, itemsize, keep_out_of_line, stack_memory

FEW_ROWS = 256  # of any X with one score; more, in C order, are read twice from memory
MAX_ROWS = 4096  # of an X that is in Fortran order, or no larger than a tile
FEWER_ROWS = 24  # with several scores
MOST_SCORES = 192  # of all samples: more repay a transposition
LEAST_PARAMETERS = 2**7  # for each of them: it saves work on W, and costs some for each row
LEAST_WIDTH = 8  # features for each class above hidden units
BLOCK_BYTES = 2**14  # W of a block: half of the L1 cache
LEAST_BYTES = 2**10  # W that repays two blocks
AGAIN = NEXT + 1  # the counter of blocks of the gradient; NEXT is that of the scores


@register_jitable
def blocks_of_features(X, rows, K, above, one_score):
    """Return the number of blocks and their length; no blocks if this pass is not for X.

    `above` is that of `geometry`. `one_score` is whether the weights are a vector: of one column,
    they are as several are.
    """
    (N, D), size = X.shape, X.itemsize
    by_columns = is_by_columns(X, rows)
    few = N <= FEW_ROWS or (N <= MAX_ROWS and (by_columns or N * D * size <= TILE_BYTES))
    if not one_score:
        few = N <= FEWER_ROWS and N * K <= MOST_SCORES and LEAST_PARAMETERS * max(8, N) <= D * K
        few = few and LEAST_COLUMNS <= K <= MOST_COLUMNS and not by_columns
        few = few and above * LEAST_WIDTH <= D  # each thread computes the layer above for itself
    if rows.size > 0 or not few or not (by_columns or X.strides[1] == size):
        return 0, 0
    row = D * K * size
    blocks = max(2 if row > LEAST_BYTES else 1, (row + BLOCK_BYTES - 1) // BLOCK_BYTES)
    blocks += blocks % 2 if blocks > 1 else 0  # an even number, for two threads
    length = whole_vectors((D + blocks - 1) // blocks)
    return (D + length - 1) // length, length


@device_function
def add_product(zero, A, shape, transposed, v, result):
    """Add A v to the result, or Aᵀ v if `transposed`; A is in C order, v and result are addresses.

    A is (address, row_stride), as in gemm.py.
    """
    (m, k), size = shape, itemsize(zero)
    if transposed:
        gemm_nn_row(zero, A, (v, size, size), (result, size), (1, k, m), NO_PREFETCH)
    else:
        gemm_nt_row(zero, A, (v, size), (result, size), (m, 1, k), NO_PREFETCH)


def make_feature_pass(  # noqa: C901
    residual: Callable[..., Any], two_layers: bool, one_score: bool
) -> Any:
    """Return the function that runs the pass of a problem, built around the residual of a tile."""

    @device_function
    def feature_pass(call):  # noqa: C901
        """Write what `goal` selects into `written`; loss, weight, invalid count to `sums`.

        call = (batch, layers, written, (blocks, their length), workspace, asked).
        """
        keep_out_of_line()
        batch, layers, written, (blocks, length), workspace, asked = call
        (X, y, weight, rows), (want_loss, goal, reg, rate) = batch, asked
        W, b, dW, db, rest = layers[0], layers[1], written[0], written[1], layers[2:]
        (N, D), K, size, zero = X.shape, b.size, X.itemsize, X.dtype.type(0)
        w, dw = W.reshape(-1), dW.reshape(-1)  # of unit stride: LLVM vectorises what reads them
        (scores, sums, counters, team), by_columns = workspace, is_by_columns(X, rows)
        ld, step = (X.strides[1], X.strides[1]) if by_columns else (X.strides[0], X.strides[1])
        if atomic_load(counters, AGAIN) >= blocks:  # a helper that came late
            return
        block = atomic_add(counters, NEXT, 1)
        while block < blocks:
            first = block * length
            n, x = min(length, D - first), (address(X) + first * step, ld)
            part, here = address(w) + first * K * size, scores[block]
            here[:] = zero
            if one_score:
                shape = (n, N) if by_columns else (N, n)
                add_product(zero, x, shape, by_columns, part, address(here))
            else:
                strip_scores(zero, x, part, address(here), (N, n, K))
            atomic_add(counters, DONE, 1)
            block = atomic_add(counters, NEXT, 1)
        above, of_strips = rest[1].size if two_layers else 0, 0 if one_score else scores.shape[1]
        rows_of_S = K + rows_of_scratch(K, above, 1) + 1
        of_rest, spins = gradient_length(K, above)[0] + above, 0
        numbers = rows_of_S * padded(N) + of_strips + of_rest + padded(length) * K
        memory = np.empty(numbers, X.dtype)
        S, start = carve(memory, 0, rows_of_S, padded(N))
        strips, start = memory[start : start + of_strips], start + of_strips
        partial, start = carve(memory, start, 1, of_rest)
        partial[:], C = 0, memory[start:]  # C is read where the reduction reads whole vectors
        S, scratch, room = S[:K], S[K:-1], room_for_targets(N, y, weight, rows, S[-1])
        while atomic_load(counters, DONE) < blocks:
            spins = wait_a_moment(spins)
            if team[FAILED] != 0:  # a block that was taken may never be done
                return
        atomic_add(team, WAITED, spins)
        if one_score:
            S[0] = b[0]
            for k in range(blocks):
                for i in range(N):
                    S[0, i] += scores[k, i]
        else:
            sum_strips(scores, b, strips, S, N)
        labels, s, doubtful = targets(y, weight, rows, 0, N, room)
        want_gradient, weights = goal != Goal.NOTHING, total(s, N)
        loss, invalid = residual(S, labels, s, scratch, rest, partial[0], want_loss, want_gradient)
        if not one_score:
            write_strips(S, N, strips)
        # The last blocks come first now: they are in the cache.
        block = blocks - 1 - atomic_add(counters, AGAIN, 1)
        while block >= 0:
            first, wrong = block * length, 0.0
            n, x = min(length, D - first), (address(X) + first * step, ld)
            if want_gradient:
                C[:] = zero
                here = slice(first * K, (first + n) * K)
                if one_score:
                    shape = (n, N) if by_columns else (N, n)
                    add_product(zero, x, shape, not by_columns, address(S), address(C))
                else:
                    strip_gradient(zero, x, address(C), address(strips), (N, n, K))
                wrong += write_run(C[: n * K], w[here], dw[here], goal, (reg, rate, weights))
            if block == 0:
                sums[0], sums[1] = loss, weights
                wrong += doubtful + invalid
                if want_gradient:
                    for k in range(K):
                        C[k] = total(S[k], N)
                    wrong += write_run(C[:K], b, db, goal, (0.0, rate, weights))
                    if two_layers:
                        upper, place = (rest[0], rest[1]), (written[2], written[3])
                        averaging = reg, rate, weights
                        wrong += reduce_layer(partial, AT_START, upper, place, goal, averaging)
            sums[2 + block] = wrong
            block = blocks - 1 - atomic_add(counters, AGAIN, 1)

    run_shared_pass = make_shared(feature_pass)

    @device_function
    def run(batch, layers, written, asked, team, helpers):
        """Run the pass with at most this number of helpers; return loss, weight, invalid count."""
        (X, _, _, rows), K, above = batch, layers[1].size, layers[3].size if two_layers else 0
        N, plan = len(X), blocks_of_features(X, rows, K, above, one_score)
        numbers = padded(N) if one_score else numbers_of_strips(N, K, X.itemsize)
        scores, sums = np.empty((plan[0], numbers), X.dtype), np.empty(2 + plan[0])
        counters = carray(stack_memory(COUNTERS_BYTES), 2 * DONE, np.int64)
        call = batch, layers, written, plan, (scores, sums, counters, team), asked
        run_shared_pass(call, counters, team, helpers)
        invalid = 0.0
        for wrong in sums[2:]:
            invalid += wrong
        return sums[0], sums[1], invalid

    return run
