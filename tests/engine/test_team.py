"""A task that a leader and its helpers run: who takes part, who is waited for, who has failed."""

import os
import threading

import numba
import numpy as np
import pytest

from kernels.engine import pool
from kernels.engine.atomics import atomic_add, atomic_advance, atomic_load, current_cpu
from kernels.engine.jit import device_function
from kernels.engine.team import (
    AWAKE,
    CPUS,
    FAILED,
    INSIDE,
    LEADER_CPU,
    LED,
    LENGTH,
    OPEN,
    ROOM,
    SPINS,
    TASKS,
    lead,
    make_task,
    serve,
)
from tests.helpers.interpreter import HANGS
from tests.helpers.marks import compiled

pytestmark = compiled
# What the threads of a task count: all that came, those that are there, that are one too many,
# that have left, and that have left without an error.
ARRIVED, PRESENT, CROWD, LEFT, DONE = range(5)


@device_function
def meet(call):
    """Wait until `threads` threads have arrived; the first `failures` to leave raise an error."""
    shared, threads, failures = call
    if atomic_add(shared, PRESENT, 1) >= threads:
        atomic_add(shared, CROWD, 1)
    atomic_add(shared, ARRIVED, 1)
    while atomic_load(shared, ARRIVED) < threads:
        pass
    atomic_add(shared, PRESENT, -1)
    if atomic_add(shared, LEFT, 1) < failures:
        raise ValueError("in a task")
    atomic_add(shared, DONE, 1)


task = make_task(meet)


@numba.njit(nogil=True, error_model="numpy")
def run(team, helpers, shared, threads, failures):
    call = shared, threads, failures
    completed = lead(team, helpers, task(call))
    if not completed and atomic_load(shared, LEFT) == 0:
        meet(call)
    return completed


@numba.njit
def this_cpu():
    return current_cpu()


@pytest.fixture
def team():
    """A team of its own, with two helpers that are there to stay for a while."""
    team = np.zeros(LENGTH, np.int64)
    team[SPINS] = 10**9
    serve(np.zeros(LENGTH, np.int64))  # compiled
    helpers = [threading.Thread(target=serve, args=(team,)) for _ in range(2)]
    for helper in helpers:
        helper.start()
    yield team
    team[SPINS] = -1
    for helper in helpers:
        helper.join(HANGS)
        assert not helper.is_alive()
    assert team[AWAKE] == team[INSIDE] == team[LED] == 0


def test_helpers_take_part(team):
    """The task ends when all three have arrived."""
    for tasks in range(1, 50):
        shared = np.zeros(5, np.int64)
        assert run(team, 2, shared, 3, 0)
        assert shared[ARRIVED] == shared[DONE] == 3
        assert team[TASKS] == tasks
        assert team[INSIDE] < OPEN
        assert not team[FAILED]


def test_no_more_helpers_than_asked_for(team):
    """At a time: one that comes late may take the place of one that has left."""
    for _ in range(300):
        shared = np.zeros(5, np.int64)
        assert run(team, 1, shared, 2, 0)
        assert shared[ARRIVED] >= 2
        assert shared[CROWD] == 0


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_an_error_in_any_thread(failures, team):
    for _ in range(50):
        shared = np.zeros(5, np.int64)
        assert not run(team, 2, shared, 3, failures)
        assert (shared[ARRIVED], shared[DONE]) == (3, 3 - failures)
    assert run(team, 2, np.zeros(5, np.int64), 3, 0)


def test_one_leader_at_a_time(team):
    team[LED] = 1
    shared = np.zeros(5, np.int64)
    assert not run(team, 2, shared, 1, 0)
    assert shared[ARRIVED] == 1  # alone
    assert team[TASKS] == 0
    team[LED] = 0


def test_a_helper_leaves_when_no_task_comes():
    team = np.zeros(LENGTH, np.int64)
    team[SPINS] = 1000
    assert serve(team) == -1
    assert team[AWAKE] == team[INSIDE] == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or pool.cpus() < 2, reason="no choice")
def test_a_helper_on_the_leaders_cpu_takes_no_part_and_moves():
    """It would take turns with the leader."""
    allowed, cpu = os.sched_getaffinity(0), this_cpu()
    team, affinity = np.zeros(LENGTH, np.int64), []
    team[INSIDE], team[ROOM], team[LEADER_CPU], team[CPUS] = OPEN, 1, cpu, 2
    team[TASKS] = 1

    def helper():
        os.sched_setaffinity(0, {cpu})
        assert serve(team) == cpu
        pool.stay_off(cpu)
        affinity.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=helper)
    thread.start()
    thread.join(HANGS)
    assert affinity == [allowed - {cpu}]
    assert team[INSIDE] == OPEN


@numba.njit
def advance(array):
    return atomic_advance(array, 0, 5), atomic_advance(array, 0, 5)


def test_atomic_operations():
    array = np.full(1, 5)
    assert advance(array) == (True, False)
    assert array[0] == 6
