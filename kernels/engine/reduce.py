"""The reduction after the pass: partial sums are added in chunk order, averaged and written."""

from enum import IntEnum

import numpy as np

from .average import average
from .jit import device_function
from .tile_pass import SQUARE, gradient_length
from .vectors import keep_out_of_line

BLOCK = 256  # elements that are added over the chunks at a time


class Goal(IntEnum):
    """The values that a call writes into its output, besides the loss."""

    NOTHING = 0
    SUMS = 1  # neither averaged nor penalised
    GRADIENT = 2
    STEP = 3  # the parameters after a step of gradient descent


@device_function(fastmath={"reassoc", "contract"})
def squares(numbers):
    """Return the sum of the squares, in float64."""
    result = 0.0
    for i in range(len(numbers)):
        result += np.float64(numbers[i]) * np.float64(numbers[i])
    return result


@device_function
def totals(sums):
    """Return loss, weight and invalid count, each summed over the chunks."""
    loss, weight, invalid = 0.0, 0.0, 0.0
    for chunk in range(len(sums)):
        loss += sums[chunk, 0]
        weight += sums[chunk, 1]
        invalid += sums[chunk, 2]
    return loss, weight, invalid


@device_function
def reduce_layer(partials, start, wide, layer, out, goal, settings):
    """Sum a layer's partial gradients in float64, and write what `goal` selects into `out`.

    Returns the number of written values that are not finite.
    """
    keep_out_of_line()
    (W, b), (dW, db), (reg, rate, weight) = layer, out, settings
    (D, K), invalid, block = W.shape, 0, np.empty(BLOCK)
    if goal == Goal.SUMS:  # division by the weight 1 leaves sums as they are
        reg, weight = 0.0, 1.0
    # out = kept · W + factor · dW: the gradient, or the parameters after a step
    kept, factor = W.dtype.type(goal == Goal.STEP), W.dtype.type(-rate if goal == Goal.STEP else 1)
    length, row = gradient_length(D, K, wide)
    width = min(K, BLOCK if wide else SQUARE)
    height = BLOCK // width
    transposed, flat, flat_out = np.empty(0 if wide else BLOCK), W.reshape(-1), dW.reshape(-1)
    for i in range(0, D, height):
        for j in range(0, K, width):
            h, w = min(height, D - i), min(width, K - j)
            offset = start + (i * row + j if wide else j * row + i)
            lines, line_length = (h, w) if wide else (w, h)
            block[:] = 0
            for chunk in range(len(partials)):
                for line in range(lines):
                    for place in range(line_length):
                        total = partials[chunk, offset + line * row + place]
                        block[line * line_length + place] += total
            numbers = block
            if not wide:
                for k in range(w):
                    for d in range(h):
                        transposed[d * w + k] = block[k * h + d]
                numbers = transposed
            # whole rows of `out` are contiguous and written as one run, which LLVM vectorises
            runs, run = (1, h * K) if w == K else (h, w)
            for r in range(runs):
                out_offset = (i + r) * K + j
                for e in range(run):
                    parameter = flat[out_offset + e]
                    mean = average(numbers[r * run + e], weight, reg, parameter)
                    flat_out[out_offset + e] = mean
                    flat_out[out_offset + e] = kept * parameter + factor * flat_out[out_offset + e]
                    invalid += not np.isfinite(flat_out[out_offset + e])
    for k in range(K):
        total = 0.0
        for chunk in range(len(partials)):
            total += partials[chunk, start + length + k]
        db[k] = average(total, weight, 0.0, b[k])
        db[k] = kept * b[k] + factor * db[k]
        invalid += not np.isfinite(db[k])
    return invalid
