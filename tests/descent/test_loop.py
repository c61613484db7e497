"""Divergence: which losses count as it, of batches too, and that rounding does not."""

import numpy as np
import pytest

from kernels import linear
from kernels.descent.loop import divergence_state, diverging
from tests.helpers.cases import DTYPES, PROBLEMS
from tests.helpers.descents import CURVATURE, curvature_bound, error_of, random_data


def test_numbers_beyond_the_dtype():
    """The range of the dtype is left before the loss has risen ten times in a row."""
    X, y = random_data("linear", 0)
    for variant in linear.VARIANTS:
        error = error_of("linear", X, y, learning_rate=1e80, variant=variant)
        assert error.iteration < 5
        assert "the numbers leave the range of float64" in str(error)
        last = error_of("linear", X, y, learning_rate=1e200, variant=variant, max_iter=1)
        assert last.iteration == 0, "the one step there was led out of the range"
    error = error_of("linear", (X * 1e15).astype(np.float32), y, learning_rate=1.0)
    assert error.safe_learning_rate == pytest.approx(
        1.9 / curvature_bound("linear", X * 1e15), rel=1e-3
    )


@pytest.mark.parametrize("batch_size", [1, 7, 100])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_batches_diverge_too(problem, batch_size):
    X, y = random_data(problem, 5)
    settings = {"batch_size": min(batch_size, len(X) - 1), "max_iter": 20_000, "tol": 0}
    error = error_of(problem, X, y, learning_rate=1e4, **settings)
    losses = (
        PROBLEMS[problem]
        .descend(X, y, learning_rate=error.safe_learning_rate, **settings | {"max_iter": 2000})
        .losses
    )
    assert losses[-500:].mean() < 2 * losses[0]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", CURVATURE)
def test_rounding_is_no_divergence(problem, dtype, seed):
    """Thousands of iterations past the minimum, from a perfect fit and from a result."""
    X, y = random_data(problem, seed)
    X = X.astype(dtype)
    if problem == "linear":
        y = X @ np.ones(X.shape[1], dtype)
    rate = float(np.random.default_rng(seed).uniform(0.1, 1.9)) / curvature_bound(
        problem, X.astype(float)
    )
    fit = PROBLEMS[problem].descend(X, y, learning_rate=rate, max_iter=5000, tol=0)
    assert (
        PROBLEMS[problem].descend(X, y, learning_rate=rate, max_iter=3000, tol=0, start=fit).n_iter
        >= fit.n_iter
    )
    if problem == "linear":
        start = {"w": np.ones(X.shape[1], dtype), "learning_rate": rate, "tol": 0}
        linear.descend(X, y, **start, max_iter=3000)
        linear.descend(X, y, **start, max_iter=300, callback=lambda *seen: False)


def first_diverging(losses):
    """The index of the loss at which they count as divergence, or None."""
    state = divergence_state()
    return next((i for i, loss in enumerate(losses) if diverging(float(loss), state)), None)


def test_a_start_at_a_perfect_fit():
    """Its loss is rounding, which may stay at a multiple of its first value: no divergence."""
    flagged = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        N, D = int(rng.integers(1, 30)), int(rng.integers(1, 12))
        X = rng.normal(size=(N, D)) * 10 ** rng.uniform(-3, 3) + rng.normal()
        X = X.astype(DTYPES[seed % 2])
        w = rng.normal(size=D).astype(X.dtype)
        rate = rng.uniform(0.5, 1.9) / curvature_bound("linear", X.astype(float))
        fit = linear.descend(X, X @ w, w=w, b=0.0, learning_rate=rate, tol=0, max_iter=400)
        flagged += first_diverging(fit.losses) is not None
    assert flagged > 0, "or this test shows nothing: these losses alone would count as divergence"


def test_which_losses_count_as_divergence():
    """Neither one step that is too long nor nine losses that rise are divergence, but ten are."""
    assert first_diverging([1, *[50] * 99, 0.5, *[50] * 99]) is None
    assert first_diverging([1, *[50] * 100]) == 100
    assert first_diverging([1, *range(2, 11), 1, *range(2, 11), 1, 50, 49]) is None
    assert first_diverging(range(1, 20)) == 10
    assert first_diverging(np.linspace(1, 1.9, 200)) is None, "it has not doubled"
    assert first_diverging([0.0] * 500) is None
    assert first_diverging([3, 0.1, *np.linspace(0.2, 29, 30), 0.1]) is None, (
        "the loss of a network may rise for a while"
    )
    assert first_diverging([3, 0.1, *np.linspace(1, 30, 30), 31]) == 32
    assert first_diverging([1, 2, float("nan")]) == first_diverging([1, 2, float("inf")]) == 2
