"""A task that several threads run at the same time: compiled code from beginning to end.

A leader announces a task in an array that it shares with its helpers, the team. A helper that is
awake busy-waits for the next task, takes part in it if that is still open, and busy-waits again.
Neither holds the GIL nor waits for it: a thread that slept for it would be woken on the other's
CPU. A task divides its work itself, so that it is right for any number of threads.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from .atomics import INT64, atomic_add, atomic_advance, atomic_load, current_cpu, wait_a_moment
from .jit import device_function, jit

# Indices in the array. What the busy-waiting threads read has a cache line of its own.
TASKS = 0  # number of tasks announced so far
INSIDE = 8  # helpers in the task, plus OPEN if more may join
# The task: address of the function, and of its arguments; how many helpers may join; the CPU of the
# leader, or -1; whether a thread has failed; how often threads have spun in vain.
FUNCTION, ARGUMENTS, ROOM, LEADER_CPU, FAILED, WAITED = 16, 17, 18, 19, 20, 21
LED, AWAKE = 24, 25  # 1 while there is a leader; helpers that busy-wait or work
CPUS, SPINS = 26, 27  # CPUs of the process; how often a helper spins for the next task
LENGTH = 32
OPEN = 2**32

TEAM = types.Array(types.int64, 1, "C")


@register_jitable
def alone():
    """Return the team of a call on one thread, and its number of helpers."""
    return np.zeros(LENGTH, np.int64), 0


_TASK, _ADDRESS = types.UniTuple(types.int64, 2), types.voidptr


def make_task(function: Any) -> Any:
    """Return an intrinsic that makes a task of a compiled function and its only argument.

    The task is the address of code that calls the function, and the address of the argument, which
    the caller keeps alive: it is in the frame of the function that uses the intrinsic.
    """

    @intrinsic
    def task(typingctx, argument):
        kind = typeof(function)
        called = kind.get_call_type(typingctx, (argument,), {})

        def generate(context, builder, signature, args):
            convention = context.call_conv
            code = ir.Function(
                builder.module,
                convention.get_function_type(types.int64, (_ADDRESS,)),
                builder.module.get_unique_name("task"),
            )
            code.linkage = "internal"
            inside, value = ir.IRBuilder(code.append_basic_block()), args[0]
            (pointer,) = convention.get_arguments(code)
            loaded = inside.load(inside.bitcast(pointer, value.type.as_pointer()))
            context.get_function(kind, called)(inside, (loaded,))
            convention.return_value(inside, ir.Constant(INT64, 0))
            place = cgutils.alloca_once_value(builder, value)
            numbers = [builder.ptrtoint(pointer, INT64) for pointer in (code, place)]
            return context.make_tuple(builder, _TASK, numbers)

        return _TASK(argument), generate

    return task


@intrinsic
def run_task(typingctx, task):
    """Run a task; return whether it raised an error."""

    def generate(context, builder, signature, args):
        convention = context.call_conv
        kind = convention.get_function_type(types.int64, (_ADDRESS,))
        function, argument = cgutils.unpack_tuple(builder, args[0], 2)
        outputs = [cgutils.alloca_once(builder, pointer.pointee) for pointer in kind.args[:2]]
        argument = builder.inttoptr(argument, kind.args[2])
        code = builder.call(builder.inttoptr(function, kind.as_pointer()), [*outputs, argument])
        return builder.icmp_unsigned("!=", code, ir.Constant(code.type, 0))

    return types.boolean(_TASK), generate


@device_function
def lead(team, helpers, task):
    """Run a task together with at most `helpers` others; return whether they have completed it.

    They have not if a thread raised an error, and it is not begun while another thread leads. The
    caller then runs it again, alone, which raises the error.
    """
    if not atomic_advance(team, LED, 0):
        return False
    team[FUNCTION], team[ARGUMENTS] = task
    team[ROOM], team[FAILED], team[WAITED] = helpers, 0, 0
    team[LEADER_CPU] = current_cpu() if team[CPUS] > 1 else -1
    atomic_add(team, INSIDE, OPEN)
    atomic_add(team, TASKS, 1)
    if run_task(task):
        team[FAILED] = 1
    atomic_add(team, INSIDE, -OPEN)
    spins = 0
    while atomic_load(team, INSIDE) > 0:
        spins = wait_a_moment(spins)
    atomic_add(team, WAITED, spins)
    completed = team[FAILED] == 0
    atomic_add(team, LED, -1)
    return completed


def make_shared(function: Any) -> Any:
    """Return a function that runs a compiled function together with helpers, or else alone.

    The function takes its work from counters, which this sets to 0.
    """
    task = make_task(function)

    @device_function
    def run(call, counters, team, helpers):
        counters[:] = 0
        if helpers == 0 or not lead(team, helpers, task(call)):
            counters[:] = 0
            function(call)

    return run


@jit
def serve(team):
    """Take part in tasks until team[SPINS] spins have brought none.

    Returns -1, or at once the CPU of the leader if this thread is running on it, too.
    """
    atomic_add(team, AWAKE, 1)
    seen, spins, cpu = np.int64(-1), 0, np.int64(-1)
    while spins <= team[SPINS] and cpu < 0:
        tasks = atomic_load(team, TASKS)
        spins += 1
        if tasks != seen:
            seen, spins = tasks, 1
            before = atomic_add(team, INSIDE, 1)
            if before >= OPEN and before - OPEN < team[ROOM]:
                if team[LEADER_CPU] >= 0 and team[LEADER_CPU] == current_cpu():
                    cpu = team[LEADER_CPU]
                elif run_task((team[FUNCTION], team[ARGUMENTS])):
                    team[FAILED] = 1
            atomic_add(team, INSIDE, -1)
    atomic_add(team, AWAKE, -1)
    return cpu
