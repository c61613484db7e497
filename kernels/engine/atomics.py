"""Atomic operations on an element of an int64 array, and what a thread does while it waits."""

import ctypes
import os
import platform

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import device_function

YIELD_SPINS = 1_000  # on another thread, which may be waiting for this processor
INT32, INT64 = ir.IntType(32), ir.IntType(64)

_libc = ctypes.CDLL(None) if os.name == "posix" else None


def _pointer(builder, address, index):
    return builder.gep(builder.inttoptr(address, INT64.as_pointer()), [index])


@intrinsic
def _add(typingctx, address, index, number):
    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _pointer(builder, *args[:2]), args[2], "seq_cst")

    return types.int64(types.uintp, types.intp, types.int64), generate


@intrinsic
def _pause_and_load(typingctx, address, index):
    def generate(context, builder, signature, args):
        if platform.machine() in ("x86_64", "AMD64"):  # frees the core for its other thread
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return builder.load_atomic(_pointer(builder, *args), "seq_cst", align=8)

    return types.int64(types.uintp, types.intp), generate


@intrinsic
def _swap_if(typingctx, address, index, old):
    def generate(context, builder, signature, args):
        new = builder.add(args[2], ir.Constant(INT64, 1))
        pointer = _pointer(builder, *args[:2])
        swapped = builder.cmpxchg(pointer, args[2], new, "seq_cst", "seq_cst")
        return builder.zext(builder.extract_value(swapped, 1), ir.IntType(8))

    return types.uint8(types.uintp, types.intp, types.int64), generate


def _system_call(builder, name):
    """Emit a call of a function of the C library, without arguments, that returns an int."""
    known = builder.module.globals.get(name)
    function = known or ir.Function(builder.module, ir.FunctionType(INT32, []), name)
    return builder.call(function, [])


@intrinsic
def _yield_processor(typingctx):
    def generate(context, builder, signature, args):
        if os.name == "posix":
            _system_call(builder, "sched_yield")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def current_cpu(typingctx):
    """Return the CPU that this thread runs on, or -1 if the system does not tell."""

    def generate(context, builder, signature, args):
        if not hasattr(_libc, "sched_getcpu"):
            return ir.Constant(INT64, -1)
        return builder.sext(_system_call(builder, "sched_getcpu"), INT64)

    return types.int64(), generate


# Numba frees an array after its last use by name. These are functions, which Numba does not
# inline, so that the caller's variable keeps the array alive while its address is in use.


@device_function
def atomic_add(array, index, number):
    """Add a number to array[index], and return the old value, atomically."""
    return _add(array.ctypes.data, index, number)


@device_function
def atomic_load(array, index):
    """Pause briefly, then return array[index], which other threads change."""
    return _pause_and_load(array.ctypes.data, index)


@device_function
def atomic_advance(array, index, old):
    """Add 1 to array[index] if it is still `old`; return whether it was, atomically."""
    return _swap_if(array.ctypes.data, index, old) != 0


@device_function
def wait_a_moment(spins):
    """Let another thread run if this one has spun for long, and return how often it has."""
    if spins % YIELD_SPINS == YIELD_SPINS - 1:
        _yield_processor()
    return spins + 1
