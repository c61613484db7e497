"""`kernels.testing.check` passes for problems that are right, and names what is wrong."""

import numba
import numpy as np
import poisson
import pytest
from poisson import Poisson

import kernels
import kernels.testing
from tests.helpers.declaration import DECLARATION
from tests.helpers.marks import compiled


def test_the_check_passes():
    kernels.testing.check(Poisson)


@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear", "two_layer"])
def test_the_check_passes_for_ours(problem):
    kernels.testing.check(getattr(kernels, problem).PROBLEM)


@numba.njit
def of_twice_the_slope(z, y):
    return np.exp(z) - y * z, 2 * (np.exp(z) - y)


@numba.njit
def of_twice_the_curvature(z, y):
    return 2 * np.exp(z)


@numba.njit
def without_weights(X, y, s, w, b):
    return poisson_loop(X, y, np.ones_like(s), w, b)


poisson_loop = poisson.sums_loop


def of_another_loss(X, y, s, w, b):
    loss, *rest = poisson.sums_numpy(X, y, s, w, b)
    return (1.01 * loss, *rest)


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("residual", of_twice_the_slope, "tiled, X in C order: gradient of w is off by"),
        ("loop", without_weights, "is off by"),
        ("numpy", of_another_loss, "differences"),
        ("second_derivative", of_twice_the_curvature, "product's part for w is off from diff"),
    ],
)
@compiled
def test_a_mistake_is_noticed(name, function, message):
    mistaken = kernels.Problem("mistaken", **DECLARATION | {name: function})
    with pytest.raises(AssertionError, match=message):
        kernels.testing.check(mistaken)
