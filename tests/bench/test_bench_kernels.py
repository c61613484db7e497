"""The calls that the benchmark times, and pytest-benchmark's own run of them."""

import threading
import time

import numpy as np
import pytest

from bench import bench_kernels
from bench.measure.plan import BASELINE, Case
from bench.problems import PROBLEMS
from kernels import softmax, two_layer
from tests.helpers.interpreter import run_python
from tests.helpers.reports import AIRFOIL


def test_pytest_alone_runs_the_table():
    """With pytest-benchmark's own options, and no report."""
    options = ["-q", "-k", "spiral and float32", "--benchmark-only", "--benchmark-max-time=0.01"]
    done = run_python("-m", "pytest", "bench", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{1 + len(softmax.VARIANTS)} passed" in done.stdout  # the baseline too


def test_what_is_timed_is_the_public_call():
    """A variant is timed with its checks, which refuse a nan; the baseline has none."""
    X, *rest = AIRFOIL.batch("float64")
    wrong = X.copy()
    for variant in AIRFOIL.variants:
        call = bench_kernels.prepared(Case(AIRFOIL, "float64", variant), (wrong, *rest))
        wrong[700, 3] = np.nan
        with pytest.raises(ValueError, match=r"X holds nan at row 700, column 3"):
            call()
        wrong[700, 3] = X[700, 3]
    loss, _ = bench_kernels.prepared(Case(AIRFOIL, "float64", BASELINE), (X * np.nan, *rest))()
    assert np.isnan(loss)


def test_no_timed_call_compiles():
    """Where 8 rows, with which other variants are prepared, take another pass than all."""
    cells = {str(problem): problem for problem in PROBLEMS}
    problem, kernel = cells["two_layer-digits-200x64x32x10"], two_layer.PROBLEM.variants.kernel
    kernel.clear()
    kernel.plans.clear()
    call = bench_kernels.prepared(Case(problem, "float64", "tiled"), problem.batch("float64"))
    assert len(kernel) == 1
    call()
    assert len(kernel) == 1


def test_a_timing_waits_for_threads_that_are_busy():
    """As those of OpenBLAS are for a tenth of a second after a call."""
    done = threading.Event()

    def spin():
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
        done.set()

    threading.Thread(target=spin).start()
    bench_kernels.settle()
    assert done.is_set()
