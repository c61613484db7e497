"""The thread pool: helper threads that take chunks of a call together with the calling thread.

The calling thread, the leader, and all helpers that are awake take chunks until none is left. Each
chunk has its own sums, so the result does not depend on which thread takes which chunk.

Waking a sleeping thread takes as long as a small call. So an idle helper busy-waits for the next
call, for as long as the last one took: at least 300 µs, at most KERNELS_SPIN_US µs (1000 by
default), which is what it costs when no call follows. Helpers work and busy-wait in compiled code,
without the GIL; see team.py. Short calls that come after a longer pause run on the leader alone; so
do calls after one in which a helper was kept from its processor, for a while; and calls of several
threads at the same time, except for one of them.
"""

import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .team import AWAKE, CPUS, LENGTH, SPINS, WAITED, alone, serve

SPIN_SECONDS, SPIN_MICROSECONDS = 300e-6, 1000  # least time to busy-wait for a call; default limit
REST = 40  # calls' lengths without helpers, at most, after they made a call take twice as long

# A compiled function, how many items its threads share, whether the call repays waking a helper.
CallPlan = tuple[Callable[..., Any], int, bool]


def cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def from_environment(name: str, least: int) -> int | None:
    """Return the whole number in an environment variable, None if that is not set."""
    asked = os.environ.get(name, "")
    if not asked:
        return None
    if not asked.strip().isdigit() or int(asked) < least:
        raise ValueError(
            f"the environment variable {name} is {asked!r}: "
            f"set it to a whole number, at least {least}, or unset it"
        )
    return int(asked)


def threads_by_default() -> int:
    """Return KERNELS_NUM_THREADS, or the number of CPUs if that is not set."""
    return from_environment("KERNELS_NUM_THREADS", 1) or cpus()


def seconds_of_a_spin() -> float:
    """Return how long a spin takes here: what a pause costs differs between processors."""
    nobody, times = np.zeros(LENGTH, np.int64), list[float]()
    nobody[SPINS] = 1000
    for _ in range(3):
        begun = time.perf_counter()
        serve(nobody)
        times.append((time.perf_counter() - begun) / 1000)
    return max(1e-9, min(times))


class Pool:
    """The helpers of this process, what wakes them, and the default number of threads."""

    def __init__(self) -> None:
        self.threads = self.usual = 0  # those of `set_threads`, 0 if not set; those by default
        self.spin, self.spin_limit, self.of_a_spin = SPIN_SECONDS, 0.0, 1.0  # seconds
        self.ended, self.rested = -math.inf, 0.0  # end of the last call; of leaving helpers out
        self.rest = 1  # calls' lengths that they were left out last, doubled each time in a row
        self.reset()

    def reset(self) -> None:
        """Start without helpers, as in a forked child, which has none of its parent's threads."""
        self.helpers, self.lock = 0, threading.Lock()
        self.team = np.zeros(LENGTH, np.int64)
        self.calls: queue.SimpleQueue[None] = queue.SimpleQueue()

    def default_threads(self) -> int:
        """Return the number set by `set_threads`, or KERNELS_NUM_THREADS, or the number of CPUs."""
        return self.threads or threads_by_default()

    def useful_threads(self, is_long: bool) -> int:
        """Return the number of threads for a call that does not ask for one."""
        now = time.perf_counter()
        asleep = now - self.ended > self.spin
        if now < self.rested or (asleep and not is_long):
            return 1
        if asleep or not self.usual:  # not for each call of a training loop
            self.usual = threads_by_default()
        return self.threads or self.usual

    def run(self, plan: CallPlan, call: Sequence[Any], threads: int | None) -> Any:
        """Return ``kernel(*call, team, helpers)``, on at most `threads` threads."""
        kernel, items, is_long = plan
        if items == 1 or threads == 1:
            return kernel(*call, *ALONE)
        helpers, team = min(threads or self.useful_threads(is_long), items) - 1, self.team
        if helpers:
            self.wake(helpers)
        begun = time.perf_counter()
        result = kernel(*call, team, helpers)
        self.ended = time.perf_counter()
        if helpers:
            took, waited = self.ended - begun, team.item(WAITED) * self.of_a_spin
            self.spin = min(max(SPIN_SECONDS, took), self.spin_limit)
            team[SPINS] = int(self.spin / self.of_a_spin)
            late = waited > took / 2  # somebody else had the helper's processor
            self.rest = min(2 * self.rest, REST) if late else 1
            if late:
                self.rested = self.ended + self.rest * took
        return result

    def wake(self, helpers: int) -> None:
        """See to it that this number of helpers is awake, and start those that do not exist yet."""
        if self.helpers < helpers:
            asked = from_environment("KERNELS_SPIN_US", 0)
            self.spin_limit = 1e-6 * (SPIN_MICROSECONDS if asked is None else asked)
            self.of_a_spin = seconds_of_a_spin()
            self.team[CPUS] = cpus()
            # RuntimeError: the interpreter is shutting down and cannot start threads
            with self.lock, contextlib.suppress(RuntimeError):
                while self.helpers < helpers:
                    name, arguments = f"kernels-{self.helpers}", (self.team, self.calls)
                    threading.Thread(None, _help, name, arguments, daemon=True).start()
                    self.helpers += 1
        for _ in range(min(helpers, self.helpers) - int(self.team[AWAKE]) - self.calls.qsize()):
            self.calls.put(None)


def _help(team: Any, calls: "queue.SimpleQueue[None]") -> None:
    """What a helper does: sleep until there are calls, and take part in them."""
    while True:
        calls.get()
        while (cpu := serve(team)) >= 0:
            stay_off(cpu)


def stay_off(cpu: int) -> None:
    """Exclude the leader's CPU from this thread's affinity: some systems run both on it."""
    with contextlib.suppress(OSError):
        allowed = os.sched_getaffinity(os.getpid())
        os.sched_setaffinity(0, allowed - {cpu} or allowed)


POOL = Pool()
ALONE = alone()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset)
