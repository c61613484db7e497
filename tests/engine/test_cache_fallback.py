"""A Numba without one of the private interfaces in `engine/cache.py`: results stay right.

Each test starts processes that hide an interface while a small package with the same `cache.py` and
`jit.py` is imported.
"""

import pytest

from kernels.engine import cache
from tests.helpers.marks import posix
from tests.helpers.packages import home_of, output, small_package, start

HELPER = """
from tiny.engine.jit import device_function

@device_function
def factor():
    return 2
"""
KERNEL = """
import numpy as np
from tiny.engine.jit import jit
from tiny.helper import factor

@jit
def scaled(x):
    return np.full(3, x) * factor()

def multiply_by(number):
    @jit
    def multiply(x):
        return x * number
    return multiply
"""
HIDE = """
import importlib, sys

def hide(module, *names):
    # Import tiny where an attribute, or the module, seems not to exist; Numba itself keeps it.
    if not names:
        sys.modules[module] = None
        return
    *owners, last = names
    owner = importlib.import_module(module)
    for name in owners:
        owner = getattr(owner, name)
    kept = vars(owner)[last]
    delattr(owner, last)
    import tiny.engine.cache
    setattr(owner, last, kept)

import numba
from numba.core.dispatcher import Dispatcher

def hidden_cache(self, name):
    if name == "_cache" and "tiny" in sys._getframe(1).f_code.co_filename:
        raise AttributeError(name)
    return super(Dispatcher, self).__getattribute__(name)

"""
USE = """
from tiny.kernel import multiply_by, scaled
results = scaled(4).tolist(), multiply_by(3)(4), multiply_by(5)(4)
print(*results, sum(scaled.stats.cache_hits.values()))
"""
RIGHT = "[8, 8, 8] 12 20"


@pytest.fixture
def tiny(tmp_path):
    """A package of a kernel and of a module that it uses."""
    return small_package(tmp_path, helper=HELPER, kernel=KERNEL)


def run(tiny, program, **environment):
    """What a new process prints, and what it warns of."""
    return output(start(tiny, HIDE + program, **environment))


NEEDED = {
    "NullCache": 'hide("numba.core.caching", "NullCache")',
    "JITCPUCodegen.magic_tuple": 'hide("numba.core.codegen", "CPUCodegen", "magic_tuple")',
    "CompileResult.codegen": 'hide("numba.core.compiler", "CompileResult", "codegen")',
    "CompileResult._rebuild": 'hide("numba.core.compiler", "CompileResult", "_rebuild")',
    "CompileResult._reduce": 'hide("numba.core.compiler", "CompileResult", "_reduce")',
    "dumps": 'hide("numba.core.serialize", "dumps")',
    "FunctionIdentity._unique_ids": (
        'hide("numba.core.bytecode", "FunctionIdentity", "_unique_ids")'
    ),
    "Dispatcher._cache": "Dispatcher.__getattribute__ = hidden_cache",
}


@pytest.mark.parametrize("name", NEEDED)
def test_numbas_own_cache_is_used_with_one_warning(tiny, name):
    for hits in (0, 1):
        printed, warned = run(tiny, NEEDED[name] + USE)
        assert printed == f"{RIGHT} {hits}"
        assert warned.count("Warning") == 1, warned
        assert f"RuntimeWarning: Numba {cache.numba.__version__} has no {name}: " in warned
    (own,) = (tiny / "__pycache__").glob("numba.*")
    assert len([*own.rglob("kernel.scaled*.nbi")]) == 1
    assert not [*own.rglob("*multiply*")], "closures would fill the disk"


def test_numbas_own_cache_is_not_stale(tiny):
    """By itself Numba notices neither: an edit of another file, another width of vectors."""
    without = NEEDED["NullCache"] + USE
    for hits in (0, 1):
        assert run(tiny, without, KERNELS_VECTOR_BYTES="16")[0] == f"{RIGHT} {hits}"
    assert run(tiny, without)[0] == f"{RIGHT} 0"
    (tiny / "helper.py").write_text(HELPER.replace("2", "3"))
    assert run(tiny, without)[0] == f"{RIGHT.replace('8', '12')} 0"


@posix
def test_numbas_own_cache_is_used_only_where_nobody_else_can_write(tiny):
    for directory in (tiny / "__pycache__", home_of(tiny) / ".cache" / "numba"):
        directory.mkdir(parents=True)
        directory.chmod(0o777)
    for _ in range(2):
        printed, warned = run(tiny, 'os = __import__("os"); os.umask(0)\n' + NEEDED["dumps"] + USE)
        assert printed.startswith(RIGHT)
        assert warned.count("Warning") == 1, warned
        assert not [*(tiny / "__pycache__").glob("numba.*")]


def test_no_cache_at_all(tiny):
    for _ in range(2):
        program = "del Dispatcher.enable_caching\n" + NEEDED["NullCache"] + USE
        printed, warned = run(tiny, program)
        assert printed == f"{RIGHT} 0"
        assert warned.count("Warning") == 1, warned


WITHOUT = {
    "no memory manager": 'hide("numba.core.runtime", "rtsys")',
    "no lock": 'hide("numba.core.compiler_lock", "global_compiler_lock")',
    "no lock of this kind": 'hide("numba.core.compiler_lock", "_CompilerLock", "acquire")',
    "no directory of the user": 'hide("numba.misc.appdirs", "AppDirs")',
    "no module for it": 'hide("numba.misc.appdirs")',
    "no library": 'hide("numba.core.codegen", "JITCodeLibrary")',
    "no environments": 'hide("numba.core.environment", "lookup_environment")',
    "no features": 'hide("numba.core.codegen", "get_host_cpu_features")',
}
FEATURES = """
from tiny.engine.cache import directories, entry_point, host_features
print(len(directories()), bool(host_features()))
class Other:  # a dispatcher whose results have no entry point
    def compile(self, signature): scaled.compile(signature)
    def __call__(self, x): return scaled(x)
for dispatcher in (scaled, Other()):
    assert entry_point(dispatcher, (numba.types.int64,))(4).tolist() == [8, 8, 8]
"""


@pytest.mark.parametrize("name", WITHOUT)
def test_the_cache_works_without(tiny, name):
    """As before, and without a warning."""
    directories, features = 1 if name in list(WITHOUT)[3:5] else 2, name != "no features"
    for hits in (0, 1):
        printed, warned = run(tiny, WITHOUT[name] + USE + FEATURES)
        assert (printed, warned) == (f"{RIGHT} {hits}\n{directories} {features}", "")


def test_code_from_outside_is_not_cached(tiny):
    """The name of an entry is a hash of the package's source alone."""
    (tiny.parent / "outside.py").write_text("def triple(x):\n    return 3 * x\n")
    program = """
from outside import triple
from tiny.engine.jit import device_function, jit
print(jit(triple)(4))
"""
    for _ in range(2):
        assert run(tiny, program) == ("12", "")
    assert not [*tiny.rglob("*.nbc")]


def test_features_are_those_that_numba_compiles_for(tiny):
    program = "from tiny.engine.cache import host_features\nprint(host_features())"
    assert run(tiny, program, NUMBA_CPU_FEATURES="+avx2")[0] == "+avx2"
    assert run(tiny, program, NUMBA_CPU_NAME="generic")[0] == ""
