"""The reason why a descent did not converge, and advice that works if it is followed."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from kernels import ConvergenceWarning, linear, logistic, softmax, two_layer
from tests.helpers.advice import advised


def not_converged(problem, X, y, **settings):
    """The warning of a descent, and the values that it says to pass."""
    with pytest.warns(ConvergenceWarning) as warned:
        fit = problem.descend(X, y, **settings)
    message = str(warned[0].message)
    assert not fit.converged
    assert fit.message == f"max_iter reached: {message}"
    assert f"the largest component of the gradient is {fit.gradient_norm:.3g}" in message
    return message, advised(message, {"np": np, "X": X})


def converges(problem, X, y, advice, **settings):
    """The descent with what was advised; it converges."""
    for name, value in advice:
        if name == "X":
            X = value
        else:
            settings[name] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = problem.descend(X, y, **settings)
    assert fit.converged
    return fit


def test_a_rate_that_is_too_small():
    """Once, short steps were called convergence."""
    X, y = [[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0]
    message, advice = not_converged(linear, X, y, learning_rate=1e-7)
    assert "learning_rate=1e-07 is small, 0.3425 is safe" in message
    assert advice == [("learning_rate", None)]
    assert converges(linear, X, y, advice).w[0] == pytest.approx(2, abs=1e-4)


def test_raw_features():
    """The error advises a rate, the warning to standardise, and then it is as good as can be."""
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match="The features' scales differ") as raised:
        logistic.descend(X, y, learning_rate=0.1, reg=1e-3)
    rate = raised.value.safe_learning_rate
    message, advice = not_converged(logistic, X, y, learning_rate=rate, reg=1e-3)
    assert "the features' scales differ 2.27e+05-fold (column 23: 1.05e+03, column 19" in message
    fit = converges(logistic, X, y, advice, reg=1e-3)
    ((_, standardised),) = advice
    assert (logistic.predict(standardised, fit.w, fit.b) == 2 * y - 1).mean() > 0.985


def test_a_column_that_is_constant():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=60) * 1e3, np.ones(60), rng.normal(size=60)])
    message, _ = not_converged(linear, X, rng.normal(size=60), max_iter=500)
    assert "leave out the constant columns, X = np.delete(X, [1], axis=1), and" in message


@pytest.mark.parametrize("kind", [np.ndarray.tolist, np.asarray])
def test_features_far_from_0(kind):
    """Their scale is the same, but not that of the bias."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 2)) + 100
    y = X @ [1, -1] + rng.normal(size=80)
    message, advice = not_converged(linear, kind(X), y)
    assert "the condition number of the data is" in message
    assert "if the features are standardised" in message
    converges(linear, kind(X), y, advice)


def test_features_that_follow_from_others():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 2))
    X = np.column_stack([X, X.sum(axis=1) + 1e-3 * rng.normal(size=80)])
    message, _ = not_converged(linear, X, X @ [1, 2, 3] + rng.normal(size=80))
    assert (
        "since some features nearly follow from others: leave those out, pass a larger" in message
    )
    converges(linear, X[:, :2], X @ [1, 2, 3], [])
    converges(linear, X, X @ [1, 2, 3], [("reg", 0.01)])


@pytest.mark.parametrize("problem", [logistic, softmax, two_layer])
def test_classes_that_can_be_separated(problem):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 2)), np.repeat([0, 1], 30)
    X[:, 0] = np.abs(X[:, 0]) * (2 * y - 1) + (2 * y - 1)
    settings = {"learning_rate": 0.5, "hidden": 5, "std": 0.5} if problem is two_layer else {}
    message, advice = not_converged(problem, X, y, **settings, max_iter=2000)
    assert "there is no finite optimum: pass reg=0.001 or another" in message
    assert ("reg", 0.001) in advice
    converges(problem, X, y, [("reg", 0.001)], **settings, max_iter=200_000)
    y[0] = 1 - y[0]  # now they overlap
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        problem.descend(X, y, **settings, max_iter=50)
    assert "no finite optimum" not in str(warned[0].message)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding(dtype):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(200, 3)).astype(dtype)
    y = X @ [1, -1, 2] * 10.0 ** (6 if dtype == "float32" else 13)
    message, advice = not_converged(linear, X, y)
    assert f"rounding in {dtype} keeps the gradient from becoming smaller" in message
    assert len(advice) == (2 if dtype == "float32" else 1)
    for one in advice:
        converges(linear, X, y, [one])


def test_a_rate_that_has_decayed():
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    message, advice = not_converged(linear, X, y, learning_rate_decay=0.5, learning_rate=0.01)
    assert "learning_rate_decay=0.5 has made the rate" in message
    converges(linear, X, y, advice, learning_rate=0.01)


def test_nothing_in_particular():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    message, _ = not_converged(linear, X, y, max_iter=2)
    assert message.endswith("raise max_iter, or continue from this result with start=")
    converges(linear, X, y, [("max_iter", 1000)])
