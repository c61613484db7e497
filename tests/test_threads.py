"""The same bits for any number of threads, from any number of callers, in a child process too.

The pool by itself, with a small kernel, is tested in test_engine_pool.py.
"""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from cases import DTYPES, PROBLEMS, random_batch

import kernels
from kernels import softmax
from kernels.engine.pool import DONE, POOL, Job, Role
from kernels.engine.reduce import Goal


@pytest.fixture
def batch():
    return random_batch("softmax", np.random.default_rng(1), (40_003, 7, 5, 1))


def bits(result):
    loss, gradient = result
    return np.float64(loss).tobytes() + b"".join(np.asarray(part).tobytes() for part in gradient)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_same_bits_for_any_number_of_threads(problem, dtype):
    module, batch = (
        PROBLEMS[problem],
        random_batch(problem, np.random.default_rng(2), (40_003, 7, 5, 6), dtype),
    )
    for X in (batch[0], np.asfortranarray(batch[0])):
        one = bits(module.loss_and_gradient(X, *batch[1:], reg=0.1, threads=1))
        for threads in (2, 3, 4, 8, 16, None):
            assert bits(module.loss_and_gradient(X, *batch[1:], reg=0.1, threads=threads)) == one


def test_large_weights_while_other_threads_allocate():
    """The kernel allocates their transpose, which must live as long as its address is in use."""
    rng = np.random.default_rng(3)
    X, y, W = (
        rng.normal(size=(400, 1000)),
        rng.integers(0, 100, 400),
        rng.normal(size=(1000, 100)) / 30,
    )
    want = softmax.gradient(X, y, W, variant="numpy").W
    for _ in range(20):
        np.testing.assert_allclose(
            softmax.gradient(X, y, W, threads=2).W,
            want,
            rtol=0,
            atol=1e-13 * np.abs(want).max() * 100,
        )


@pytest.fixture
def woken(monkeypatch):
    """How many helpers each call woke."""
    numbers, wake = [], POOL.wake
    monkeypatch.setattr(
        POOL, "wake", lambda helpers, job: numbers.append(helpers) or wake(helpers, job)
    )
    return numbers


def test_the_work_is_shared(batch, woken):
    """Without this the test above would pass with one thread."""
    softmax.gradient(*batch, threads=3)
    assert woken == [2]
    woken.clear()
    softmax.gradient(*(part[:10] for part in batch[:2]), *batch[2:], threads=3)
    softmax.gradient(*batch, threads=1)
    assert not woken


def test_a_helper_takes_chunks(batch):
    """The leader alone would give the right answer too: here it takes none."""
    kernel, finished = softmax.PROBLEM.variants.kernel[8], threading.Event()
    X, y, W, b = batch
    dW, db = np.empty(W.shape), np.empty(b.shape)
    data = X, y, np.empty(0), np.empty(0, np.int64)
    call = data, (W, b), (dW, db), (0.0, 0.0), (True, int(Goal.GRADIENT))
    counters = np.zeros(2 * DONE, np.int64)
    shared = np.empty((64, W.size + 1000)), np.empty((64, 3)), counters, POOL.call_epoch

    def help_with(*arguments):
        kernel(*arguments)
        finished.set()

    POOL.wake(1, Job(help_with, (*call, shared, Role.WORKER.value), [], -1))
    assert finished.wait(30)
    chunks = counters[DONE]
    assert chunks > 1
    kept = shared[0][:chunks], shared[1][:chunks], *shared[2:]
    loss, weight, invalid, done = kernel(*call, kept, Role.REDUCE.value)
    want, gradient = softmax.loss_and_gradient(*batch, threads=1)
    assert (loss, weight, invalid, done) == (want, len(X), 0, True)
    assert dW.tobytes() == gradient.W.tobytes()
    assert db.tobytes() == gradient.b.tobytes()


def test_a_helper_that_is_late_is_waited_for(batch, monkeypatch):
    """A leader that has spun for a moment in vain sleeps until the chunk is done."""
    want = bits(softmax.loss_and_gradient(*batch, threads=1))
    kernel = softmax.PROBLEM.variants.kernel[8]

    def late(*arguments):
        if arguments[-1] != Role.LEADER:
            return kernel(*arguments)
        kernel(*arguments[:-1], Role.WORKER.value)
        counters = arguments[-2][2]
        counters[DONE] -= 1  # one more is under way
        threading.Timer(0.05, lambda: counters.__setitem__(DONE, counters[DONE] + 1)).start()
        return 0.0, 0.0, 0.0, False

    monkeypatch.setitem(softmax.PROBLEM.variants.kernel, 8, late)
    assert bits(softmax.loss_and_gradient(*batch, threads=2)) == want


def test_an_error_in_a_helper_is_raised_by_the_call(batch, monkeypatch):
    kernel = softmax.PROBLEM.variants.kernel[8]

    def failing(*arguments):
        if arguments[-1] == Role.WORKER:
            raise MemoryError("no room")
        return (0.0, 0.0, 0.0, False) if arguments[-1] == Role.LEADER else kernel(*arguments)

    with monkeypatch.context() as patch:
        patch.setitem(softmax.PROBLEM.variants.kernel, 8, failing)
        with pytest.raises(MemoryError, match="no room"):
            softmax.gradient(*batch, threads=2)
    softmax.gradient(*batch, threads=2)  # and the helper lives on


def test_set_threads_and_the_environment(batch, monkeypatch, woken):
    try:
        kernels.set_threads(3)
        softmax.gradient(*batch)
        softmax.gradient(*batch, threads=4)
        kernels.set_threads(None)
        monkeypatch.setenv("KERNELS_NUM_THREADS", "5")
        softmax.gradient(*batch)
        assert woken == [2, 3, 4]
        monkeypatch.setenv("KERNELS_NUM_THREADS", "many")
        with pytest.raises(ValueError, match="KERNELS_NUM_THREADS is 'many'"):
            softmax.gradient(*batch)
    finally:
        kernels.set_threads(None)


@pytest.mark.parametrize(
    ("threads", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)],
)
def test_refused_numbers_of_threads(batch, threads, error):
    with pytest.raises(error, match="threads"):
        softmax.gradient(*batch, threads=threads)
    with pytest.raises(error, match="threads"):
        kernels.set_threads(threads)


def test_eight_callers_at_once(batch):
    want = bits(softmax.loss_and_gradient(*batch))
    start = threading.Barrier(8)

    def call(_):
        start.wait()
        return [bits(softmax.loss_and_gradient(*batch, threads=4)) for _ in range(20)]

    with concurrent.futures.ThreadPoolExecutor(8) as callers:
        assert all(got == want for results in callers.map(call, range(8)) for got in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_fork(batch):
    want = bits(softmax.loss_and_gradient(*batch, threads=4))  # the threads exist now
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=lambda: sender.send(bits(softmax.loss_and_gradient(*batch, threads=4)))
    )
    child.start()
    assert receiver.poll(30), "the child hangs"
    assert receiver.recv() == want
    child.join(10)
    assert child.exitcode == 0


PROGRAM = """
import threading, numpy as np
before = threading.active_count()
from kernels import softmax
assert threading.active_count() == before, "import started a thread"
rng = np.random.default_rng(0)
X, y = rng.normal(size=(40_003, 7)), rng.integers(0, 5, 40_003)
print(softmax.loss_and_gradient(X, y, np.ones((7, 5)), np.zeros(5), threads=4)[1].W.tobytes().hex())
"""


def test_workqueue_layer_and_no_thread_at_import():
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **layer},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for layer in ({}, {"NUMBA_THREADING_LAYER": "workqueue"})
    ]
    assert runs[0] == runs[1] != ""


MEMORY = """
import numpy as np
from kernels import softmax
from kernels.engine.pool import POOL, spin_for_next_call
N, D, K = {shape}
X, y = np.ones((N, {step} * D))[:, ::{step}], np.zeros(N, np.int64)
W, b = np.zeros((D, K)), np.zeros(K)

def high_water():
    lines = open("/proc/self/status")
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

# compile or load first
softmax.gradient(np.ones((20_000, 10)), np.zeros(20_000, np.int64), np.zeros((10, 9)), np.zeros(9))
spin_for_next_call(POOL.call_epoch, -1)
open("/proc/self/clear_refs", "w").write("5")  # sets the mark to what is in use
before = high_water()
softmax.gradient(X, y, W, b)
print(high_water() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((1_000_000, 10, 3), 1),
        ((20_000, 1000, 100), 1),
        ((500, 100_000, 1), 1),
        ((500, 100_000, 1), 2),
        ((3000, 1, 100_000), 1),
    ],
)
def test_memory_does_not_grow_with_n(shape, step):
    """At most 16 MiB beyond inputs and outputs, whatever N: the scores exist a tile at a time.

    What W's size asks for is a copy of it for each of two threads, a sum, and the tile's scores,
    its features or the rows rounded up to 16.
    """
    _, D, K = shape
    of_weights = 8 * K * max(16, D)
    peak = subprocess.run(
        [sys.executable, "-c", MEMORY.format(shape=shape, step=step)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert int(peak) * 1024 <= max(2**24, 5 * of_weights)
