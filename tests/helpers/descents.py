"""Small descents of every problem, from given parameters."""

import numpy as np
import pytest

from kernels import DivergenceError
from tests.helpers.cases import PROBLEMS, case_of

SMALL, LARGE = (40, 3, 4, 5), (40_003, 3, 4, 5)  # the loop compiled; shared by threads
FIXED = {"tol": 0, "learning_rate": 0.2, "reg": 0.01}


def data(problem, shape=SMALL, dtype=np.float64, seed=0):
    return case_of(problem, seed, shape, dtype)


def start_of(problem, batch):
    return dict(zip(PROBLEMS[problem].Parameters._fields, batch[2:], strict=True))


def descend(problem, batch, **settings):
    return PROBLEMS[problem].descend(
        *batch[:2], **(settings if "start" in settings else start_of(problem, batch) | settings)
    )


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
