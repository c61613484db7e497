"""Results are compared before they are timed, and their errors counted in units of rounding."""

import numpy as np
import pytest

from bench import problems
from bench.measure import agreement
from kernels import softmax
from tests.helpers.reports import AIRFOIL


@pytest.mark.parametrize(
    "wrong",
    [
        lambda gradient: -gradient,
        lambda gradient: 1.01 * gradient,
        lambda gradient: gradient * np.nan,
    ],
)
def test_a_wrong_result_is_not_timed(wrong):
    gradient = AIRFOIL.module.gradient(
        *agreement.batch(AIRFOIL, "float64"), reg=problems.REG, variant="loop"
    )
    agreement.agree(AIRFOIL, "float64", "loop", gradient)
    with pytest.raises(
        AssertionError, match=r"linear-airfoil-1503x5 float64: dw of loop is off by"
    ):
        agreement.agree(AIRFOIL, "float64", "loop", gradient._replace(w=wrong(gradient.w)))


@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_errors_are_counted_in_units_of_rounding(dtype):
    """What is rounded once errs by at most half a unit; 10 units more are seen as 10 units more."""
    exact = agreement.exact(AIRFOIL, dtype, 500)
    rounded = [np.asarray(part).astype(dtype) for part in exact]
    checked = 500 * AIRFOIL.shape[1]
    found = agreement.error(AIRFOIL, dtype, lambda _: lambda: (0.0, rounded), checked)
    assert found["error_rows"] == 500
    assert 0 < found["error"] <= 0.5
    rounded[0][np.abs(rounded[0]).argmin()] += np.dtype(dtype).type(
        10 * np.finfo(dtype).eps * np.abs(rounded[0]).max()
    )
    assert (
        9 < agreement.error(AIRFOIL, dtype, lambda _: lambda: (0.0, rounded), checked)["error"] < 11
    )


def alike(N, *_):
    return np.zeros((N, 1)), np.zeros(N, int)


def test_the_reference_is_right_where_samples_are_alike():
    """Residuals for the bias, all of them softmax(b) - (1, 0), are rounded the same way in a sum.

    BLOCK of them are added one after the other: each addition errs by at most eps / 2 of the total.
    """
    problem = problems.Problem(softmax, alike, (200_000, 1, 2))
    *_, b = problem.batch("float64")
    found, right = agreement.expected(problem).b, np.exp(b) / np.exp(b).sum() - [1, 0]
    most = agreement.BLOCK * np.finfo(float).eps / 2
    assert np.abs(found - right).max() <= most * np.abs(right).max()
