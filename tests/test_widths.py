"""The micro-kernels at every width of vectors, and as compiled for a smaller processor."""

import os
import platform
import subprocess
import sys

import pytest

from kernels.engine import vectors

PROGRAM = """
import sys; sys.path.insert(0, "tests")
import numpy as np
from cases import PROBLEMS, random_batch
from kernels.engine import vectors
from test_equal import assert_equal_to_oracle
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
# The tests in this process have the width of its processor.
CASES = [
    ({"KERNELS_VECTOR_BYTES": str(width)}, f"assert vectors.VECTOR_BYTES == {width}")
    for width in (16, 32, 64)
    if width != vectors.VECTOR_BYTES
]
if platform.machine() in ("x86_64", "AMD64"):
    CASES.append(
        ({"NUMBA_CPU_NAME": "nehalem"}, "assert vectors.VECTOR_BYTES == 16 and not vectors.FUSED")
    )


@pytest.fixture(scope="module")
def runs():
    """All at once: most of their time is compiling."""
    command = [sys.executable, "-c"]
    return [
        subprocess.Popen(
            [*command, PROGRAM.format(check=check)],
            env={**os.environ, **setting},
            stdout=-1,
            stderr=-1,
            text=True,
        )
        for setting, check in CASES
    ]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[str(setting) for setting, _ in CASES])
def test_every_width_gives_the_oracles_gradient(runs, case):
    output, errors = runs[case].communicate()
    assert output == "equal\n", errors
