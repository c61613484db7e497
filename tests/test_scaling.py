"""The recipes of docs/scaling.md for other engines, each run where its library is installed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers.interpreter import ROOT

pytestmark = pytest.mark.slow

BEFORE = """
import numpy as np
import kernels
from kernels import softmax

rng = np.random.default_rng(0)
X, y = rng.normal(size=(6000, 7)), rng.integers(0, 4, 6000)
W, b = rng.normal(size=(7, 4)), rng.normal(size=4)
blocks = [(X[i : i + 700], y[i : i + 700]) for i in range(0, 6000, 700)]
whole = kernels.Blocks(blocks)
"""
OF_A_RANK = """
from mpi4py import MPI
blocks = blocks[MPI.COMM_WORLD.rank :: MPI.COMM_WORLD.size]
"""
AFTER = """
loss, gradient = step(W, b)
expected = softmax.loss_and_gradient(whole, None, W, b)
same = loss == expected[0] and all(map(np.array_equal, gradient, expected[1]))
if EXACT:
    assert same
# In any order a sum of 6000 terms of at most 10 is off by at most 6000² eps 10, and the mean by
# 1/6000 of that.
bound = 2 * 6000 * 2.3e-16 * 10
assert abs(loss - expected[0]) <= bound
assert all(np.abs(a - b).max() <= bound for a, b in zip(gradient, expected[1]))
print("done")
"""


def recipe(name):
    """The code block of the page that imports this module."""
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "scaling.md").read_text(), re.DOTALL
    )
    found = [
        block for block in blocks if re.search(rf"^(from|import) {name}\b", block, re.MULTILINE)
    ]
    assert len(found) == 1
    return found[0]


def run(tmp_path, program, *launcher):
    script = tmp_path / "script.py"
    script.write_text(program)
    done = subprocess.run(
        [*launcher, sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", ["joblib", "ray", "pyspark"])
def test_a_recipe(library, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    exact = f"EXACT = {library != 'pyspark'}\n"
    assert "done" in run(tmp_path, BEFORE + recipe(library) + exact + AFTER)


def test_mpi(tmp_path):
    launcher = shutil.which("mpiexec", path=str(ROOT / ".venv" / "bin")) or shutil.which("mpiexec")
    if importlib.util.find_spec("mpi4py") is None or launcher is None:
        pytest.skip("mpi4py and mpiexec are not installed")
    program = BEFORE + OF_A_RANK + recipe("mpi4py") + "EXACT = False\n" + AFTER
    assert run(tmp_path, program, launcher, "-n", "2").count("done") == 2
