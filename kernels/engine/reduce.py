"""After the pass: the chunks' sums are added in their order, averaged, and written out."""

from enum import IntEnum

import numpy as np

from .average import average
from .jit import device_function
from .tile_pass import SQUARE, gradient_length
from .vectors import keep_out_of_line

BLOCK = 256  # numbers that are added over the chunks at a time


class Goal(IntEnum):
    """What a call writes into its output, beside the loss."""

    NOTHING = 0
    SUMS = 1  # neither averaged nor penalised
    GRADIENT = 2
    STEP = 3  # the parameters after a step of gradient descent


@device_function(fastmath={"reassoc", "contract"})
def squares(numbers):
    """Sum of the squares, in float64."""
    result = 0.0
    for i in range(len(numbers)):
        result += np.float64(numbers[i]) * np.float64(numbers[i])
    return result


@device_function
def totals(sums):
    """Sum of the losses, of the weights, and of what was invalid, of all chunks."""
    loss, weight, invalid = 0.0, 0.0, 0.0
    for chunk in range(len(sums)):
        loss += sums[chunk, 0]
        weight += sums[chunk, 1]
        invalid += sums[chunk, 2]
    return loss, weight, invalid


@device_function
def reduce_layer(partials, start, wide, layer, out, goal, settings):
    """Add up a layer's partial gradients, in float64, and write what is wanted of them into `out`.

    Gives how many of its numbers are not finite.
    """
    keep_out_of_line()
    (W, b), (dW, db), (reg, rate, weight) = layer, out, settings
    (D, K), invalid, block = W.shape, 0, np.empty(BLOCK)
    if goal == Goal.SUMS:  # averaged over the weight 1: as they are
        reg, weight = 0.0, 1.0
    # the gradient, or the parameters after a step against it: kept · W + factor · dW
    kept, factor = W.dtype.type(goal == Goal.STEP), W.dtype.type(-rate if goal == Goal.STEP else 1)
    length, row = gradient_length(D, K, wide)
    width = min(K, BLOCK if wide else SQUARE)
    height = BLOCK // width
    turned, flat, flat_out = np.empty(0 if wide else BLOCK), W.reshape(-1), dW.reshape(-1)
    for i in range(0, D, height):
        for j in range(0, K, width):
            h, w = min(height, D - i), min(width, K - j)
            at = start + (i * row + j if wide else j * row + i)
            lines, line_length = (h, w) if wide else (w, h)
            block[:] = 0
            for chunk in range(len(partials)):
                for line in range(lines):
                    for place in range(line_length):
                        total = partials[chunk, at + line * row + place]
                        block[line * line_length + place] += total
            numbers = block
            if not wide:
                for k in range(w):
                    for d in range(h):
                        turned[d * w + k] = block[k * h + d]
                numbers = turned
            # rows of `out` that are whole follow one another: one run, which LLVM makes vectors of
            runs, run = (1, h * K) if w == K else (h, w)
            for r in range(runs):
                first = (i + r) * K + j
                for e in range(run):
                    parameter = flat[first + e]
                    mean = average(numbers[r * run + e], weight, reg, parameter)
                    flat_out[first + e] = mean
                    flat_out[first + e] = kept * parameter + factor * flat_out[first + e]
                    invalid += not np.isfinite(flat_out[first + e])
    for k in range(K):
        total = 0.0
        for chunk in range(len(partials)):
            total += partials[chunk, start + length + k]
        db[k] = average(total, weight, 0.0, b[k])
        db[k] = kept * b[k] + factor * db[k]
        invalid += not np.isfinite(db[k])
    return invalid
