"""The thread pool: helper threads that take chunks of a call together with the calling thread.

The calling thread, the leader, and all helpers that are awake take chunks until none is left. Each
chunk has its own sums, so the result does not depend on which thread takes which chunk.

Waking a sleeping thread takes as long as a small call. So an idle helper busy-waits for the next
call, for as long as the last one took: at least 60 µs, at most KERNELS_SPIN_US µs (1000 by
default), which is what it costs when no call follows. The waiting is compiled and does not hold the
GIL. Short calls that come after a longer pause run on the leader alone; so do calls after one in
which a helper was kept from its processor, for a while.
"""

import contextlib
import ctypes
import os
import platform
import queue
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import device_function, jit

# Indices in `chunk_counters`, in two cache lines: next chunk to take; number of chunks done, and
# how often the leader has spun in vain.
NEXT, DONE, WAITED = 0, 8, 9
CHUNK_SPINS = 100_000  # limit on busy-waiting for the last chunk; a spin takes some 20 ns
SPIN_SECONDS, SPIN_MICROSECONDS = 60e-6, 1000  # least time to busy-wait for a call; default limit
FEW = 4  # chunks that are done before a sleeping helper has woken
REST = 20  # calls' lengths without helpers, at most, after they made a call take twice as long
YIELD_SPINS = 1_000  # on the other threads of a phase, which may be waiting for this processor


class Role(IntEnum):
    """The part of a call that a kernel runs."""

    SERIAL = 0  # everything, in a workspace that it allocates
    LEADER = 1  # advance call_epoch, take chunks, reduce
    WORKER = 2  # take chunks
    REDUCE = 3  # reduce


# ---- compiled ----

INT64 = ir.IntType(64)


@intrinsic
def _fetch_add(typingctx, address, index):
    def generate(context, builder, signature, args):
        pointer = builder.gep(builder.inttoptr(args[0], INT64.as_pointer()), [args[1]])
        return builder.atomic_rmw("add", pointer, ir.Constant(INT64, 1), "seq_cst")

    return types.int64(types.uintp, types.intp), generate


@intrinsic
def _pause_and_load(typingctx, address, index):
    def generate(context, builder, signature, args):
        if platform.machine() in ("x86_64", "AMD64"):  # frees the core for its other thread
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        pointer = builder.gep(builder.inttoptr(args[0], INT64.as_pointer()), [args[1]])
        return builder.load_atomic(pointer, "seq_cst", align=8)

    return types.int64(types.uintp, types.intp), generate


@intrinsic
def _swap_if(typingctx, address, index, old):
    def generate(context, builder, signature, args):
        pointer = builder.gep(builder.inttoptr(args[0], INT64.as_pointer()), [args[1]])
        new = builder.add(args[2], ir.Constant(INT64, 1))
        swapped = builder.cmpxchg(pointer, args[2], new, "seq_cst", "seq_cst")
        return builder.zext(builder.extract_value(swapped, 1), ir.IntType(8))

    return types.uint8(types.uintp, types.intp, types.int64), generate


@intrinsic
def _yield_processor(typingctx):
    def generate(context, builder, signature, args):
        if os.name == "posix":
            kind = ir.FunctionType(ir.IntType(32), [])
            name, known = "sched_yield", builder.module.globals
            builder.call(known.get(name) or ir.Function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate


# Numba frees an array after its last use by name. These are functions, which Numba does not
# inline, so that the caller's variable keeps the array alive while its address is in use.


@device_function
def atomic_fetch_add(array, index):
    """Add 1 to array[index], an int64, and return the old value, atomically."""
    return _fetch_add(array.ctypes.data, index)


@device_function
def atomic_load(array, index):
    """Pause briefly, then return array[index], an int64 that other threads change."""
    return _pause_and_load(array.ctypes.data, index)


@device_function
def atomic_advance(array, index, old):
    """Add 1 to array[index], an int64, if it is still `old`; return whether it was, atomically."""
    return _swap_if(array.ctypes.data, index, old) != 0


@device_function
def wait_a_moment(spins):
    """Let another thread run if this one has spun for long, and return how often it has."""
    if spins % YIELD_SPINS == YIELD_SPINS - 1:
        _yield_processor()
    return spins + 1


@device_function
def spin_until_done(chunk_counters, chunks):
    """Busy-wait until all chunks are done; return False if CHUNK_SPINS spins do not suffice."""
    spins = 0
    while spins < CHUNK_SPINS and atomic_load(chunk_counters, DONE) != chunks:
        spins += 1
    chunk_counters[WAITED] += spins
    return spins < CHUNK_SPINS


@jit
def spin_for_next_call(call_epoch, seen, most):
    """Busy-wait for the next call, for at most this number of spins."""
    spins = 0
    while spins < most and atomic_load(call_epoch, 0) == seen:
        spins += 1


def workspace_type(real: Any) -> Any:
    """Return Numba's type of a workspace: (partials, sums, chunk_counters, call_epoch)."""
    counters = types.Array(types.int64, 1, "C")
    partials, sums = types.Array(real, 2, "C"), types.Array(types.float64, 2, "C")
    return types.Tuple((partials, sums, counters, counters))


# ---- Python ----


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


def seconds_of_a_spin() -> float:
    """Return how long a spin takes here: what a pause costs differs between processors."""
    nobody, times = np.zeros(1, np.int64), list[float]()
    for _ in range(3):
        begun = time.perf_counter()
        spin_for_next_call(nobody, 0, 1000)
        times.append((time.perf_counter() - begun) / 1000)
    return max(1e-9, min(times))


class Job(NamedTuple):
    """A call whose chunks a helper takes."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    errors: list[BaseException]  # from all helpers of the call; the leader raises one
    caller_cpu: int


class Pool:
    """The helpers of this process, their queue of jobs, and the default number of threads."""

    def __init__(self) -> None:
        self.threads = 0  # 0: not set
        self.call_epoch = np.zeros(1, np.int64)  # a leader adds 1 for the helpers that busy-wait
        self.spin, self.spin_limit, self.of_a_spin = SPIN_SECONDS, 0.0, 1.0  # seconds
        self.ended = self.rested = 0.0  # when the last call ended; until when helpers are left out
        self.rest = 1  # calls' lengths that they were left out last, doubled each time in a row
        self.reset()

    def reset(self) -> None:
        """Start without helpers, as in a forked child, which has none of its parent's threads."""
        self.helpers, self.lock, self.leaders = 0, threading.Lock(), set[int]()
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def default_threads(self) -> int:
        """Return the number set by `set_threads`, or KERNELS_NUM_THREADS, or the number of CPUs."""
        return self.threads or from_environment("KERNELS_NUM_THREADS", 1) or cpus()

    def useful_threads(self, chunks: int) -> int:
        """Return the number of threads for a call that does not ask for one."""
        threads, now = self.default_threads(), time.perf_counter()
        asleep = now - self.ended > self.spin
        if now < self.rested or (asleep and chunks <= FEW):
            return 1
        return max(1, threads // (len(self.leaders) + 1))  # other threads are calling, too

    def run(
        self,
        kernel: Callable[..., Any],
        call: tuple[Any, ...],
        chunks: int,
        numbers: int,
        threads: int | None,
    ) -> Any:
        """Return loss, weight and invalid count of ``kernel(*call, workspace, role)``.

        At most `threads` threads take the chunks. The partial gradient of a chunk has `numbers`
        elements of the dtype of X, which is ``call[0][0]``. A kernel returns a fourth value:
        whether the other three are valid.
        """
        dtype = call[0][0].dtype
        if chunks == 1 or threads == 1:
            return kernel(*call, NO_WORKSPACE[dtype.itemsize], Role.SERIAL.value)[:3]
        threads, leader = min(threads or self.useful_threads(chunks), chunks), threading.get_ident()
        if threads == 1:
            *result, _ = kernel(*call, NO_WORKSPACE[dtype.itemsize], Role.SERIAL.value)
            self.ended = time.perf_counter()
            return tuple(result)
        chunk_counters = np.zeros(2 * DONE, np.int64)
        partials, sums = np.empty((chunks, numbers), dtype), np.empty((chunks, 3))
        workspace = partials, sums, chunk_counters, self.call_epoch
        errors: list[BaseException] = []
        help_with = (*call, workspace, Role.WORKER.value)
        self.leaders.add(leader)
        begun = time.perf_counter()
        try:
            self.wake(threads - 1, Job(kernel, help_with, errors, _current_cpu()))
            *result, done = kernel(*call, workspace, Role.LEADER.value)
            if not done:
                while chunk_counters[DONE] < chunks:
                    if errors:
                        raise errors[0]
                    time.sleep(1e-4)
                *result, _ = kernel(*call, workspace, Role.REDUCE.value)
        finally:
            self.leaders.discard(leader)
        self.ended = time.perf_counter()
        took, waited = self.ended - begun, chunk_counters[WAITED] * self.of_a_spin
        self.spin = min(max(SPIN_SECONDS, took), self.spin_limit)
        late = not done or waited > took / 2  # somebody else had the helper's processor
        self.rest = min(2 * self.rest, REST) if late else 1
        if late:
            self.rested = self.ended + self.rest * took
        return tuple(result)

    def wake(self, helpers: int, job: Job) -> None:
        """Queue a job for this number of helpers, and start those that do not exist yet."""
        if self.helpers < helpers:
            asked = from_environment("KERNELS_SPIN_US", 0)
            self.spin_limit = 1e-6 * (SPIN_MICROSECONDS if asked is None else asked)
            self.of_a_spin = seconds_of_a_spin()
            # RuntimeError: the interpreter is shutting down and cannot start threads
            with self.lock, contextlib.suppress(RuntimeError):
                while self.helpers < helpers:
                    name, arguments = f"kernels-{self.helpers}", (self.jobs,)
                    threading.Thread(None, self._help, name, arguments, daemon=True).start()
                    self.helpers += 1
        for _ in range(min(helpers, self.helpers)):
            self.jobs.put(job)

    def _help(self, jobs: queue.SimpleQueue[Job]) -> None:
        avoided = -1  # the CPU excluded from this thread's affinity
        while True:
            seen = self.call_epoch[0]
            if jobs.empty():
                most = int(min(self.spin, self.spin_limit) / self.of_a_spin)
                spin_for_next_call(self.call_epoch, seen, most)
            avoided = _do(jobs.get(), avoided)


def _do(job: Job, avoided: int) -> int:
    """Run a job and return the CPU of its caller, which this thread then avoids.

    This is a separate function so that no local variable of a sleeping helper refers to an array.
    """
    try:
        if job.caller_cpu != avoided:
            _stay_off(job.caller_cpu)
        job.kernel(*job.arguments)
    except BaseException as error:  # the caller raises it
        job.errors.append(error)
    return int(job.caller_cpu)


def _stay_off(cpu: int) -> None:
    """Exclude the caller's CPU from this thread's affinity: some systems run both on it."""
    with contextlib.suppress(OSError):
        allowed = os.sched_getaffinity(os.getpid())
        os.sched_setaffinity(0, allowed - {cpu} or allowed)


# Return the CPU that this thread runs on, or -1 if the system has no sched_getcpu (Linux has).
_current_cpu: Callable[[], int] = getattr(
    ctypes.CDLL(None) if os.name == "posix" else None, "sched_getcpu", lambda: -1
)

POOL = Pool()
# The placeholder workspace of a serial call, by the itemsize of X.
_EMPTY = np.empty((0, 0)), np.empty(0, np.int64), POOL.call_epoch
NO_WORKSPACE = {4: (np.empty((0, 0), np.float32), *_EMPTY), 8: (np.empty((0, 0)), *_EMPTY)}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset)
