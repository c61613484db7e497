"""The cache of compiled code with functions from outside the package: what the key covers."""

import os
from pathlib import Path

import numba
import numpy as np
import poisson
import pytest

from kernels.engine import cache
from tests.helpers.interpreter import run_python
from tests.helpers.marks import compiled
from tests.helpers.packages import cached

PROGRAM = """
import numpy as np
from numba import njit
import helpers
from helpers import half
import kernels
from poisson import sums_loop, sums_numpy, counts

SCALE = 1.0

@njit
def residual(z, y):
    r = z - y
    return SCALE * half(r) * r, SCALE * r

problem = kernels.Problem(
    "own", parameters={"w": "D", "b": ""}, loop=sums_loop, numpy=sums_numpy, residual=residual
)
print(problem.loss(np.ones((4, 1)), np.zeros(4), np.ones(1)))
"""
HELPERS = """
from numba import njit

@njit
def half(r):
    return 0.5 * r
"""


@pytest.fixture
def run(tmp_path):
    """Runs the program in a process of its own: what it printed, and the entries of the cache."""

    def run(program=PROGRAM, helpers=HELPERS):
        (tmp_path / "helpers.py").write_text(helpers)
        (tmp_path / "own.py").write_text(program)
        path = os.pathsep.join([str(tmp_path), str(Path(poisson.__file__).parent)])
        settings = {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        done = run_python("-B", "-c", "import own", **settings)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        kept = {entry.name for entry in cached(tmp_path / "cache", "driver.make_driver.*.nbc")}
        return float(done.stdout), kept

    return run


@compiled
def test_an_edit_of_the_residual_or_of_what_it_calls_is_noticed(run):
    loss, kept = run()
    assert loss == 0.5
    assert kept
    assert run() == (loss, kept)  # nothing was compiled
    assert run("# a comment above\n" + PROGRAM)[1] == kept
    assert run(PROGRAM.replace("SCALE * half", "2 * half"))[0] == 1.0
    assert run(helpers=HELPERS.replace("0.5", "0.25"))[0] == 0.25


@compiled
def test_what_cannot_be_covered_is_not_kept(run):
    """A function that is reached through a module may change without a trace."""
    program = PROGRAM.replace("half(r)", "helpers.half(r)")
    loss, kept = run(program)
    assert (loss, kept) == (0.5, set())
    assert run(program, HELPERS.replace("0.5", "0.25"))[0] == 0.25


def function_of(value):
    @numba.njit
    def function(x):
        return x + value

    return function


SCALE = 1.0


@numba.njit
def function_of_a_global(x):
    return SCALE * x


def recursive_of(n):
    return n if n < 2 else recursive(n - 1)


recursive = numba.njit(recursive_of)


@compiled
def test_the_key_covers_closures_globals_and_options(monkeypatch):
    keys = [1, 1.0, 2, np.arange(3), np.arange(1, 4), function_of(1), function_of(2), (1, "a")]
    found = [repr(cache.source_of(function_of(value))) for value in keys]
    assert len(set(found)) == len(keys)
    assert found == [repr(cache.source_of(function_of(value))) for value in keys]
    assert cache.source_of(recursive)
    before = repr(cache.source_of(function_of_a_global))
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert repr(cache.source_of(function_of_a_global)) != before
    faster = numba.njit(fastmath=True)(function_of_a_global.py_func)
    assert repr(cache.source_of(faster)) != repr(cache.source_of(function_of_a_global))
    for value in (object(), test_what_cannot_be_covered_is_not_kept, pytest):
        with pytest.raises(cache.NotCoveredError):
            cache.source_of(function_of(value))
