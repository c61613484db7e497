"""Threads that share the chunks of one call.

The caller leads: it takes chunks until there are none, and so does every helper that is awake. A helper that has nothing
to do looks out for the next call for a moment, since waking one that sleeps takes longer than a small batch; then it sleeps.
Who takes which chunk does not matter to the result, see `_tiles`. The waiting is compiled, so it needs no interpreter lock.
"""

import contextlib
import ctypes
import os
import platform
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels import _check
from kernels._compile import compiled, part

ALONE, LEAD, HELP, FINISH = range(4)  # what a kernel is called to do
NEXT, DONE = 0, 8  # places in `progress`: the next chunk to take, the number done; two lines of the cache
CALL_LOOKOUT, CHUNK_LOOKOUT = 3_000, 100_000  # looks, of some 20 ns each: for the next call, for the last chunk


# ---- compiled ----


@intrinsic
def take(typingctx, numbers, place):
    """numbers[place]++ and what it was, in one step that no other thread can interrupt."""

    def generate(context, builder, signature, args):
        pointer = builder.gep(context.make_array(numbers)(context, builder, args[0]).data, [args[1]])
        return builder.atomic_rmw("add", pointer, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(numbers, types.intp), generate


@intrinsic
def _look(typingctx, numbers, place):
    """numbers[place] as other threads have left it, after a short pause."""

    def generate(context, builder, signature, args):
        if platform.machine() in ("x86_64", "AMD64"):  # leaves the core to its other thread
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        pointer = builder.gep(context.make_array(numbers)(context, builder, args[0]).data, [args[1]])
        return builder.load_atomic(pointer, "seq_cst", align=8)

    return types.int64(numbers, types.intp), generate


@part
def all_done(progress, chunks):
    """Whether the helpers finish their chunks while the caller waits, as they do unless the system holds one up."""
    looks = 0
    while looks < CHUNK_LOOKOUT and _look(progress, DONE) != chunks:
        looks += 1
    return looks < CHUNK_LOOKOUT


@compiled
def look_out(calls, seen):
    """Wait a moment for the next call."""
    looks = 0
    while looks < CALL_LOOKOUT and _look(calls, 0) == seen:
        looks += 1


# ---- Python ----

_calls = np.zeros(1, np.int64)  # a kernel counts it up when it leads: the sign that helpers look out for
NOBODY = {dtype.itemsize: (np.empty((0, 0), dtype), np.empty((0, 0)), np.empty(0, np.int64), _calls) for dtype in _check.FLOATS}
_jobs: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
_helpers = 0
_lock = threading.Lock()
_threads = 0  # 0: not set


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(n: int | None) -> None:
    """Set how many threads the tiled kernels use where a call does not say.

    Parameters
    ----------
    n : int or None
        At least 1; None for the default: the environment variable ``KERNELS_NUM_THREADS`` where it is set, else as many
        as this process may use CPUs. Small work stays on the calling thread. The result does not depend on it.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number, at least 1.
    """
    global _threads
    _threads = _check.threads(n) or 0


def default_threads() -> int:
    if _threads:
        return _threads
    asked = os.environ.get("KERNELS_NUM_THREADS", "")
    if not asked:
        return cpus()
    if not asked.strip().isdigit() or int(asked) < 1:
        raise ValueError(
            f"the environment variable KERNELS_NUM_THREADS is {asked!r}: set it to a whole number, at least 1, or unset it"
        )
    return int(asked)


def run(kernel: Callable[..., Any], chunks: int, partial: int, threads: int | None, call: tuple[Any, ...]) -> Any:
    """What a kernel gives for `call`, its chunks taken by at most so many threads; `partial` numbers are summed by each."""
    dtype = call[0].dtype
    helpers = 0 if threads == 1 or chunks < 2 else min(threads or default_threads(), chunks) - 1
    if not helpers:
        loss, bad, _ = kernel(*call, *NOBODY[dtype.itemsize], ALONE)
        return loss, bad
    shared = np.empty((chunks, partial), dtype), np.empty((chunks, 3)), np.zeros(2 * DONE, np.int64), _calls
    errors: list[BaseException] = []
    _wake(helpers, (kernel, (*call, *shared, HELP), errors, _cpu()))
    loss, bad, done = kernel(*call, *shared, LEAD)
    if not done:
        while shared[2][DONE] < chunks:
            if errors:
                raise errors[0]
            time.sleep(1e-4)
        loss, bad, _ = kernel(*call, *shared, FINISH)
    return loss, bad


def signature(real: Any) -> tuple[Any, ...]:
    """Numba's types of what follows `call`."""
    counters = types.Array(types.int64, 1, "C")
    return types.Array(real, 2, "C"), types.Array(types.float64, 2, "C"), counters, counters, types.intp


def _wake(helpers: int, job: tuple[Any, ...]) -> None:
    global _helpers
    if _helpers < helpers:
        with _lock, contextlib.suppress(RuntimeError):  # the interpreter is shutting down and starts no thread any more
            while _helpers < helpers:
                threading.Thread(target=_help, args=(_jobs,), name=f"kernels-{_helpers}", daemon=True).start()
                _helpers += 1
    for _ in range(min(helpers, _helpers)):
        _jobs.put(job)


# The CPU that this thread runs on, where the system tells (Linux).
_cpu: Callable[[], int] = getattr(ctypes.CDLL(None) if os.name == "posix" else None, "sched_getcpu", lambda: -1)


def _leave(taken: int) -> None:
    """Stay off the caller's CPU: a system that packs its threads would run both there by turns, and neither is faster then."""
    with contextlib.suppress(OSError):
        allowed = os.sched_getaffinity(os.getpid())
        os.sched_setaffinity(0, allowed - {taken} or allowed)


def _help(jobs: Any) -> None:
    left = -1  # the CPU that this thread stays off
    while True:
        seen = _calls[0]
        if jobs.empty():
            look_out(_calls, seen)
        left = _do(jobs.get(), left)


def _do(job: tuple[Any, ...], left: int) -> int:
    """A function of its own, so that a sleeping helper holds no arrays."""
    kernel, arguments, errors, taken = job
    try:
        if taken != left:
            _leave(taken)
        kernel(*arguments)
    except BaseException as error:  # the caller raises it
        errors.append(error)
    return int(taken)


def _after_fork() -> None:
    """A child has none of its parent's threads."""
    global _jobs, _helpers, _lock
    _jobs, _helpers, _lock = queue.SimpleQueue(), 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
