"""Helper threads that share the chunks of one call.

The caller is the leader: it takes chunks until none is left, and so does every helper that is
awake. A helper without work first spins for a moment, since to wake a thread that sleeps takes
longer than a small batch, and sleeps if there is no call. The result does not depend on who takes
which chunk, since each chunk has sums of its own. Compiled spinning needs no interpreter lock.
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

# Places in `chunk_counters`, in two cache lines: the next chunk to take, the number of chunks done.
NEXT, DONE = 0, 8
# Some 20 ns each; for the next call, for the last chunk.
CALL_SPINS, CHUNK_SPINS = 3_000, 100_000


class Role(IntEnum):
    """What a kernel is called to do."""

    SERIAL = 0  # everything, with a workspace of its own
    LEADER = 1  # announce the call, take chunks, reduce
    WORKER = 2  # take chunks
    REDUCE = 3  # reduce


# ---- compiled ----

INT64 = ir.IntType(64)


@intrinsic
def _fetch_add(typingctx, address, place):
    def generate(context, builder, signature, args):
        pointer = builder.gep(builder.inttoptr(args[0], INT64.as_pointer()), [args[1]])
        return builder.atomic_rmw("add", pointer, ir.Constant(INT64, 1), "seq_cst")

    return types.int64(types.uintp, types.intp), generate


@intrinsic
def _pause_and_load(typingctx, address, place):
    def generate(context, builder, signature, args):
        if platform.machine() in ("x86_64", "AMD64"):  # leaves the core to its other thread
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        pointer = builder.gep(builder.inttoptr(args[0], INT64.as_pointer()), [args[1]])
        return builder.load_atomic(pointer, "seq_cst", align=8)

    return types.int64(types.uintp, types.intp), generate


# Numba frees an array after its last mention: these two are functions, not inlined by Numba, so
# that the array is a variable of the caller for as long as its address is in use.


@device_function
def atomic_fetch_add(array, place):
    """Add 1 to array[place], an int64, and return what it was, in one step."""
    return _fetch_add(array.ctypes.data, place)


@device_function
def atomic_load(array, place):
    """Return array[place], an int64 that other threads change, after a short pause."""
    return _pause_and_load(array.ctypes.data, place)


@device_function
def spin_until_done(chunk_counters, chunks):
    """Wait for the helpers' last chunks; return False if that takes longer than a moment."""
    spins = 0
    while spins < CHUNK_SPINS and atomic_load(chunk_counters, DONE) != chunks:
        spins += 1
    return spins < CHUNK_SPINS


@jit
def spin_for_next_call(call_epoch, seen):
    """Wait for the next call, for a moment."""
    spins = 0
    while spins < CALL_SPINS and atomic_load(call_epoch, 0) == seen:
        spins += 1


def workspace_type(real: Any) -> Any:
    """Return Numba's type of a workspace: partial gradients, sums, chunk_counters, call_epoch."""
    counters = types.Array(types.int64, 1, "C")
    partials, sums = types.Array(real, 2, "C"), types.Array(types.float64, 2, "C")
    return types.Tuple((partials, sums, counters, counters))


# ---- Python ----


def cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Job(NamedTuple):
    """A call that a helper is to take part in."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    errors: list[BaseException]  # of all helpers of the call, which the leader raises
    caller_cpu: int


class Pool:
    """The helpers of this process, their jobs, and how many threads a call uses by default."""

    def __init__(self) -> None:
        self.threads = 0  # 0: not set
        self.call_epoch = np.zeros(1, np.int64)  # a leader adds 1: the sign that helpers spin for
        self.reset()

    def reset(self) -> None:
        """Forget the helpers: a forked child has none of its parent's threads."""
        self.helpers, self.lock = 0, threading.Lock()
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def default_threads(self) -> int:
        """Return what was set, or KERNELS_NUM_THREADS, or the number of CPUs."""
        if self.threads:
            return self.threads
        asked = os.environ.get("KERNELS_NUM_THREADS", "")
        if not asked:
            return cpus()
        if not asked.strip().isdigit() or int(asked) < 1:
            raise ValueError(
                f"the environment variable KERNELS_NUM_THREADS is {asked!r}: "
                "set it to a whole number, at least 1, or unset it"
            )
        return int(asked)

    def run(
        self,
        kernel: Callable[..., Any],
        call: tuple[Any, ...],
        chunks: int,
        numbers: int,
        threads: int | None,
    ) -> Any:
        """Return loss, weight and number of invalid samples of ``kernel(*call, workspace, role)``.

        At most `threads` threads take the chunks; each chunk sums `numbers` numbers of the dtype of
        X, which is ``call[0][0]``. A kernel returns a fourth value: whether the other three count.
        """
        dtype = call[0][0].dtype
        threads = min(threads or self.default_threads(), chunks) if chunks > 1 else 1
        if threads == 1:
            return kernel(*call, NO_WORKSPACE[dtype.itemsize], Role.SERIAL.value)[:3]
        chunk_counters = np.zeros(2 * DONE, np.int64)
        partials, sums = np.empty((chunks, numbers), dtype), np.empty((chunks, 3))
        workspace = partials, sums, chunk_counters, self.call_epoch
        errors: list[BaseException] = []
        help_with = (*call, workspace, Role.WORKER.value)
        self.wake(threads - 1, Job(kernel, help_with, errors, _current_cpu()))
        *result, done = kernel(*call, workspace, Role.LEADER.value)
        if not done:
            while chunk_counters[DONE] < chunks:
                if errors:
                    raise errors[0]
                time.sleep(1e-4)
            *result, _ = kernel(*call, workspace, Role.REDUCE.value)
        return tuple(result)

    def wake(self, helpers: int, job: Job) -> None:
        """Give a job to so many helpers, which are started if there are too few."""
        if self.helpers < helpers:
            # RuntimeError: the interpreter is shutting down and starts no thread any more
            with self.lock, contextlib.suppress(RuntimeError):
                while self.helpers < helpers:
                    name, arguments = f"kernels-{self.helpers}", (self.jobs,)
                    threading.Thread(None, self._help, name, arguments, daemon=True).start()
                    self.helpers += 1
        for _ in range(min(helpers, self.helpers)):
            self.jobs.put(job)

    def _help(self, jobs: queue.SimpleQueue[Job]) -> None:
        avoided = -1  # the CPU that this thread stays off
        while True:
            seen = self.call_epoch[0]
            if jobs.empty():
                spin_for_next_call(self.call_epoch, seen)
            avoided = _do(jobs.get(), avoided)


def _do(job: Job, avoided: int) -> int:
    """A function of its own, so that a sleeping helper holds no arrays."""
    try:
        if job.caller_cpu != avoided:
            _stay_off(job.caller_cpu)
        job.kernel(*job.arguments)
    except BaseException as error:  # the caller raises it
        job.errors.append(error)
    return int(job.caller_cpu)


def _stay_off(cpu: int) -> None:
    """Keep this thread off the caller's CPU: some systems would run both there by turns."""
    with contextlib.suppress(OSError):
        allowed = os.sched_getaffinity(os.getpid())
        os.sched_setaffinity(0, allowed - {cpu} or allowed)


# The CPU that this thread runs on, where the system tells (Linux).
_current_cpu: Callable[[], int] = getattr(
    ctypes.CDLL(None) if os.name == "posix" else None, "sched_getcpu", lambda: -1
)

POOL = Pool()
# By the bytes of a number of X: the workspace of a serial call.
_EMPTY = np.empty((0, 0)), np.empty(0, np.int64), POOL.call_epoch
NO_WORKSPACE = {4: (np.empty((0, 0), np.float32), *_EMPTY), 8: (np.empty((0, 0)), *_EMPTY)}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset)
