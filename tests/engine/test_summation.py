"""Sums of numbers and of products: right for every length, and the same wherever inlined."""

import numpy as np
import pytest

from kernels.engine.jit import jit
from kernels.engine.summation import SUM_COLUMNS, dot, sum_chunks, total
from kernels.engine.vectors import address
from tests.helpers.cases import DTYPES
from tests.helpers.marks import compiled


@jit
def sums_of(numbers, weights, n):
    return total(numbers, n), dot(weights[:n], numbers)


@jit
def sums_of_many(numbers, weights, n):
    """The same, where LLVM knows more: inlined into a loop, with other sums beside them."""
    found, beside = np.zeros((3, 2)), 0.0
    for i in range(3):
        found[i, 0] = total(numbers, n)
        found[i, 1] = dot(weights[:n], numbers)
        for number in numbers[:n]:
            beside += number
    return found, beside


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_numbers_and_of_products(dtype):
    """Those of wider floats, of n numbers, and the same bits wherever they are inlined."""
    rng, eps = np.random.default_rng(8), np.finfo(dtype).eps
    for n in [*range(140), 1000, 1023]:
        numbers, weights = rng.normal(size=(2, n + 3)).astype(dtype)
        numbers[n:] = np.nan
        added, weighted = sums_of(numbers, weights, n)
        wide, wide_weights = numbers[:n].astype(np.longdouble), weights[:n].astype(np.longdouble)
        products = wide * wide_weights
        # a sum of n has a rounding error of at most (n - 1) eps/2 times that of absolute values
        assert abs(added - wide.sum()) <= n * eps * np.abs(wide).sum()
        assert abs(weighted - products.sum()) <= n * 2.0**-52 * np.abs(products).sum()
        assert (sums_of_many(numbers, weights, n)[0] == [added, weighted]).all()


@jit
def transposed_sums(partials, shape, sums):
    of_chunk, of_row, _ = partials.strides
    zero = partials.dtype.type(0)
    sum_chunks(zero, address(partials), shape, (of_chunk, of_row), address(sums))


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
def test_partial_sums_are_added_in_chunk_order_and_transposed(dtype):
    """In float64, from 0 on; of what lies beyond the columns nothing is in the result."""
    rng = np.random.default_rng(9)
    for _ in range(60):
        chunks, rows, columns = rng.integers(1, [9, 20, 50])
        partials = np.full((chunks, rows, columns + SUM_COLUMNS), np.nan, dtype)
        partials[:, :, :columns] = rng.normal(size=(chunks, rows, columns))
        sums = np.full(rows * (columns + SUM_COLUMNS), np.inf)
        transposed_sums(partials, (chunks, rows, columns), sums)
        want = np.zeros((rows, columns))
        for part in partials[:, :, :columns]:
            want += part
        assert (want == sums[: rows * columns].reshape(columns, rows).T).all()
