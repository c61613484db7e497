"""The thread pool: helper threads that take chunks of a call together with the calling thread.

The calling thread, the leader, and all helpers that are awake take chunks until none is left. An
idle helper busy-waits for about 60 µs before it sleeps, because waking a sleeping thread takes
longer than a small batch. The waiting is compiled and does not hold the GIL. Each chunk has its own
sums, so the result does not depend on which thread takes which chunk.
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

# Indices in `chunk_counters`, in two cache lines: next chunk to take, number of chunks done.
NEXT, DONE = 0, 8
# Limits on busy-waiting for the next call and for the last chunk; a spin takes about 20 ns.
CALL_SPINS, CHUNK_SPINS = 3_000, 100_000
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
    return spins < CHUNK_SPINS


@jit
def spin_for_next_call(call_epoch, seen):
    """Busy-wait for the next call, for at most CALL_SPINS spins."""
    spins = 0
    while spins < CALL_SPINS and atomic_load(call_epoch, 0) == seen:
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
        self.reset()

    def reset(self) -> None:
        """Start without helpers, as in a forked child, which has none of its parent's threads."""
        self.helpers, self.lock = 0, threading.Lock()
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def default_threads(self) -> int:
        """Return the number set by `set_threads`, or KERNELS_NUM_THREADS, or the number of CPUs."""
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
        """Return loss, weight and invalid count of ``kernel(*call, workspace, role)``.

        At most `threads` threads take the chunks. The partial gradient of a chunk has `numbers`
        elements of the dtype of X, which is ``call[0][0]``. A kernel returns a fourth value:
        whether the other three are valid.
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
        """Queue a job for this number of helpers, and start those that do not exist yet."""
        if self.helpers < helpers:
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
                spin_for_next_call(self.call_epoch, seen)
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
