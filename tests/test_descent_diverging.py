"""What descent says of a learning rate that is too large: in time, and with one that is not."""

import pickle
import re

import numpy as np
import pytest
from cases import DTYPES, PROBLEMS

import kernels
from kernels import ConvergenceWarning, DivergenceError, linear, logistic, softmax, two_layer

CURVATURE = {"linear": 1.0, "logistic": 1 / 4, "softmax": 1 / 2}


def random_data(problem, seed):
    """Correlated features of different scales; labels or targets that no model fits perfectly."""
    rng = np.random.default_rng([seed, 11])
    N, D, K = int(rng.integers(20, 200)), int(rng.integers(1, 6)), int(rng.integers(2, 5))
    X = rng.normal(size=(N, D)) @ (np.eye(D) + 0.4 * rng.normal(size=(D, D))) + rng.normal(size=D)
    X /= X.std(axis=0)
    X *= rng.uniform(0.5, 2, D)
    if problem == "linear":
        return X, X @ rng.normal(size=D) + rng.normal(size=N)
    if problem == "logistic":
        return X, rng.choice([-1, 1], N)
    return X, np.append(rng.integers(0, K, N - K), np.arange(K))


def error_of(problem, X, y, **settings):
    with pytest.raises(DivergenceError) as raised:
        PROBLEMS[problem].descend(X, y, **settings)
    return raised.value


def curvature_bound(problem, X, reg=0.0, s=None, bias=True):
    A = np.column_stack([X, np.ones(len(X))]) if bias else X
    s = np.ones(len(X)) if s is None else s
    return CURVATURE[problem] * np.linalg.eigvalsh(A.T @ (A * s[:, None]) / s.sum())[-1] + reg


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("problem", CURVATURE)
def test_the_rate_that_it_names_converges(problem, seed):
    X, y = random_data(problem, seed)
    rate = error_of(problem, X, y, learning_rate=1e4).safe_learning_rate
    fit = PROBLEMS[problem].descend(X, y, learning_rate=rate, max_iter=200_000, tol=1e-7)
    assert fit.converged
    falls = np.diff(fit.losses)
    assert falls.max() <= 1e-14 * len(X) * fit.losses[0], "the loss never grows, but for rounding"
    if problem == "linear":
        assert error_of(problem, X, y, learning_rate=2 * rate, max_iter=100_000).iteration > 0


@pytest.mark.parametrize("seed", range(20))
def test_the_rate_that_it_names_for_a_network_lowers_the_loss(seed):
    X, y = random_data("two_layer", seed)
    settings = {"hidden": 10, "std": 0.5, "reg": 1e-3, "tol": 0, "max_iter": 500}
    rate = error_of("two_layer", X, y, learning_rate=1e4, **settings).safe_learning_rate
    fit = two_layer.descend(X, y, learning_rate=rate, **settings)
    # The trial is judged by the loss after its last step, which is not among those of the fit.
    assert two_layer.loss(X, y, *fit[:4], reg=settings["reg"]) < fit.losses[0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reg", [0.0, 3.0])
@pytest.mark.parametrize("problem", CURVATURE)
def test_the_rate_comes_from_the_largest_eigenvalue(problem, reg, bias):
    for seed in range(10):
        X, y = random_data(problem, seed)
        s = np.random.default_rng(seed).uniform(0, 2, len(X)) if seed % 2 else None
        error = error_of(problem, X, y, learning_rate=1e5, reg=reg, sample_weight=s, fit_bias=bias)
        # Rayleigh's quotient, which still changes by a millionth, lacks at most a thousandth where
        # two eigenvalues are close.
        assert error.safe_learning_rate == pytest.approx(
            0.95 * 2 / curvature_bound(problem, X, reg, s, bias), rel=1e-3
        )
        assert f"{error.safe_learning_rate:.4g}" in str(error)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["tiled", "loop", "numpy"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_the_error_holds(problem, variant, dtype):
    X, y = random_data(problem, 3)
    settings = {"variant": variant, "learning_rate": 1e4, "max_iter": 2000}
    error = error_of(problem, X.astype(dtype), y, **settings)
    assert str(error) == str(
        error_of(problem, X.astype(dtype), y, **settings, callback=lambda *seen: False)
    )
    assert isinstance(error, ValueError)
    assert error.iteration == len(error.losses) - 1 <= 1000
    assert f"at iteration {error.iteration} " in str(error)
    assert "learning_rate=10000 is too large" in str(error)
    assert error.losses[0] < error.losses[-1] or not np.isfinite(error.losses[-1])
    assert 0 < error.safe_learning_rate < 1e4
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.iteration, again.safe_learning_rate) == (
        str(error),
        error.iteration,
        error.safe_learning_rate,
    )


def test_numbers_beyond_the_dtype():
    """Soon enough that the loss has not yet grown ten times in a row."""
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


def test_advice_to_standardise_where_scales_differ_a_hundredfold():
    X, y = random_data("linear", 1)[0][:, :1], random_data("linear", 1)[1]
    for scale, advised in ((99.0, False), (101.0, True), (1 / 101.0, True)):
        X2 = np.column_stack([X, X * scale, 0 * X])
        error = error_of("linear", X2, y, learning_rate=1e6)
        assert ("standardise" in str(error)) == advised
    assert re.search(
        r"differ 101-fold \(column 0: .*, column 1: .*\): "
        r"standardise them, \(X - X.mean\(axis=0\)\)",
        str(error),
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


def test_a_start_at_a_perfect_fit(monkeypatch):
    """Its loss is rounding, which may stay at a multiple of its first value: no divergence."""

    def failures():
        count = 0
        for seed in range(400):
            rng = np.random.default_rng(seed)
            N, D = int(rng.integers(1, 30)), int(rng.integers(1, 12))
            X = (rng.normal(size=(N, D)) * 10 ** rng.uniform(-3, 3) + rng.normal()).astype(
                DTYPES[seed % 2]
            )
            w = rng.normal(size=D).astype(X.dtype)
            rate = rng.uniform(0.5, 1.9) / curvature_bound("linear", X.astype(float))
            try:
                linear.descend(X, X @ w, w=w, b=0.0, learning_rate=rate, tol=0, max_iter=400)
            except DivergenceError:
                count += 1
        return count

    assert failures() == 0
    monkeypatch.setattr(kernels.descent.Descent, "cannot_diverge", lambda self: False)
    assert failures() > 0, "or this test shows nothing"


def test_growth_that_is_not_for_ever_is_none():
    """A first step too far that is made good is no divergence, nor are nine losses that rise."""
    from kernels.descent.loop import divergence_state, diverging

    def found(losses):
        state = divergence_state()
        return next((i for i, loss in enumerate(losses) if diverging(float(loss), state)), None)

    assert found([1, *[50] * 99, 0.5, *[50] * 99]) is None
    assert found([1, *[50] * 100]) == 100
    assert found([1, *range(2, 11), 1, *range(2, 11), 1, 50, 49]) is None
    assert found(range(1, 20)) == 10
    assert found(np.linspace(1, 1.9, 200)) is None, "it has not doubled"
    assert found([0.0] * 500) is None
    assert found([3, 0.1, *np.linspace(0.2, 29, 30), 0.1]) is None, (
        "the loss of a network may rise for a while"
    )
    assert found([3, 0.1, *np.linspace(1, 30, 30), 31]) == 32
    assert found([1, 2, float("nan")]) == found([1, 2, float("inf")]) == 2


def test_the_names_are_public():
    assert kernels.DivergenceError is DivergenceError
    assert issubclass(DivergenceError, ValueError)
    assert issubclass(ConvergenceWarning, UserWarning)
    assert {module.descend.__name__ for module in (softmax, logistic, linear, two_layer)} == {
        "descend"
    }
