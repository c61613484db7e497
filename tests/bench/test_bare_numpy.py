"""The baseline of the benchmark, bare NumPy, computes the right gradients and is not edited."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bench import bare_numpy
from tests.helpers.cases import DTYPES, SHAPES, random_batch
from tests.helpers.oracle import loss_and_gradient


def test_the_baseline_is_frozen():
    """Bare NumPy is what every ratio is to, in reports of all versions.

    An edit changes all of them at once, so the sha256 below may be replaced only if the file
    computes something wrong.
    """
    recorded = "a09bca60f50aee41483891517ff4b6c642d17aedc6d9d07e69c481e5335b0e81"
    assert hashlib.sha256(Path(bare_numpy.__file__).read_bytes()).hexdigest() == recorded


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear", "two_layer"])
# Scores of 0; moderate ones; those whose exp would overflow in float32.
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_the_baseline_is_right(problem, dtype, scale):
    for shape in SHAPES:
        X, y, *parameters = random_batch(problem, np.random.default_rng(shape), shape, dtype)
        y = y if problem in ("softmax", "two_layer") else y.astype(dtype)
        batch = X, y, *(scale * p for p in parameters)
        loss, gradient = getattr(bare_numpy, problem)(*batch, 0.1)
        expected_loss, expected = loss_and_gradient(problem, *batch, reg=0.1)
        assert abs(loss - expected_loss.value) <= expected_loss.bound
        for got, want in zip(gradient, expected, strict=True):
            assert np.shape(got) == np.shape(want.value)
            assert np.ndim(got) == 0 or got.dtype == dtype
            assert (np.abs(got - want.value) <= want.bound).all()
