"""Decorators that compile functions with Numba: `jit`, `device_function` and `jit_inline`."""

import functools
from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.extending import overload

from .cache import compile_in_parts, use_disk_cache


def jit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile on the first call with new types; release the GIL; cache the machine code on disk."""
    if function is None:
        return functools.partial(jit, **options)
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if not numba.config.DISABLE_JIT:  # with NUMBA_DISABLE_JIT=1 njit returns the function itself
        use_disk_cache(dispatcher, function)
        compile_in_parts(dispatcher)
    return dispatcher


def device_function(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile for calls from compiled code alone, as part of the callers."""
    return jit(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def jit_inline(function: Callable[..., Any]) -> Any:
    """Compile as part of each caller, so that LLVM optimises once, not at every level of calls."""
    return numba.njit(nogil=True, error_model="numpy", inline="always")(function)


def value_if_present(optional: Any, value: Any) -> Any:
    """Return `value`, or None if `optional` is None, which is known at compile time."""
    return None if optional is None else value


@overload(value_if_present)
def _value_if_present(optional, value):
    if isinstance(optional, (types.NoneType, types.Omitted)):
        return lambda optional, value: None
    return lambda optional, value: value
