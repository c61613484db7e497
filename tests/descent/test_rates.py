"""The learning rate that a DivergenceError proposes, and its advice to standardise features."""

import re

import numpy as np
import pytest

from kernels import two_layer
from tests.helpers.cases import PROBLEMS
from tests.helpers.descents import CURVATURE, curvature_bound, error_of, random_data


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("problem", CURVATURE)
def test_the_proposed_rate_converges(problem, seed):
    X, y = random_data(problem, seed)
    rate = error_of(problem, X, y, learning_rate=1e4).safe_learning_rate
    fit = PROBLEMS[problem].descend(X, y, learning_rate=rate, max_iter=200_000, tol=1e-7)
    assert fit.converged
    falls = np.diff(fit.losses)
    assert falls.max() <= 1e-14 * len(X) * fit.losses[0], "the loss never grows, but for rounding"
    if problem == "linear":
        assert error_of(problem, X, y, learning_rate=2 * rate, max_iter=100_000).iteration > 0


@pytest.mark.parametrize("seed", range(20))
def test_the_proposed_rate_lowers_the_loss_of_a_network(seed):
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
        # rounded down to four digits
        assert error.safe_learning_rate == pytest.approx(
            0.95 * 2 / curvature_bound(problem, X, reg, s, bias), rel=1e-3
        )
        assert f"{error.safe_learning_rate:.4g}" in str(error)


def test_advice_to_standardise_where_scales_differ_a_hundredfold():
    X, y = random_data("linear", 1)[0][:, :1], random_data("linear", 1)[1]
    for scale, advised in ((99.0, False), (101.0, True), (1 / 101.0, True)):
        X2 = np.column_stack([X, X * scale, 0 * X])
        error = error_of("linear", X2, y, learning_rate=1e6)
        assert ("standardise" in str(error)) == advised
    assert re.search(
        r"differ 101-fold \(column 0: .*, column 1: .*\): "
        r"leave out the constant columns, .* \[2\], .*pass \(X - np.mean\(X, axis=0\)\)",
        str(error),
    )
