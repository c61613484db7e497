"""The driver of a problem, called by the leader and the helpers of the pool."""

import threading

import numpy as np
import pytest

from kernels import softmax
from kernels.engine.pool import DONE, POOL, Job, Role
from kernels.engine.reduce import Goal
from tests.helpers.cases import large_batch
from tests.helpers.comparison import bits
from tests.helpers.concurrency import with_a_late_chunk
from tests.helpers.interpreter import HANGS


@pytest.fixture
def batch():
    return large_batch("softmax")


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
    assert finished.wait(HANGS)
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
    kernels = softmax.PROBLEM.variants.kernel
    monkeypatch.setitem(kernels, 8, with_a_late_chunk(kernels[8]))
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
    softmax.gradient(*batch, threads=2)  # the helper is still usable
