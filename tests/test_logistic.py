"""What is particular to logistic regression: margins at which exp overflows or digits cancel."""

import math

import numpy as np
import pytest

from kernels import logistic
from tests.helpers.cases import DTYPES, EXTREMES


@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", logistic.VARIANTS)
@pytest.mark.parametrize("y", [-1, 1])
def test_extreme_margins(variant, dtype, size, y):
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
def test_the_digits_of_a_small_loss_are_kept(variant):
    """log(1 + exp(-30)) is 9.4e-14: 1 + exp(-30) alone would keep three digits of it."""
    loss, (dw, _) = logistic.loss_and_gradient([[1.0]], [1], [30.0], 0.0, variant=variant)
    assert loss == pytest.approx(math.log1p(math.exp(-30)), rel=1e-14, abs=0)
    assert dw[0] == pytest.approx(-math.exp(-30) / (1 + math.exp(-30)), rel=1e-14, abs=0)
