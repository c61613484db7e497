"""The micro-kernels at every width of vectors, and as compiled for a smaller processor."""

import platform

import numpy as np
import pytest

from kernels.engine import vectors
from kernels.engine.jit import jit
from kernels.engine.tile_pass import total, weighted_total
from tests.helpers.cases import DTYPES
from tests.helpers.interpreter import run_program
from tests.helpers.marks import compiled

PROGRAM = """
import numpy as np
from tests.helpers.cases import PROBLEMS, random_batch
from kernels.engine import vectors
from tests.helpers.comparison import assert_equal_to_oracle
{check}
rng = np.random.default_rng(7)
for shape in [(1, 1, 2, 1), (17, 9, 10, 8), (33, 70, 7, 5), (130, 3, 4, 16)]:
    for problem in PROBLEMS:
        for dtype in ("float32", "float64"):
            X, *rest = random_batch(problem, rng, shape, dtype)
            for ordered in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
                assert_equal_to_oracle(problem, "tiled", ordered, *rest, reg=0.1)
print("equal")
"""
X86 = platform.machine() in ("x86_64", "AMD64")
FOR_X86 = pytest.mark.skipif(not X86, reason="a processor of another kind")
SMALLER = "assert vectors.VECTOR_BYTES == 16 and not vectors.FUSED"
CASES = [  # each compiles everything anew; the other tests have the width of this processor
    pytest.param("NUMBA_CPU_NAME", "nehalem", SMALLER, marks=FOR_X86),
    *(
        pytest.param(
            "KERNELS_VECTOR_BYTES",
            str(width),
            f"assert vectors.VECTOR_BYTES == {width}",
            marks=pytest.mark.slow,
        )
        for width in (16, 32, 64)
        if width != vectors.VECTOR_BYTES
    ),
]


@pytest.mark.parametrize(("name", "value", "check"), CASES)
def test_every_width_gives_the_oracles_gradient(name, value, check):
    done = run_program(PROGRAM.format(check=check), **{name: value})
    assert done.stdout == "equal\n", done.stderr


@jit
def sums_of(numbers, weights, n):
    return total(numbers, n), weighted_total(weights[:n], numbers)


@jit
def sums_of_many(numbers, weights, n):
    """The same, where LLVM knows more: inlined into a loop, with other sums beside them."""
    found, beside = np.zeros((3, 2)), 0.0
    for i in range(3):
        found[i, 0] = total(numbers, n)
        found[i, 1] = weighted_total(weights[:n], numbers)
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
