"""Whether a result is right, and its error: no wrong result is timed."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from bench.peers import PEERS
from bench.problems import REG, Problem
from kernels.testing import in_long_double


@lru_cache(maxsize=1)  # the largest takes most of a gigabyte: one at a time
def batch(problem: Problem, dtype: str) -> tuple[Any, ...]:
    return problem.batch(dtype)


@lru_cache(maxsize=1)
def expected(problem: Problem) -> Any:
    """The gradient of the `numpy` variant in float64, for both dtypes."""
    return problem.module.gradient(*problem.batch("float64"), reg=REG, variant="numpy")


def agree(problem: Problem, dtype: str, contestant: str, gradient: tuple[Any, ...]) -> None:
    """A guard against timing a wrong result; the proof, with strict bounds, is in tests/.

    Rounding: a sum of N terms errs by about sqrt(N) eps of its size when errors are as often up as
    down. A peer may be content with less: oneDAL's exp keeps ten digits in float64. Its error
    stands beside its speed.
    """
    right = expected(problem)
    tolerance = np.finfo(dtype).eps * (100 + 10 * np.sqrt(problem.shape[0]))
    if contestant in PEERS:
        tolerance = max(tolerance, 1e-9)
    size = max(np.abs(part).max() for part in right)
    for got, want, part in zip(gradient, right, right._fields, strict=True):
        off = np.abs(got - want).max() / size
        if not off <= tolerance:
            raise AssertionError(
                f"{problem} {dtype}: d{part} of {contestant} is off by {off:.2g} "
                "of the gradient's size"
            )


def error(
    problem: Problem, dtype: str, prepare: Callable[[tuple[Any, ...]], Any], checked: int
) -> dict[str, Any]:
    """`error` in units of rounding, on the first `error_rows` samples.

    That many the oracle does in `checked` multiplications. A unit is eps, the spacing of the dtype
    at 1, times the largest number in that part of the gradient (W, say); it is the worst number of
    the worst part that is told. A gradient that is exact but for the rounding of its last digit
    errs by half a unit.
    """
    rows = min(problem.shape[0], max(64, checked // prod(problem.shape[1:])))
    gradient = prepare(first(problem, dtype, rows))()[1]
    units = 0.0
    for got, want in zip(gradient, exact(problem, dtype, rows), strict=True):
        unit = np.finfo(dtype).eps * np.abs(want).max()
        units = max(units, float((np.abs(np.asarray(got) - want) / unit).max()))
    return {"error": units, "error_rows": rows}


def first(problem: Problem, dtype: str, rows: int) -> tuple[Any, ...]:
    """The first rows of a batch, laid out as all of it is."""
    X, y, *parameters = batch(problem, dtype)
    return np.array(X[:rows], order=problem.order), y[:rows], *parameters


@lru_cache(maxsize=1)
def exact(problem: Problem, dtype: str, rows: int) -> list[Any]:
    """The gradient in long double: the sums of the `numpy` variant, averaged and penalised."""
    X, y, *parameters = first(problem, dtype, rows)
    ones = np.ones(rows, np.longdouble)
    return in_long_double(problem.module.PROBLEM, X, y, ones, parameters, REG)[1:]
