"""The tiled kernel neither reads nor writes beyond its arrays.

The arrays lie between pages that nobody may read or write. The kernels work with addresses, which
NUMBA_BOUNDSCHECK does not see; the processor does.
"""

import ctypes
import mmap
import signal

import numpy as np
import pytest

from kernels import variants
from kernels.engine.reduce import Goal
from tests.helpers.cases import DTYPES, PROBLEMS, SHAPES, random_batch
from tests.helpers.comparison import assert_equal_to_oracle
from tests.helpers.interpreter import run_program
from tests.helpers.marks import linux

MORE_SHAPES = [
    (1, 1, 2, 1),
    (3, 2, 3, 4),
    (9, 5, 4, 7),
    (31, 17, 5, 8),
    (64, 33, 9, 15),
    (129, 65, 17, 16),
    (5003, 7, 3, 5),
    (43, 301, 29, 27),  # from here on the parameters are shared, not the samples
    (3, 2605, 9, 11),
    (5, 1003, 3, 4),  # the features, with as few scores and samples
]
PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_kept = []  # mappings of this process


def between_guards(size, at_end=True):
    """`size` writable bytes; the byte after them (before them if not at_end) kills the process."""
    pages = -(-size // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    _kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (start, start + (pages + 1) * PAGE):
        assert (
            _libc.mprotect(
                ctypes.c_void_p(guard),
                ctypes.c_size_t(PAGE),
                mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0,
            )
            == 0
        )
    offset = PAGE * (pages + 1) - size if at_end else PAGE
    return np.frombuffer(memory, np.uint8, size, offset)


def guarded(a, at_end=True):
    """A copy in the same order whose last (or first) byte is the last (or first) that exists."""
    a = np.asarray(a)
    order = "F" if a.flags.f_contiguous and not a.flags.c_contiguous else "C"
    copy = between_guards(a.nbytes, at_end).view(a.dtype).reshape(a.shape, order=order)
    copy[...] = a
    return copy


class GuardedNumPy:
    """NumPy, whose new arrays, into which the kernels write, lie between guards."""

    def __init__(self, at_end):
        self.at_end = at_end

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, shape, dtype=float):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return (
            between_guards(size, self.at_end).view(dtype).reshape(shape)
            if size
            else np.empty(shape, dtype)
        )

    def zeros(self, shape, dtype=float):
        return self.empty(shape, dtype)  # new pages are zero


def run_between_guards():
    """In a process of its own, which an access beyond a border kills."""
    rng = np.random.default_rng(50)
    shapes = [*SHAPES, *MORE_SHAPES]
    for dtype in DTYPES:  # compile, before NumPy is another
        for problem, module in PROBLEMS.items():
            module.gradient(*random_batch(problem, rng, shapes[-1], dtype), threads=2)
    for at_end in (True, False):
        variants.np = guarding = GuardedNumPy(at_end)
        variants.empty, variants.zeros = guarding.empty, guarding.zeros
        for shape in shapes:
            for problem in PROBLEMS:
                for dtype in DTYPES:
                    X, *rest = (
                        np.asarray(part) for part in random_batch(problem, rng, shape, dtype)
                    )
                    rest = [guarded(part, at_end) if part.ndim else float(part) for part in rest]
                    for laid_out in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)):
                        passed = guarded(laid_out, at_end)
                        passed = passed[:, 1::2] if laid_out.shape != X.shape else passed
                        s = guarded(np.ones(len(X), dtype), at_end)
                        assert_equal_to_oracle(
                            problem, "tiled", passed, *rest, reg=0.1, sample_weight=s
                        )
                    assert_equal_for_some_rows(problem, at_end, rng, X, *rest)
                    wrong = np.asarray(
                        rest[0], np.int64 if rest[0].dtype.kind == "i" else dtype
                    ).copy()
                    wrong[-1] = 2**40  # used as an index it would be far away
                    if problem != "linear":
                        with pytest.raises(ValueError, match="y"):
                            PROBLEMS[problem].gradient(X, guarded(wrong, at_end), *rest[1:])
            _kept.clear()
    print("right")


def assert_equal_for_some_rows(problem, at_end, rng, X, y, *parameters):
    """A mini-batch: the kernel takes the rows whose numbers it is given."""
    inside = PROBLEMS[problem].PROBLEM.variants
    arrays, s = inside.converted(X, parameters), np.linspace(1, 2, len(X))
    (X, y, s, none), _ = inside.batch((X, y, s, None, 0.0), arrays)
    rows = rng.permutation(len(X))[: len(X) // 2 + 1]
    batch = tuple(guarded(part, at_end) for part in (X, y, s, rows))
    options, wanted = (0.1, 0.0, "tiled", None), (True, Goal.GRADIENT)
    loss, weight, gradient = inside.run(batch, arrays, options, wanted)
    batch = X[rows], y[rows], s[rows], none
    want = inside.run(batch, arrays, options, wanted)
    assert weight == pytest.approx(want[1], rel=1e-6)
    for got, exact in zip((loss, *gradient), (want[0], *want[2]), strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-3, atol=1e-5)


def run(program, **environment):
    """A program that uses what is defined above, in a new interpreter."""
    header = "from tests.engine.test_tile_pass import *\n"
    return run_program(header + program, **environment)


@linux
def test_nothing_beyond_any_array_is_read_or_written():
    done = run("run_between_guards()")
    assert done.returncode == 0, f"{done.returncode} {done.stderr}"
    assert done.stdout == "right\n"


# glibc's own check: it looks at the byte behind what is freed.
HEAP = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"}


@linux
def test_nothing_beyond_the_scratch_of_the_kernels_is_written():
    """What compiled code allocates for itself lies in the heap, which checks its borders here."""
    damage = """
a = np.zeros(50_000, np.uint8)
beyond = ctypes.c_ubyte.from_address(a.ctypes.data + 50_000)
beyond.value ^= 1  # whatever the heap has there, which is a hash of the address
del a
"""
    damaged = run(damage, **HEAP)
    if "cannot be preloaded" in damaged.stderr:
        pytest.skip("another C library")
    assert damaged.returncode == -signal.SIGABRT, "the heap is not checked"
    done = run("run_between_guards()", **HEAP)
    assert done.returncode == 0, f"{done.returncode} {done.stderr}"
    assert done.stdout == "right\n"


@linux
@pytest.mark.parametrize(("at_end", "beyond"), [(True, 64), (False, -1)])
def test_an_access_beyond_an_array_is_noticed(at_end, beyond):
    """Without this the test above could pass with any kernel."""
    done = run(
        f"a = guarded(np.ones(8), {at_end}); print(a.sum(), flush=True); "
        f"ctypes.string_at(a.ctypes.data + {beyond}, 1)"
    )
    assert done.stdout == "8.0\n"
    assert done.returncode == -signal.SIGSEGV, done.stderr
