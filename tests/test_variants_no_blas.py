"""`tiled` computes every random shape itself: it calls no BLAS and no other variant."""

import platform
import random
import signal

import pytest

from tests.helpers.interpreter import run_python

# An illegal instruction overwrites the first bytes of each product in the loaded BLAS libraries.
PROGRAM = """
import ctypes, itertools, sys
import numpy as np
from threadpoolctl import threadpool_info
from bench.draw import draw
from bench.problems import DTYPES, flop

libc, found = ctypes.CDLL(None, use_errno=True), 0
routines = [t + name for t in "sd" for name in ("gemm", "gemv", "dot", "syrk", "axpy", "ger")]
forms = itertools.product(("", "scipy_"), ("cblas_{}", "{}_"), ("", "64_"))
names = [prefix + form.format(r) + suffix for prefix, form, suffix in forms for r in routines]
for library in (ctypes.CDLL(p["filepath"]) for p in threadpool_info() if p["user_api"] == "blas"):
    for name in names:
        if hasattr(library, name):
            at = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            if libc.mprotect(ctypes.c_void_p(at & -4096), 8192, 7):
                sys.exit("the code of BLAS is protected")
            ctypes.memmove(at, bytes([0x0F, 0x0B]), 2)
            found += 1
if not found:
    sys.exit("no BLAS was found")

def refuse(*_):
    raise AssertionError("another variant was called")

for problem, dtype in draw(60, int(sys.argv[1]), (), DTYPES):
    sums = problem.module.PROBLEM.variants.sums
    sums.update(dict.fromkeys(set(sums) - {"tiled"}, refuse))
    if flop(problem.shape) < 1e8:
        problem.module.loss_and_gradient(*problem.batch(dtype), reg=0.1, variant="tiled")
print("tiled is done", flush=True)
np.ones((50, 50)) @ np.ones((50, 50))
"""


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64",
    reason="overwrites machine code of x86-64, by Linux's means",
)
def test_tiled_calls_no_blas_and_no_other_variant():
    done = run_python("-c", PROGRAM, random.randrange(2**32))
    if "BLAS was found" in done.stderr or "BLAS is protected" in done.stderr:
        pytest.skip(done.stderr)
    assert "tiled is done" in done.stdout, done.stderr
    assert done.returncode == -signal.SIGILL  # the product of NumPy after it does call BLAS
