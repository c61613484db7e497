"""Exact values where exp overflows, underflows and where differences cancel."""

import math

import numpy as np
import pytest

from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS
from tests.helpers.oracle import loss_and_gradient

SIZES = [1e3, 1e9, 1e20]
softmax, logistic, linear, two_layer = PROBLEMS.values()


def softmax_like(variant, dtype, scores, y):
    """The same scores by way of softmax and of two_layer, whose hidden unit carries the 1."""
    X, W, b = np.ones((1, 1), dtype), np.array([scores], dtype), np.zeros(len(scores), dtype)
    yield softmax.loss_and_gradient(X, [y], W, b, variant=variant)
    loss, (_, _, dW2, db2) = two_layer.loss_and_gradient(
        X, [y], np.ones((1, 1), dtype), np.zeros(1, dtype), W, b, variant=variant
    )
    yield loss, (dW2, db2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", softmax.VARIANTS)
class TestSoftmax:
    def test_sure_and_right(self, variant, dtype, size):
        for loss, (dW, db) in softmax_like(variant, dtype, [-size, size, 0], 1):
            assert loss == 0
            assert not dW.any()
            assert not db.any()

    def test_sure_and_wrong(self, variant, dtype, size):
        for loss, (dW, db) in softmax_like(variant, dtype, [-size, size, 0], 0):
            assert loss == pytest.approx(2 * size, rel=1e-6)
            assert dW.tolist() == [[-1, 1, 0]]
            assert db.tolist() == [-1, 1, 0]

    def test_undecided(self, variant, dtype, size):
        for sign in (1, -1):
            for loss, (dW, _) in softmax_like(variant, dtype, [sign * size] * 4, 2):
                assert loss == pytest.approx(math.log(4), rel=1e-6)
                assert dW.tolist() == [[0.25, 0.25, -0.75, 0.25]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", logistic.VARIANTS)
@pytest.mark.parametrize("y", [-1, 1])
def test_logistic(variant, dtype, size, y):
    X = np.ones((1, 1), dtype)
    loss, (dw, db) = logistic.loss_and_gradient(
        X, [y], np.array([y * size], dtype), 0.0, variant=variant
    )
    assert (loss, dw[0], db) == (0, 0, 0)
    loss, (dw, db) = logistic.loss_and_gradient(
        X, [y], np.array([-y * size], dtype), 0.0, variant=variant
    )
    assert loss == pytest.approx(size, rel=1e-6)
    assert (dw[0], db) == (-y, -y)


@pytest.mark.parametrize("variant", logistic.VARIANTS)
def test_logistic_keeps_the_digits_of_a_small_loss(variant):
    """log(1 + exp(-30)) is 9.4e-14: 1 + exp(-30) alone would keep three digits of it."""
    loss, (dw, _) = logistic.loss_and_gradient([[1.0]], [1], [30.0], 0.0, variant=variant)
    assert loss == pytest.approx(math.log1p(math.exp(-30)), rel=1e-14, abs=0)
    assert dw[0] == pytest.approx(-math.exp(-30) / (1 + math.exp(-30)), rel=1e-14, abs=0)


@pytest.mark.parametrize("variant", linear.VARIANTS)
def test_linear(variant):
    loss, (dw, db) = linear.loss_and_gradient([[1e100]], [0.0], [1.0], 0.0, variant=variant)
    assert loss == pytest.approx(0.5e200, rel=1e-15)
    assert dw[0] == pytest.approx(1e200)
    assert db == 1e100


def test_probabilities_of_extreme_scores():
    assert softmax.probabilities([[1.0]], [[-1e20, 1e20, 0.0]]).tolist() == [[0, 1, 0]]
    assert logistic.probabilities([[1.0], [-1.0]], [1e20]).tolist() == [1, 0]
    assert logistic.probabilities([[1.0]], [-800.0]).tolist() == [0]
    assert two_layer.probabilities(
        [[1.0]], [[1.0]], [0.0], [[1e20, -1e20]], [0.0, 0.0]
    ).tolist() == [[1, 0]]


@pytest.mark.parametrize("second_half", [1, -1], ids=["sum overflows", "part of the sum overflows"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_an_overflowing_score(problem, variant, dtype, sign, second_half):
    """Is refused unless it is summed without: it would look like a sure answer, or a dead unit."""
    D = 256  # each place of a vector sums several
    X, high = (
        np.repeat([1, second_half], D // 2)[None].astype(dtype),
        np.full((D, 1), sign * 0.9 * np.finfo(dtype).max, dtype),
    )
    one, zero = np.ones((1, 1), dtype), np.zeros(D, dtype)
    two_scores = np.hstack([zero[:, None], high])
    calls = {
        "softmax": [
            (X, [y], W, b)
            for W in (two_scores, two_scores[:, ::-1])
            for y, b in ((0, zero[:2]), (1, None))
        ],
        "logistic": [(X, [1], high[:, 0], 0.0), (X, [-1], high[:, 0], 0.0)],
        "linear": [(X, [0.0], high[:, 0], 0.0)],
        "two_layer": [
            (X, [0], high, zero[:1], np.hstack([one, -one]), zero[:2]),
            (one, [0], one.repeat(D, axis=1), zero, X.T * two_scores, zero[:2]),
            (one, [1], one.repeat(D, axis=1), zero, X.T * two_scores, zero[:2]),
        ],
    }
    module, refused = PROBLEMS[problem], 0
    for batch in calls[problem]:
        loss, gradient = loss_and_gradient(problem, *batch)
        for function, right in ((module.loss, [loss]), (module.gradient, gradient)):
            try:
                answer = function(*batch, variant=variant)
            except FloatingPointError:
                refused += 1
                continue
            for got, part in zip(
                np.atleast_1d(answer) if function is module.loss else answer, right, strict=False
            ):
                assert np.allclose(got, part.value.astype(float), rtol=1e-6)
    assert refused or second_half < 0 or dtype == "float32"
