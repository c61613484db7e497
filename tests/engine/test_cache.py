"""Compiled code on disk: found again, and not used once its source or its target has changed.

Each test runs new processes with a copy of the package.
"""

import shutil

import pytest

from tests.helpers.marks import fork
from tests.helpers.packages import cached, copy_of_kernels, home_of, run

PROGRAM = """
import numpy as np
from kernels import softmax
dW, db = softmax.gradient([[1.0, 2.0]], [0], np.zeros((2, 2)), np.zeros(2), variant="loop")
print(dW.ravel().tolist(), sum(softmax.sums_loop.stats.cache_hits.values()))
"""
RIGHT = "[-0.5, 0.5, -1.0, 1.0]"
ENTRIES = "softmax.sums_loop.*.nbc"


@pytest.fixture
def install(tmp_path):
    """A copy of the package."""
    return copy_of_kernels(tmp_path)


def forbid(directory):
    """A file where the directory would be: nobody, root included, can write into it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.write_text("not a directory")


def test_a_second_process_compiles_nothing(install):
    assert run(install, PROGRAM) == f"{RIGHT} 0"
    assert run(install, PROGRAM) == f"{RIGHT} 1"
    assert len(cached(install / "__pycache__", ENTRIES)) == 1


@pytest.mark.parametrize("file", ["validate.py", "engine/vectors.py"])
def test_an_edit_of_any_file_is_noticed(install, file):
    run(install, PROGRAM)
    (old,) = cached(install, ENTRIES)
    (install / file).write_text((install / file).read_text() + "\n# edited\n")
    assert run(install, PROGRAM) == f"{RIGHT} 0"
    (new,) = cached(install, ENTRIES)
    assert new != old, "the old entry has gone"


DESCENTS = """
from kernels import linear, logistic
X, y = [[0.0, 0.2], [0.4, 0.6], [0.8, 1.0]], [1, -1, 1]
for problem in ({}):
    print(problem.descend(X, y, learning_rate=0.1, max_iter=50, tol=0).w.tolist())
"""


def test_what_two_processes_compiled_is_not_mixed_up_in_a_third(install):
    """Numba would number functions of one name alike, and link one in place of the other."""
    linear, logistic = (run(install, DESCENTS.format(f"{n},")) for n in ("linear", "logistic"))
    assert linear != logistic
    assert run(install, DESCENTS.format("linear, logistic")) == f"{linear}\n{logistic}"
    assert run(install, DESCENTS.format("logistic, linear")) == f"{logistic}\n{linear}"


@fork
def test_a_forked_child_gives_other_names_than_its_parent(install):
    """Both may compile, and a third process load what they kept."""
    program = """if True:
        import os, kernels
        from numba.core.bytecode import FunctionIdentity
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, str(next(FunctionIdentity._unique_ids)).encode())
            os._exit(0)
        print(abs(int(os.read(read, 99)) - next(FunctionIdentity._unique_ids)) > 10**6)
    """
    assert run(install, program) == "True"


def test_an_edit_of_the_formula_changes_the_result(install):
    run(install, PROGRAM)
    source = install / "softmax.py"
    source.write_text(source.read_text().replace("return k == y[n]", "return 2 * (k == y[n])"))
    assert run(install, PROGRAM) == "[-1.5, 0.5, -3.0, 1.0] 0"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:100],
        lambda data: b"",
        lambda data: data[:-1] + b"?",
        lambda data: b"\n" + data,
    ],
)
def test_a_damaged_entry_is_replaced(install, damage):
    run(install, PROGRAM)
    (entry,) = cached(install, ENTRIES)
    entry.write_bytes(damage(entry.read_bytes()))
    assert run(install, PROGRAM) == f"{RIGHT} 0"
    assert run(install, PROGRAM) == f"{RIGHT} 1"


def test_a_read_only_install_uses_the_cache_of_the_user(install):
    forbid(install / "__pycache__")
    assert run(install, PROGRAM) == f"{RIGHT} 0"
    assert run(install, PROGRAM) == f"{RIGHT} 1"
    assert cached(home_of(install), ENTRIES)


def test_nowhere_to_write(install, tmp_path):
    forbid(install / "__pycache__")
    forbid(tmp_path / "no_home")
    for _ in range(2):
        assert run(install, PROGRAM, HOME=str(tmp_path / "no_home")) == f"{RIGHT} 0"


def test_the_directory_of_numba_is_respected(install, tmp_path):
    chosen = tmp_path / "chosen"
    assert run(install, PROGRAM, NUMBA_CACHE_DIR=str(chosen)) == f"{RIGHT} 0"
    assert run(install, PROGRAM, NUMBA_CACHE_DIR=str(chosen)) == f"{RIGHT} 1"
    assert cached(chosen, ENTRIES)
    assert not cached(install, ENTRIES)


def test_another_target_gets_code_of_its_own(install):
    run(install, PROGRAM)
    assert run(install, PROGRAM, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == f"{RIGHT} 0"
    assert run(install, PROGRAM) == f"{RIGHT} 1"


def test_a_part_is_not_taken_for_the_whole(install):
    """The same function, compiled for calls from Python and as a part of its callers."""
    program = """
import numpy as np
from kernels.engine.jit import jit
from kernels.engine.summation import total
x = np.ones(3)
print(jit(total.py_func)(x, 3), jit(lambda x: total(x, len(x)))(x))
"""
    for _ in range(2):
        assert run(install, program) == "3.0 3.0"
    assert len(cached(install, "summation.total.*.nbc")) == 2
