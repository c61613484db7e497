"""The micro-kernels at every width of vectors, and as compiled for a smaller processor."""

import platform

import pytest

from kernels.engine import vectors
from tests.helpers.cases import DTYPES
from tests.helpers.interpreter import run_program

PROGRAM = """
import numpy as np
from tests.helpers.cases import PROBLEMS, random_batch
from kernels.engine import vectors
from tests.helpers.comparison import assert_equal_to_oracle
{check}
rng = np.random.default_rng(7)
for shape in [(1, 1, 2, 1), (17, 9, 10, 8), (33, 70, 7, 5), (130, 3, 4, 16)]:
    for problem in PROBLEMS:
        X, *rest = random_batch(problem, rng, shape, "{dtype}")
        for ordered in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
            assert_equal_to_oracle(problem, "tiled", ordered, *rest, reg=0.1)
print("equal")
"""
X86 = platform.machine() in ("x86_64", "AMD64")
FOR_X86 = pytest.mark.skipif(not X86, reason="a processor of another kind")
NEHALEM = "NUMBA_CPU_NAME", "nehalem", "assert vectors.VECTOR_BYTES == 16"
CASES = [  # each compiles everything anew; the other tests have the width of this processor
    pytest.param(*NEHALEM, "float32", marks=FOR_X86),
    pytest.param(*NEHALEM, "float64", marks=[FOR_X86, pytest.mark.slow]),
    *(
        pytest.param(
            "KERNELS_VECTOR_BYTES",
            str(width),
            f"assert vectors.VECTOR_BYTES == {width}",
            dtype,
            marks=pytest.mark.slow,
        )
        for width in (16, 32, 64)
        if width != vectors.VECTOR_BYTES
        for dtype in DTYPES
    ),
]


@pytest.mark.parametrize(("name", "value", "check", "dtype"), CASES)
def test_every_width_gives_the_oracles_gradient(name, value, check, dtype):
    done = run_program(PROGRAM.format(check=check, dtype=dtype), **{name: value})
    assert done.stdout == "equal\n", done.stderr
