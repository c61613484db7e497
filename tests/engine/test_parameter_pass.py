"""The pass for many parameters: right for every layout, with the same bits for any threads."""

import numpy as np
import pytest
from numba import types

from kernels.engine.driver import PARAMETERS, Kernel, driver_types, make_driver
from kernels.engine.parameter_pass import many_parameters, plan_pass
from tests.helpers.cases import DTYPES, PROBLEMS, random_batch
from tests.helpers.comparison import assert_equal_to_oracle, bits
from tests.helpers.marks import compiled
from tests.helpers.passes import assert_error_is_raised, assert_goals_agree, never_right

# N, D, K, H. Of few rows the scores are computed in parts; of the last ones there are several
# super-tiles; in two_layer a wide hidden layer, a wide one above it, or both.
SHAPES = {
    "softmax": [(1, 700, 30, 1), (5, 2100, 33, 1), (60, 300, 200, 1), (800, 256, 700, 1)],
    "two_layer": [(1, 700, 5, 30), (6, 1100, 3, 33), (70, 20, 300, 260), (560, 260, 24, 1000)],
}
CASES = [(problem, shape) for problem, shapes in SHAPES.items() for shape in shapes]


def pass_of(problem, shape, dtype):
    """The arguments of `many_parameters`, and of `plan_pass` but for the last."""
    N, D, K, H = shape
    size = np.dtype(dtype).itemsize
    return (N, D, K, 0, size) if problem == "softmax" else (N, D, H, K, size)


def layouts(X):
    yield X
    yield np.asfortranarray(X)
    yield np.repeat(X, 2, axis=1)[:, ::2]
    yield X[::-1].copy()[::-1]


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "shape"), CASES)
def test_equal_to_the_oracle(problem, shape, dtype):
    assert many_parameters(*pass_of(problem, shape, dtype))
    rng = np.random.default_rng(60)
    X, *rest = random_batch(problem, rng, shape, dtype)
    for X_laid_out in layouts(X) if len(X) < 100 else [X]:
        s = rng.random(len(X)).astype(dtype)
        assert_equal_to_oracle(problem, "tiled", X_laid_out, *rest, reg=0.1, sample_weight=s)


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "shape"), CASES)
def test_same_bits_for_any_number_of_threads(problem, shape, dtype):
    """Also for a list of rows, which samples of weight 0 leave, and for a copy of those rows."""
    module, rng = PROBLEMS[problem], np.random.default_rng(61)
    X, y, *rest = random_batch(problem, rng, shape, dtype)
    s = rng.integers(0, 3, len(X)).astype(dtype)
    s[0] = 1
    kept = s > 0
    X[~kept] = np.nan
    want = bits(module.loss_and_gradient(X, y, *rest, sample_weight=s, threads=1))
    for threads in (2, 3, 7, None):
        for _ in range(3):
            call = module.loss_and_gradient(X, y, *rest, sample_weight=s, threads=threads)
            assert bits(call) == want
    call = module.loss_and_gradient(X[kept], y[kept], *rest, sample_weight=s[kept])
    assert bits(call) == want


@compiled
@pytest.mark.parametrize(("problem", "shape"), CASES)
def test_every_goal(problem, shape):
    batch = random_batch(problem, np.random.default_rng(62), shape)
    assert_goals_agree(PROBLEMS[problem], *batch)


@pytest.mark.parametrize("halves", [1, 2])
@pytest.mark.parametrize("size", [4, 8])
def test_memory_of_a_pass(size, halves):
    """At most 16 MiB and once the parameters, whatever the shape."""
    rng = np.random.default_rng(63)
    for _ in range(2000):
        N, D, K, H = (int(n) for n in np.exp(rng.uniform(0, np.log([1e6, 2e4, 1e3, 1e3]))))
        for hidden, above in ((K, 0), (H, K)):
            if many_parameters(N, D, hidden, above, size):
                plan = plan_pass(N, D, hidden, above, size, halves)
                parameters = (D + 1) * (hidden + 15) + (hidden + 1) * (above + 15) * (above > 0)
                assert size * plan.numbers * plan.items <= 2**24 + size * parameters


@compiled
def test_an_error_in_a_pass_is_raised():
    X, y, W, b = random_batch("softmax", np.random.default_rng(64), (60, 300, 200, 1))
    driver = make_driver(never_right, False, False, divided=PARAMETERS)
    kernel = Kernel({PARAMETERS: driver}, driver_types((2, 1), types.int64))[8, PARAMETERS]
    assert_error_is_raised(kernel, X, y, (W, b), (W.copy(), b.copy()))
