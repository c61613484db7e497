"""The pass for few scores and few samples: right for every layout and any number of threads."""

import numpy as np
import pytest
from numba import types

from kernels.engine.driver import FEATURES, Kernel, driver_types, make_driver
from kernels.engine.feature_pass import (
    FEW_ROWS,
    FEWER_ROWS,
    LEAST_PARAMETERS,
    MAX_ROWS,
    MOST_SCORES,
    blocks_of_features,
)
from kernels.engine.narrow import LEAST_COLUMNS, MOST_COLUMNS
from kernels.engine.tile_pass import TILE_BYTES
from tests.helpers.cases import DTYPES, PROBLEMS, random_batch
from tests.helpers.comparison import assert_equal_to_oracle, bits
from tests.helpers.marks import compiled
from tests.helpers.passes import assert_error_is_raised, assert_goals_agree, never_right

ALL_ROWS = np.empty(0, np.int64)
# N, D: one block, two, several, and the last one shorter than the others; rows that are no multiple
# of a vector.
SHAPES = [(1, 1), (3, 40), (FEW_ROWS, 129), (55, 5003), (7, 20011), (17, 300), (MAX_ROWS, 3)]
CASES = [(problem, (*shape, 1, 1)) for problem in ("linear", "logistic") for shape in SHAPES]
# N, D, K: every number of columns and of samples in a group, and rows that end within a vector.
SEVERAL = [
    (1 + 5 * K % min(FEWER_ROWS, MOST_SCORES // K), 2000 + 7 * K, K, 1)
    for K in range(2, MOST_COLUMNS + 1)
]
SEVERAL += [(FEWER_ROWS, 20011, 3, 1), (3, 9001, 10, 1)]
CASES += [("softmax", shape) for shape in SEVERAL]
CASES += [
    ("two_layer", shape) for shape in [(1, 1000, 3, 4), (11, 5003, 2, 12), (24, 2001, 200, 7)]
]


def layouts(X):
    """C order, Fortran order, and both within larger arrays, one with the rows in reverse."""
    yield X
    yield np.asfortranarray(X)
    yield np.pad(X, ((1, 0), (2, 3)))[1:, 2:-3]
    yield np.asfortranarray(np.pad(X, ((3, 2), (0, 1))))[3:-2, :-1]
    yield X[::-1].copy()[::-1]


def test_which_calls_take_it():
    for size in (4, 8):
        dtype = f"f{size}"
        long = TILE_BYTES // size // MAX_ROWS + 1
        for shape, order, taken in [
            ((FEW_ROWS, 5000), "C", True),
            ((FEW_ROWS + 1, 5000), "C", False),
            ((MAX_ROWS, long - 1), "C", True),
            ((MAX_ROWS, long), "C", False),
            ((MAX_ROWS, long), "F", True),
            ((MAX_ROWS + 1, 2), "F", False),
        ]:
            X = np.zeros(shape, dtype, order=order)
            blocks, length = blocks_of_features(X, ALL_ROWS, 1, 0, True)
            assert (blocks > 0) == taken
            assert not taken or (blocks - 1) * length < X.shape[1] <= blocks * length
            assert blocks_of_features(X, np.zeros(1, np.int64), 1, 0, True) == (0, 0)
        strided = np.zeros((10, 2000), dtype)[:, ::2]
        for K in (1, 3):
            assert blocks_of_features(strided, ALL_ROWS, K, 0, K == 1) == (0, 0)


def test_which_calls_with_several_scores_take_it():
    for rows, order, K, taken in [
        (FEWER_ROWS, "C", LEAST_COLUMNS, True),
        (MOST_SCORES // MOST_COLUMNS, "C", MOST_COLUMNS, True),
        (MOST_SCORES // MOST_COLUMNS + 1, "C", MOST_COLUMNS, False),
        (FEWER_ROWS + 1, "C", LEAST_COLUMNS, False),
        (1, "C", MOST_COLUMNS + 1, False),
        (FEWER_ROWS, "C", 1, False),
        (FEWER_ROWS, "F", LEAST_COLUMNS, False),
    ]:
        X = np.zeros((rows, LEAST_PARAMETERS * max(8, rows)), order=order)
        assert (blocks_of_features(X, ALL_ROWS, K, 0, False)[0] > 0) == taken
    X = np.zeros((FEWER_ROWS, LEAST_PARAMETERS * FEWER_ROWS // 2))
    assert blocks_of_features(X, ALL_ROWS, 2, 0, False)[0] > 0
    assert blocks_of_features(X[:, :-1], ALL_ROWS, 2, 0, False) == (0, 0)


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "shape"), CASES)
def test_equal_to_the_oracle(problem, shape, dtype):
    rng = np.random.default_rng(70)
    X, *rest = random_batch(problem, rng, shape, dtype)
    _, _, K, H = shape
    first, above = (H, K) if problem == "two_layer" else (K, 0)
    one_score = problem in ("linear", "logistic")
    assert blocks_of_features(X, ALL_ROWS, first, above, one_score)[0] > 0
    s = rng.random(len(X)).astype(dtype)
    for X_laid_out in layouts(X):
        if one_score:
            assert blocks_of_features(X_laid_out, ALL_ROWS, 1, 0, True)[0] > 0
        assert_equal_to_oracle(problem, "tiled", X_laid_out, *rest, reg=0.1, sample_weight=s)
        assert_equal_to_oracle(problem, "tiled", X_laid_out, *rest)


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_same_bits_for_any_number_of_threads(problem, order, dtype):
    module, rng = PROBLEMS[problem], np.random.default_rng(71)
    several = problem in ("softmax", "two_layer")
    shape = (FEWER_ROWS, 20011, 5, 6) if several else (101, 20011, 1, 1)
    X, *rest = random_batch(problem, rng, shape, dtype)
    X = np.asarray(X, order=order)
    want = bits(module.loss_and_gradient(X, *rest, threads=1))
    for threads in (2, 3, 7, None):
        for _ in range(5):
            assert bits(module.loss_and_gradient(X, *rest, threads=threads)) == want


@compiled
@pytest.mark.parametrize(("problem", "shape"), CASES)
def test_every_goal(problem, shape):
    batch = random_batch(problem, np.random.default_rng(72), shape)
    assert_goals_agree(PROBLEMS[problem], *batch)


@compiled
def test_invalid_values_are_found_in_every_block():
    """Whichever thread meets them."""
    rng = np.random.default_rng(73)
    X, y, w, b = random_batch("logistic", rng, (30, 9000, 1, 1))
    for column in (0, 4500, 8999):
        for value in (np.nan, np.inf):
            wrong = X.copy()
            wrong[17, column] = value
            with pytest.raises(ValueError, match=f"row 17, column {column}"):
                PROBLEMS["logistic"].gradient(wrong, y, w, b)
    y[11] = 0.5
    with pytest.raises(ValueError, match=r"y\[11\]"):
        PROBLEMS["logistic"].gradient(X, y, w, b)


@compiled
def test_an_error_in_a_pass_is_raised():
    X, y, w, b = random_batch("linear", np.random.default_rng(74), (60, 9000, 1, 1))
    driver = make_driver(never_right, False, True, divided=FEATURES)
    kernel = Kernel({FEATURES: driver}, driver_types((1, 0), types.float64))[8, FEATURES]
    assert_error_is_raised(kernel, X, y, (w, b), (w.copy(), np.empty(1)))


@compiled
def test_several_targets_and_smoothed_labels():
    """The other kinds of y; W of one column is as that of several."""
    rng = np.random.default_rng(75)
    X = rng.normal(size=(11, 2000))
    for K in (1, 2, 5):
        W, b = rng.normal(size=(2000, K)) / 50, rng.normal(size=K)
        Y, labels = rng.random((11, K)), rng.integers(0, K, 11)
        assert_equal_to_oracle("linear", "tiled", X, Y, W, b, reg=0.1)
        if K == 1:
            continue
        Y /= Y.sum(axis=1, keepdims=True)
        for y, options in ((Y, {}), (labels, {"label_smoothing": 0.1})):
            found = PROBLEMS["softmax"].loss_and_gradient(X, y, W, b, **options)
            want = PROBLEMS["softmax"].loss_and_gradient(X, y, W, b, variant="numpy", **options)
            np.testing.assert_allclose(found[0], want[0], rtol=1e-12)
            for mine, other in zip(found[1], want[1], strict=True):
                np.testing.assert_allclose(mine, other, rtol=0, atol=1e-13)


@compiled
@pytest.mark.parametrize("shape", [(5, 1000, 3), (11, 2000, 7), (3, 2000, 1)])
def test_products_of_several_targets(shape):
    """Where ∂²loss/∂z² is a number, a Hessian-vector product is a gradient at the vector."""
    rng, (N, D, K) = np.random.default_rng(76), shape
    X, Y, s = rng.normal(size=(N, D)), rng.normal(size=(N, K)), rng.random(N)
    W, V, b, v = (rng.normal(size=size) for size in ((D, K), (D, K), K, K))
    arguments, options = (X, Y, W, b, V, v), {"reg": 0.1, "sample_weight": s}
    found = PROBLEMS["linear"].hessian_vector_product(*arguments, **options)
    want = V * 0.1 + X.T @ (s[:, None] * (X @ V + v)) / s.sum(), s @ (X @ V + v) / s.sum()
    for mine, exact in zip(found, want, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=0, atol=1e-11)
