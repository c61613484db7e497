"""Comparison of a gradient with a reference: the check of timed gradients, the rounding error."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from bench.peers import PEERS
from bench.problems import REG, Problem
from kernels.sums import add_in_tree
from kernels.testing import in_long_double

BLOCK = 1024  # rows of a block of the reference


@lru_cache(maxsize=1)  # the largest takes most of a gigabyte
def batch(problem: Problem, dtype: str) -> tuple[Any, ...]:
    return problem.batch(dtype)


@lru_cache(maxsize=1)
def expected(problem: Problem) -> Any:
    """The gradient of the `numpy` variant in float64, for both dtypes.

    It is summed over blocks of rows, and these pairwise: NumPy adds up the residuals for a bias one
    after the other, and where they are alike it rounds most of the sums the same way.
    """
    (X, y, *parameters), of_rows = problem.batch("float64"), problem.module.sums
    blocks = (slice(row, row + BLOCK) for row in range(0, len(X), BLOCK))
    parts = (of_rows(X[block], y[block], *parameters, variant="numpy") for block in blocks)
    return problem.module.average(add_in_tree(parts), *parameters, reg=REG)[1]


def agree(problem: Problem, dtype: str, contestant: str, gradient: tuple[Any, ...]) -> None:
    """Raise AssertionError if a gradient is wrong; the tests have stricter bounds.

    The rounding error of a sum of N terms is about sqrt(N) eps times its size if roundings up and
    down are equally frequent. Peers may be less accurate: oneDAL's exp has ten digits in float64.
    The report shows the error beside the speed.
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
    """The largest error of the gradient, in units of rounding, on the first `error_rows` samples.

    `error_rows` is how many samples the reference processes in `checked` multiplications, but at
    least 64. A unit is eps (the spacing of the dtype at 1) times the largest magnitude in the same
    part of the gradient, such as dW. An exact gradient, rounded to the dtype, has an error of at
    most half a unit.
    """
    rows = min(problem.shape[0], max(64, checked // prod(problem.shape[1:])))
    gradient = prepare(first(problem, dtype, rows))()[1]
    units = 0.0
    for got, want in zip(gradient, exact(problem, dtype, rows), strict=True):
        unit = np.finfo(dtype).eps * np.abs(want).max()
        units = max(units, float((np.abs(np.asarray(got) - want) / unit).max()))
    return {"error": units, "error_rows": rows}


def first(problem: Problem, dtype: str, rows: int) -> tuple[Any, ...]:
    """The first rows of a batch, in the same memory order."""
    X, y, *parameters = batch(problem, dtype)
    return np.array(X[:rows], order=problem.order), y[:rows], *parameters


@lru_cache(maxsize=1)
def exact(problem: Problem, dtype: str, rows: int) -> list[Any]:
    """The gradient in long double: the sums of the `numpy` variant, averaged and penalised."""
    X, y, *parameters = first(problem, dtype, rows)
    ones = np.ones(rows, np.longdouble)
    return in_long_double(problem.module.PROBLEM, X, y, ones, parameters, REG)[1:]
