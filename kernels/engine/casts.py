"""Conversions of floats to the other float dtype or to int64, in one pass that never warns."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from .cache import entry_point
from .jit import jit

INT64 = np.dtype(np.int64)
LARGEST = 2.0**53  # whole numbers up to which both floats are exact


@jit
def to_whole_numbers(numbers, out):
    """Write numbers into `out`, of int64; return how many are not whole, or too large."""
    lost = 0
    for i in range(len(out)):
        fits = abs(numbers[i]) <= LARGEST
        out[i] = np.int64(numbers[i]) if fits else 0
        lost += not (fits and out[i] == numbers[i])
    return lost


@jit
def to_other_float(numbers, out):
    """Write numbers into `out`, of the other float dtype; return how many become 0."""
    lost = 0
    for i in range(len(out)):
        out[i] = numbers[i]
        lost += out[i] == 0 and numbers[i] != 0
    return lost


class Conversions(dict[tuple[int, bool], Callable[..., int]]):
    """Entry points by the itemsize of the floats, and whether they become whole numbers."""

    def __missing__(self, key: tuple[int, bool]) -> Callable[..., int]:
        size, whole = key
        real, other = (types.float32, types.float64)[:: 1 if size == 4 else -1]
        arrays = types.Array(real, 1, "C"), types.Array(types.int64 if whole else other, 1, "C")
        self[key] = entry_point(to_whole_numbers if whole else to_other_float, arrays)
        return self[key]


CONVERSIONS = Conversions()


def converted(array: Any, dtype: Any) -> tuple[Any, int]:
    """Return a copy of an array of floats, in C order, in another dtype, and how many are lost."""
    out = np.empty(array.shape, dtype)
    lost = CONVERSIONS[array.itemsize, dtype is INT64](array.reshape(-1), out.reshape(-1))
    return out, lost
