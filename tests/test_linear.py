"""What is particular to linear regression: large residuals."""

import pytest

from kernels import linear


@pytest.mark.parametrize("variant", linear.VARIANTS)
def test_large_residuals(variant):
    loss, (dw, db) = linear.loss_and_gradient([[1e100]], [0.0], [1.0], 0.0, variant=variant)
    assert loss == pytest.approx(0.5e200, rel=1e-15)
    assert dw[0] == pytest.approx(1e200)
    assert db == 1e100
