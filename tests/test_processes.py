"""Threads and processes around a call: the same bits, no crash, no deadlock, no leak."""

import concurrent.futures
import functools
import multiprocessing
import os
import sys

import pytest

from kernels import softmax
from tests.helpers.cases import PROBLEMS, large_batch
from tests.helpers.comparison import bits
from tests.helpers.concurrency import answer_of_child, three_threads_at
from tests.helpers.interpreter import HANGS, run_python
from tests.helpers.marks import fork, ignore_fork_warning, linux


def all_bits(threads=4):
    return b"".join(
        bits(module.loss_and_gradient(*large_batch(problem), reg=0.1, threads=threads))
        for problem, module in PROBLEMS.items()
    )


@pytest.fixture(scope="module")
def right():
    return all_bits(threads=1)


def run(program, **environment):
    """What a program prints that uses what is defined above, in a new interpreter.

    A crash, a deadlock or a traceback fails the test.
    """
    header = "import os, sys, threading\nimport numpy as np\n"
    header += "from tests.helpers.cases import random_batch\nfrom tests.test_processes import *\n"
    libraries = os.path.join(sys.prefix, "lib")  # where pip puts TBB
    done = run_python(
        "-c", header + program, timeout=2 * HANGS, **{"LD_LIBRARY_PATH": libraries, **environment}
    )
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.strip()


# ---- threads ----

LAYERS = """
import numba
from numba import njit, prange

@njit(parallel=True)
def parallel_sum(x):
    total = 0.0
    for i in prange(len(x)):
        total += x[i]
    return total

numbers = np.ones(100_000)
try:
    parallel_sum(numbers)
except ValueError as error:
    assert "threading layer" in str(error)
    print("no such layer")
    sys.exit()
assert numba.threading_layer() == numba.config.THREADING_LAYER
stop = threading.Event()

def meanwhile():
    while not stop.is_set():
        assert parallel_sum(numbers) == 100_000

beside = threading.Thread(target=meanwhile)
beside.start()
names = [*PROBLEMS]
batches = [large_batch(problem) for problem in names]

def call(i, threads):
    return bits(PROBLEMS[names[i]].loss_and_gradient(*batches[i], threads=threads))

want = [call(i, 1) for i in range(len(names))]
start = threading.Barrier(8)

def caller(number):
    start.wait()
    for turn in range(200):
        i = (number + turn) % len(names)
        assert call(i, 1 + turn % 5) == want[i]
    return "same"

with concurrent.futures.ThreadPoolExecutor(8) as callers:
    print(*callers.map(caller, range(8)))
stop.set()
beside.join()
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_eight_threads_of_two_hundred_calls_beside_each_layer_of_numba(layer):
    """While another thread runs a parallel loop of its own in that layer."""
    printed = run(LAYERS, NUMBA_THREADING_LAYER=layer)
    if printed == "no such layer":
        pytest.skip(f"{layer} is not installed")
    assert printed == " ".join(["same"] * 8)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib(backend):
    joblib = pytest.importorskip("joblib")
    batch = large_batch("softmax")
    call = functools.partial(softmax.loss_and_gradient, *batch, threads=3)
    results = joblib.Parallel(n_jobs=4, backend=backend)(joblib.delayed(call)() for _ in range(200))
    assert {bits(result) for result in results} == {
        bits(softmax.loss_and_gradient(*batch, threads=1))
    }


def test_calls_from_a_pool_of_threads(right):
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        assert {f.result(HANGS) for f in [pool.submit(all_bits, 3) for _ in range(60)]} == {right}


def test_far_more_threads_than_processors(right):
    assert {all_bits(threads) for threads in (2, 17, 1000, 10**20)} == {right}


NO_MEMORY = """
import resource
rng = np.random.default_rng(0)
X, y, W = rng.normal(size=(4, 2_000_000)), np.array([0, 1, 0, 1]), np.zeros((2_000_000, 2))
softmax.gradient(X, y, W)  # the code is there, and the threads
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
_, most = resource.getrlimit(resource.RLIMIT_AS)
failed = []
rooms = [*range(0, 40_000, 250), 4_000_000]  # kB; too little for anything at first, enough at last
for room in rooms:
    resource.setrlimit(resource.RLIMIT_AS, (now + room * 1000, most))
    try:
        softmax.gradient(X, y, W)
    except MemoryError as error:
        failed.append(type(error).__module__)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
assert len(failed) == len(rooms) - 1, failed
assert len(set(failed)) == 2, failed  # NumPy's own class of error, and the one of compiled code
difference = softmax.gradient(X, y, W).W - softmax.gradient(X, y, W, variant="numpy").W
assert np.abs(difference).max() < 1e-12
print("right")
"""


@linux
def test_too_little_memory_is_a_memory_error():
    """Wherever it runs out: in Python, or in compiled code.

    There Numba keeps what it had allocated, see the README's limits.
    """
    # what is freed is given back, and the room is what it is said to be
    assert run(NO_MEMORY, MALLOC_MMAP_THRESHOLD_=str(2**17)) == "right"


ENDS = {
    "while daemons call": """
for _ in range(4):
    threading.Thread(target=lambda: [all_bits() for _ in range(10**6)], daemon=True).start()
all_bits()
""",
    "before its threads": """
def late():
    threading.main_thread().join()
    assert all_bits() == want
    os.write(1, b"right")
want = all_bits(1)
threading.Thread(target=late).start()
""",
    "and calls at exit": """
import atexit
want = all_bits(1)
atexit.register(lambda: os.write(1, b"right" if all_bits() == want else b"wrong"))
all_bits()
""",
    "with an exception": """
all_bits()
try:
    softmax.gradient([[1.0, np.nan]], [0], np.zeros((2, 2)))
except ValueError:
    sys.exit(0)
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_ends(end):
    program = ENDS[end]
    assert run(program) == ("right" if "right" in program else "")


LEAK = """
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

rng = np.random.default_rng(2)
small = {problem: random_batch(problem, rng, (50, 4, 3, 5)) for problem in PROBLEMS}
large = {problem: large_batch(problem) for problem in PROBLEMS}

def calls(count):
    for turn in range(count):
        for problem, module in PROBLEMS.items():
            module.gradient(*small[problem])
            if turn % 20 == 0:
                module.loss_and_gradient(*large[problem], threads=3)
            if turn % 10 == 0:
                try:
                    X, *rest = small[problem]
                    module.gradient(np.full_like(X, np.nan), *rest)
                except ValueError:
                    pass

calls(500)
before, threads = resident(), threading.active_count()
calls(2500)
print(resident() - before, threading.active_count() - threads)
"""


@linux
def test_ten_thousand_calls_leak_nothing():
    """Less than 100 bytes a call, and no thread; refusals and calls on several threads too."""
    memory, threads = map(int, run(LEAK).split())
    assert memory < 10_000 * 100
    assert threads == 0


# ---- processes ----


def send_bits(connection):
    connection.send(all_bits())


def ask_a_child(connection):
    """The same from a child of this child."""
    child = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn").Process(
        target=send_bits, args=(connection,)
    )
    child.start()
    child.join()


@ignore_fork_warning
@pytest.mark.parametrize("depth", [send_bits, ask_a_child], ids=["child", "grandchild"])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children_after_threads_have_run(method, depth, right):
    assert all_bits() == right
    context = multiprocessing.get_context(method)
    assert answer_of_child(context, depth) == right


@fork
@ignore_fork_warning
def test_forks_while_threads_are_at_work(right):
    """A child may begin while the parent's threads hold whatever locks there are."""
    context = multiprocessing.get_context("fork")
    with three_threads_at(all_bits):
        for _ in range(10):
            assert answer_of_child(context, send_bits) == right


COMPILES = """
import numba, time

def compile_something(number):
    assert numba.njit(lambda x: x + number)(1) == 1 + number

stop = threading.Event()

def compiling():
    number = 0
    while not stop.is_set():
        compile_something(number)
        number += 1

compile_something(0)  # what every compilation imports
thread = threading.Thread(target=compiling)
thread.start()
try:
    for turn in range(5):
        time.sleep(0.01)
        if not (child := os.fork()):
            compile_something(turn)
            os._exit(0)
        for _ in range(1000 * HANGS):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            time.sleep(1e-3)
        else:
            os.kill(child, 9)
            sys.exit("the child hangs")
        assert status == 0
finally:
    stop.set()
    thread.join()
print("right")
"""


@fork
def test_a_fork_while_a_thread_compiles():
    """The child can compile too: it does not wait for a lock of a thread that it does not have."""
    assert run(COMPILES) == "right"
