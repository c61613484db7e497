"""What is particular to softmax: scores at which exp overflows, and two classes."""

import math

import numpy as np
import pytest
from hypothesis import given

from kernels import softmax, two_layer
from tests.helpers.cases import DTYPES, EXTREMES, PROBLEMS, random_batch
from tests.helpers.comparison import assert_same
from tests.helpers.oracle import loss_and_gradient
from tests.helpers.strategies import examples, seeds, shapes


@pytest.mark.parametrize("variant", PROBLEMS["softmax"].VARIANTS)
@examples
@given(shape=shapes, seed=seeds)
def test_softmax_of_two_classes_is_logistic(variant, shape, seed):
    """log(1 + exp(-y z)), z = x·w + b, is the cross-entropy of scores (0, z), class (y + 1) / 2."""
    X, y, w, b = batch = random_batch("logistic", np.random.default_rng(seed), shape)
    W, both = np.column_stack([0 * w, w]), np.array([0, b])
    module = PROBLEMS["softmax"]
    loss, (dW, db) = module.loss_and_gradient(X, (y + 1) // 2, W, both, variant=variant)
    expected_loss, (dw, d_bias) = PROBLEMS["logistic"].loss_and_gradient(*batch, variant=variant)
    two = (X, (y + 1) // 2, W, both)
    assert_same("softmax", (dW, db), (np.column_stack([-dw, dw]), np.array([-d_bias, d_bias])), two)
    assert abs(loss - expected_loss) <= 2 * loss_and_gradient("softmax", *two)[0].bound


def softmax_like(variant, dtype, scores, y):
    """The same scores by way of softmax and of two_layer, whose hidden unit carries the 1."""
    X, W, b = np.ones((1, 1), dtype), np.array([scores], dtype), np.zeros(len(scores), dtype)
    yield softmax.loss_and_gradient(X, [y], W, b, variant=variant)
    loss, (_, _, dW2, db2) = two_layer.loss_and_gradient(
        X, [y], np.ones((1, 1), dtype), np.zeros(1, dtype), W, b, variant=variant
    )
    yield loss, (dW2, db2)


@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", softmax.VARIANTS)
class TestExtremeScores:
    def test_certain_and_right(self, variant, dtype, size):
        for loss, (dW, db) in softmax_like(variant, dtype, [-size, size, 0], 1):
            assert loss == 0
            assert not dW.any()
            assert not db.any()

    def test_certain_and_wrong(self, variant, dtype, size):
        for loss, (dW, db) in softmax_like(variant, dtype, [-size, size, 0], 0):
            assert loss == pytest.approx(2 * size, rel=1e-6)
            assert dW.tolist() == [[-1, 1, 0]]
            assert db.tolist() == [-1, 1, 0]

    def test_undecided(self, variant, dtype, size):
        for sign in (1, -1):
            for loss, (dW, _) in softmax_like(variant, dtype, [sign * size] * 4, 2):
                assert loss == pytest.approx(math.log(4), rel=1e-6)
                assert dW.tolist() == [[0.25, 0.25, -0.75, 0.25]]
