"""The problems of the benchmark have the sizes and the data that the table states."""

import numpy as np
import pytest

from bench import problems


@pytest.mark.parametrize("problem", [p for p in problems.PROBLEMS if p.shape[0] <= 5000], ids=str)
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_the_table_holds_what_it_says(problem, dtype):
    X, y, *parameters = problem.batch(dtype)
    assert X.dtype == dtype
    assert len(y) == len(X) == problem.shape[0]
    assert X.flags["F_CONTIGUOUS" if problem.order == "F" else "C_CONTIGUOUS"]
    problem.module.gradient(X, y, *parameters)  # accepts it


def test_airfoil_is_the_published_data():
    """R² of ordinary least squares on the original data is 0.5157."""
    X, y = problems.airfoil()
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    assert 1 - residual @ residual / (y @ y) == pytest.approx(0.51571, abs=1e-5)
