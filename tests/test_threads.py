"""Results for any number of threads and callers, and in a child process, have the same bits.

The pool by itself, with a small kernel, is tested in engine/test_pool.py.
"""

import concurrent.futures
import multiprocessing
import threading
import time

import numpy as np
import pytest

import kernels
from kernels import softmax
from tests.helpers.cases import DTYPES, PROBLEMS, large_batch
from tests.helpers.comparison import bits
from tests.helpers.interpreter import HANGS, run_program
from tests.helpers.marks import fork, ignore_fork_warning


@pytest.fixture
def batch():
    return large_batch("softmax")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_same_bits_for_any_number_of_threads(problem, dtype):
    module, batch = PROBLEMS[problem], large_batch(problem, 2, dtype)
    for X in (batch[0], np.asfortranarray(batch[0])):
        one = bits(module.loss_and_gradient(X, *batch[1:], reg=0.1, threads=1))
        for threads in (2, 3, 4, 8, 16, None):
            assert bits(module.loss_and_gradient(X, *batch[1:], reg=0.1, threads=threads)) == one


def test_the_work_is_shared(batch, woken):
    """Without this the test above would pass with one thread."""
    softmax.gradient(*batch, threads=3)
    assert woken == [2]
    woken.clear()
    softmax.gradient(*(part[:10] for part in batch[:2]), *batch[2:], threads=3)
    softmax.gradient(*batch, threads=1)
    assert not woken


def test_set_threads_and_the_environment(batch, monkeypatch, woken):
    try:
        kernels.set_threads(3)
        softmax.gradient(*batch)
        softmax.gradient(*batch, threads=4)
        kernels.set_threads(None)
        monkeypatch.setenv("KERNELS_NUM_THREADS", "5")
        time.sleep(0.01)  # it is read after a pause
        softmax.gradient(*batch)
        assert woken == [2, 3, 4]
        monkeypatch.setenv("KERNELS_NUM_THREADS", "many")
        time.sleep(0.01)
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


@fork
@ignore_fork_warning
def test_after_fork(batch):
    want = bits(softmax.loss_and_gradient(*batch, threads=4))  # the threads exist now
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=lambda: sender.send(bits(softmax.loss_and_gradient(*batch, threads=4)))
    )
    child.start()
    assert receiver.poll(HANGS), "the child hangs"
    assert receiver.recv() == want
    child.join(HANGS)
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
    runs = []
    for layer in ({}, {"NUMBA_THREADING_LAYER": "workqueue"}):
        done = run_program(PROGRAM, **layer)
        assert done.returncode == 0, done.stderr
        runs.append(done.stdout)
    assert runs[0] == runs[1] != ""
