"""The pool of threads with a small kernel: same bits, errors, forks.

The kernel adds the rows of each chunk. It is not cached: an edit of this file would not be noticed.
"""

import concurrent.futures
import math
import multiprocessing
import os
import queue
import threading
import time

import numba
import numpy as np
import pytest
from numba import types

from kernels.engine import pool
from kernels.engine.atomics import atomic_add
from kernels.engine.cache import entry_point
from kernels.engine.jit import device_function
from kernels.engine.pool import POOL
from kernels.engine.team import LED, TASKS, TEAM, WAITED, lead, make_task
from kernels.engine.tile_pass import NEXT
from tests.helpers.concurrency import answer_of_child, three_threads_at
from tests.helpers.marks import fork, ignore_fork_warning

ROWS = 500  # of a chunk


@device_function
def sum_chunks(call):
    X, rows, partials, sums, counters = call
    chunk = atomic_add(counters, NEXT, 1)
    while chunk * rows < len(X):
        partials[chunk] = 0
        for row in X[chunk * rows : (chunk + 1) * rows]:
            partials[chunk] += np.log(row)
        sums[chunk] = partials[chunk].sum()
        chunk = atomic_add(counters, NEXT, 1)


task = make_task(sum_chunks)


@numba.njit(nogil=True, error_model="numpy")
def sum_rows(batch, rows, team, helpers):
    (X,) = batch
    chunks = (len(X) + rows - 1) // rows
    partials, sums = np.empty((chunks, X.shape[1]), X.dtype), np.empty((chunks, 3))
    call = X, rows, partials, sums, np.zeros(1, np.int64)
    if helpers == 0 or not lead(team, helpers, task(call)):
        call[4][:] = 0
        sum_chunks(call)
    loss = weight = invalid = 0.0
    for chunk in range(chunks):
        loss += sums[chunk, 0]
        weight += sums[chunk, 1]
        invalid += sums[chunk, 2]
    return loss, weight, invalid


def kernel_of(real):
    batch = types.Tuple((types.Array(real, 2, "C"),))
    return entry_point(sum_rows, (batch, types.intp, TEAM, types.intp))


@pytest.fixture(scope="module")
def kernel():
    return kernel_of(types.float64)


@pytest.fixture(scope="module")
def X():
    return 1 + np.random.default_rng(0).random((20_003, 6))


def run(kernel, X, threads, is_long=True):
    return POOL.run((kernel, -(-len(X) // ROWS), is_long), ((X,), ROWS), threads)


def test_same_bits_for_any_number_of_threads(kernel, X):
    for of, x in ((kernel, X), (kernel_of(types.float32), X.astype(np.float32))):
        loss, weight, invalid = run(of, x, 1)
        assert loss == weight == invalid
        assert loss == pytest.approx(np.log(X).sum(), rel=1e-4)
        for threads in (2, 3, 4, 16, 10**20, None):
            for _ in range(20):
                assert run(of, x, threads) == (loss, weight, invalid)


def test_how_many_helpers_a_call_wakes(kernel, X, woken, monkeypatch):
    run(kernel, X, 3)
    run(kernel, X, 1)
    run(kernel, X[:ROWS], 3)
    monkeypatch.setattr(POOL, "threads", 4)
    run(kernel, X, None)
    run(kernel, X, 5)
    monkeypatch.setattr(POOL, "threads", 0)
    monkeypatch.setenv("KERNELS_NUM_THREADS", "6")
    POOL.ended = -math.inf  # it is read after a pause
    run(kernel, X, None)
    assert woken == [2, 3, 4, 5]
    monkeypatch.setenv("KERNELS_NUM_THREADS", "many")
    POOL.ended = -math.inf
    with pytest.raises(ValueError, match="KERNELS_NUM_THREADS is 'many'"):
        run(kernel, X, None)
    monkeypatch.delenv("KERNELS_NUM_THREADS")
    assert POOL.default_threads() == pool.cpus()


@pytest.fixture
def two_by_default(kernel, X, woken, monkeypatch):
    """A pool of its own, with two threads, of which the last call has just ended."""
    monkeypatch.setattr(POOL, "threads", 2)
    for name in ("rested", "ended", "spin"):
        monkeypatch.setattr(POOL, name, getattr(POOL, name))
    POOL.rested, POOL.spin, POOL.ended = 0.0, 1e6, time.perf_counter()


def test_short_calls_after_a_pause_run_on_one_thread(kernel, X, woken, two_by_default):
    run(kernel, X, None, is_long=False)
    POOL.ended -= 1e7  # longer than helpers busy-wait
    run(kernel, X, None, is_long=False)
    assert woken == [1]
    POOL.spin = 1e6  # so that the last call has just ended
    run(kernel, X, None, is_long=False)
    POOL.ended -= 1e7
    run(kernel, X[: 2 * ROWS], None)
    assert woken == [1, 1, 1]


def test_after_waiting_in_vain_calls_run_on_one_thread_for_a_while(
    kernel, X, woken, two_by_default, monkeypatch
):
    monkeypatch.setattr(pool, "REST", 1e9)

    def late(*arguments):
        result = kernel(*arguments)
        arguments[-2][WAITED] = 10**12
        return result

    monkeypatch.setattr(POOL, "rest", 1e8)
    assert run(late, X, None) == run(kernel, X, 1)
    assert woken == [1]
    assert POOL.rested > time.perf_counter()
    run(kernel, X, None)
    assert woken == [1]
    POOL.rested = time.perf_counter()
    run(kernel, X, None)
    assert woken == [1, 1]


def test_one_caller_at_a_time_has_helpers(kernel, X, two_by_default):
    """Another runs alone, and is as right."""
    want = run(kernel, X, 1)
    run(kernel, X, None)
    tasks, POOL.team[LED] = int(POOL.team[TASKS]), 1
    try:
        assert run(kernel, X, None) == want
        assert POOL.team[TASKS] == tasks
    finally:
        POOL.team[LED] = 0
    run(kernel, X, None)
    assert POOL.team[TASKS] == tasks + 1


@pytest.mark.parametrize(("asked", "limit"), [("0", 0.0), ("250", 250e-6), ("", 1e-3)])
def test_how_long_helpers_busy_wait(asked, limit, kernel, X, monkeypatch):
    monkeypatch.setenv("KERNELS_SPIN_US", asked)
    monkeypatch.setattr(POOL, "helpers", 0)  # helpers of a pool without any read it
    monkeypatch.setattr(POOL, "calls", queue.SimpleQueue())
    monkeypatch.setattr(POOL, "spin_limit", math.nan)
    run(kernel, X, 2)
    assert POOL.spin_limit == pytest.approx(limit)
    assert POOL.spin <= POOL.spin_limit
    monkeypatch.setattr(POOL, "helpers", 0)
    monkeypatch.setenv("KERNELS_SPIN_US", "1 ms")
    with pytest.raises(ValueError, match="KERNELS_SPIN_US is '1 ms': set it to a whole number"):
        run(kernel, X, 2)


@pytest.mark.parametrize(("told", "cpus"), [(8, 8), (None, 1)])
def test_cpus_where_a_process_is_not_told_its_own(monkeypatch, told, cpus):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: told)
    assert pool.cpus() == cpus


def test_no_thread_can_be_started(kernel, X, monkeypatch):
    """At the limit of the system, or while the interpreter ends."""

    def refused(self):
        raise RuntimeError("can't start new thread")

    POOL.reset()  # as if none had been started
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert run(kernel, X, 3) == run(kernel, X, 1)
    assert POOL.helpers == 0
    monkeypatch.undo()
    assert run(kernel, X, 3) == run(kernel, X, 1)
    assert POOL.helpers == 2


def test_eight_callers_at_once(kernel, X):
    want, start = run(kernel, X, 1), threading.Barrier(8)

    def call(number):
        start.wait()
        return {run(kernel, X, 1 + (number + turn) % 5) for turn in range(200)}

    with concurrent.futures.ThreadPoolExecutor(8) as callers:
        assert [*callers.map(call, range(8))] == [{want}] * 8


@fork
@ignore_fork_warning
def test_a_fork_while_threads_are_at_work(kernel, X):
    """A child has none of its parent's threads, and may begin while they hold a lock."""
    want, context = run(kernel, X, 1), multiprocessing.get_context("fork")

    def send_result(connection):
        connection.send((run(kernel, X, 4), POOL.helpers))

    with three_threads_at(lambda: run(kernel, X, 4)):
        for _ in range(10):
            assert answer_of_child(context, send_result) == (want, 3)
