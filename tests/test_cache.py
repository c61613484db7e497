"""Compiled code on disk: found again, never stale, never in the way. Each test runs a copy of the package in new processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kernels

PROGRAM = """
import numpy as np
from kernels import softmax
dW, db = softmax.gradient([[1.0, 2.0]], [0], np.zeros((2, 2)), np.zeros(2), variant="loop")
print(dW.ravel().tolist(), sum(softmax.loss_and_gradient_loop.stats.cache_hits.values()))
"""
RIGHT = "[-0.5, 0.5, -1.0, 1.0]"
CACHED = "softmax.loss_and_gradient_loop.*.nbc"


@pytest.fixture
def install(tmp_path):
    copy = tmp_path / "site" / "kernels"
    shutil.copytree(Path(kernels.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run(install, **environment):
    """The output of a new process that imports the copy."""
    home = install.parent.parent / "home"
    home.mkdir(exist_ok=True)
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
    environment = {**keep, "PYTHONPATH": str(install.parent), "HOME": str(home), **environment}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=install.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def entries(directory):
    return sorted(directory.rglob(CACHED))


def forbid(directory):
    """A file where the directory would be: nobody, root included, can write into it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.write_text("not a directory")


def test_a_second_process_compiles_nothing(install):
    assert run(install) == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"
    assert len(entries(install / "__pycache__")) == 1


def test_an_edit_of_any_file_is_noticed(install):
    run(install)
    (old,) = entries(install)
    (install / "_check.py").write_text((install / "_check.py").read_text() + "\n# edited\n")
    assert run(install) == f"{RIGHT} 0"
    (new,) = entries(install)
    assert new != old, "the old entry has gone"


def test_an_edit_of_the_formula_changes_the_result(install):
    run(install)
    source = install / "softmax.py"
    source.write_text(source.read_text().replace("(k == y[n])", "2 * (k == y[n])"))
    assert run(install) == "[-1.5, 0.5, -3.0, 1.0] 0"


@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: b"", lambda data: data[:-1] + b"?", lambda data: b"\n" + data]
)
def test_a_damaged_entry_is_replaced(install, damage):
    run(install)
    (entry,) = entries(install)
    entry.write_bytes(damage(entry.read_bytes()))
    assert run(install) == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"


def test_a_read_only_install_uses_the_cache_of_the_user(install):
    forbid(install / "__pycache__")
    assert run(install) == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"
    assert entries(install.parent.parent / "home")


def test_nowhere_to_write(install, tmp_path):
    forbid(install / "__pycache__")
    forbid(tmp_path / "no_home")
    for _ in range(2):
        assert run(install, HOME=str(tmp_path / "no_home")) == f"{RIGHT} 0"


def test_the_directory_of_numba_is_respected(install, tmp_path):
    chosen = tmp_path / "chosen"
    assert run(install, NUMBA_CACHE_DIR=str(chosen)) == f"{RIGHT} 0"
    assert run(install, NUMBA_CACHE_DIR=str(chosen)) == f"{RIGHT} 1"
    assert entries(chosen)
    assert not entries(install)


def test_another_target_gets_code_of_its_own(install):
    run(install)
    assert run(install, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"
