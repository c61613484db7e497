"""The reduction after the pass: partial sums are added in chunk order, averaged and written."""

from enum import IntEnum

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .average import average
from .jit import device_function
from .summation import SUM_COLUMNS, dot, sum_chunks
from .tile_pass import gradient_length
from .vectors import address, keep_out_of_line, stack_memory

BLOCK = 2048  # numbers that are added over the chunks at a time: part of the L1 cache
AT_START = np.intp(0)  # of a partial gradient; a literal 0 would compile reduce_layer once more
BLOCK_BYTES = 8 * BLOCK


class Goal(IntEnum):
    """The values that a call writes into its output, besides the loss."""

    NOTHING = 0
    SUMS = 1  # neither averaged nor penalised
    GRADIENT = 2
    STEP = 3  # the parameters after a step of gradient descent


@device_function
def squares(numbers):
    """Return the sum of the squares, in float64."""
    return dot(numbers, numbers)


@device_function
def totals(sums):
    """Return loss, weight and invalid count, each summed over the chunks."""
    loss, weight, invalid = 0.0, 0.0, 0.0
    for chunk in range(len(sums)):
        loss += sums[chunk, 0]
        weight += sums[chunk, 1]
        invalid += sums[chunk, 2]
    return loss, weight, invalid


@register_jitable(forceinline=True, fastmath={"contract"})
def quotient(total, weight, inverse):
    """Return total / weight, rounded as a division is, in less time.

    With one rounding of `total - q * weight`, as of a fused operation, this is the last step of
    Markstein, Computation of elementary functions on the IBM RISC System/6000 processor, 1990.
    """
    q = total * inverse
    return q + (total - q * weight) * inverse


@device_function
def write_run(totals, parameters, out, goal, settings):
    """Write what `goal` selects into `out`; return 0, or 1 if some of it is not finite."""
    (reg, rate, weight), finite = settings, True
    if goal == Goal.SUMS:  # division by the weight 1 leaves sums as they are
        reg, weight = 0.0, 1.0
    inverse = average(1.0, weight, 0.0, 0.0)
    # out = kept · W + factor · dW: the gradient, or the parameters after a step
    dtype = parameters.dtype.type
    kept, factor = dtype(goal == Goal.STEP), dtype(-rate if goal == Goal.STEP else 1)
    for i in range(len(out)):
        mean = quotient(np.float64(totals[i]), weight, inverse)
        value = dtype(average(mean, 1.0, reg, parameters[i]))
        value = kept * parameters[i] + factor * value
        finite &= abs(value) < np.inf
        out[i] = value
    return 0 if finite else 1


@device_function
def write_rows(totals, width, start, shape, layer, goal, settings):
    """Write a block of a layer's gradient as `write_run` does; return how many runs are not finite.

    `totals` has rows of this width; start = (row, column) and shape = (rows, columns) of the block;
    layer = (W, dW).
    """
    (i, j), (rows, columns), (W, dW), invalid = start, shape, layer, 0
    K, flat, flat_out = W.shape[1], W.reshape(-1), dW.reshape(-1)
    # Whole rows are contiguous and written as one run, which LLVM vectorises.
    runs, run = (1, rows * K) if columns == K == width else (rows, columns)
    for r in range(runs):
        at = (i + r) * K + j
        here = slice(at, at + run)
        invalid += write_run(totals[r * width :], flat[here], flat_out[here], goal, settings)
    return invalid


@device_function
def reduce_layer(partials, start, layer, out, goal, settings):
    """Sum a layer's partial gradients in float64, and write what `goal` selects into `out`.

    Returns 0, or more if some of what is written is not finite.
    """
    keep_out_of_line()
    (W, b), (dW, db), (_, rate, weight) = layer, out, settings
    (D, K), zero, size, invalid = W.shape, partials.dtype.type(0), partials.itemsize, 0
    (length, row), chunks = gradient_length(D, K), len(partials)
    sums = carray(stack_memory(BLOCK_BYTES), BLOCK, np.float64)
    blocks = (K * SUM_COLUMNS + BLOCK - 1) // BLOCK  # as even as possible
    width = (K + blocks - 1) // blocks
    height = BLOCK // width // SUM_COLUMNS * SUM_COLUMNS
    strides = partials.strides[0], row * size
    for i in range(0, D, height):
        for j in range(0, K, width):
            h, w = min(height, D - i), min(width, K - j)
            first = address(partials) + (start + j * row + i) * size
            sum_chunks(zero, first, (chunks, w, h), strides, address(sums))
            invalid += write_rows(sums, w, (i, j), (h, w), (W, dW), goal, settings)
    for j in range(0, K, BLOCK):
        w = min(BLOCK, K - j)
        first = address(partials) + (start + length + j) * size
        sum_chunks(zero, first, (chunks, 1, w), strides, address(sums))
        invalid += write_run(sums[:w], b[j : j + w], db[j : j + w], goal, (0.0, rate, weight))
    return invalid
