"""Sizes at which a 32-bit index, a count of bytes or a buffer would break."""

import mmap
import os

import numpy as np
import pytest
from cases import PROBLEMS, random_batch
from oracle import loss_and_gradient
from test_equal import assert_equal_to_oracle, assert_within

BEYOND = 2**31  # elements, which no int32 counts


@pytest.mark.parametrize("problem", PROBLEMS)
def test_more_elements_than_an_int32_counts(problem):
    """One row, repeated without memory for it: its average is the gradient of one row."""
    D = 2**14
    X, y, *parameters = random_batch(problem, np.random.default_rng(40), (1, D, 2, 2), np.float32)
    N = BEYOND // D + 5
    repeated = np.broadcast_to(X, (N, D))
    assert repeated.size > BEYOND
    got = PROBLEMS[problem].loss_and_gradient(repeated, np.repeat(y, N), *parameters)
    assert_one_row(problem, got, (X, y, *parameters), N)


def assert_one_row(problem, got, one, N):
    """The oracle of one row; to its bound comes that of an average of N equal terms.

    That is γ(2N) in the sums and 1 in the quotient. The values of the terms are at most their own
    bound more than the exact ones.
    """
    loss, gradient = loss_and_gradient(problem, *one)
    eps = np.finfo(one[0].dtype).eps
    for bounded, part in zip(
        [loss, *gradient], [got[0], *(p for p in got[1] if p is not None)], strict=True
    ):
        size = np.abs(bounded.value) + bounded.bound
        assert_within(
            bounded._replace(bound=bounded.bound + eps * (2 * N + 1) * size), part, problem
        )


@pytest.mark.skipif(os.name != "posix", reason="memory that is never touched is not free here")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_strides_that_lead_beyond_two_to_the_31_elements(problem, order):
    """A part of the columns of a sparse map: what lies between is neither stored nor read."""
    apart = 2**20 + 48  # elements, from one row (or, in Fortran's order, column) to the next
    shape = (2100, 5, 3, 4) if order == "C" else (5, 2100, 3, 4)
    X, *rest = random_batch(problem, np.random.default_rng(41), shape, np.float32)
    sparse = mmap.mmap(
        -1, 2100 * apart * X.itemsize, mmap.MAP_SHARED | getattr(mmap, "MAP_NORESERVE", 0)
    )
    file = np.frombuffer(sparse, X.dtype).reshape(2100, apart)
    assert file.size > BEYOND
    far = file[:, 7:12] if order == "C" else file[:, 7:12].T
    far[:] = X
    assert_equal_to_oracle(problem, "tiled", far, *rest, reg=0.1)
    strided = file[:, 7:17:2] if order == "C" else file[:, 7:17:2].T
    strided[:] = X
    assert_equal_to_oracle(problem, "tiled", strided, *rest, reg=0.1)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_one_sample_of_many_features(problem):
    batch = random_batch(problem, np.random.default_rng(43), (1, 100_000, 10, 10), np.float32)
    assert_equal_to_oracle(problem, "tiled", *batch, reg=0.1)


@pytest.mark.parametrize("problem", ["softmax", "two_layer"])
def test_many_classes(problem):
    for shape in [(1, 3, 1000, 2), (700, 3, 1000, 9)]:
        assert_equal_to_oracle(
            problem, "tiled", *random_batch(problem, np.random.default_rng(44), shape), reg=0.1
        )


@pytest.mark.slow
def test_one_sample_of_many_features_and_classes():
    """W has 10⁸ elements. Its gradient has rank 1, so the oracle of the scores is enough."""
    N, D, K = 1, 100_000, 1000
    rng = np.random.default_rng(45)
    X = rng.normal(size=(N, D)).astype(np.float32)
    W = rng.random((D, K), np.float32)
    W -= np.float32(0.5)
    loss, (dW, db) = PROBLEMS["softmax"].loss_and_gradient(X, [7], W, np.zeros(K, np.float32))
    z = X[0].astype(float) @ W.astype(float)
    p = np.exp(z - z.max())
    r = p / p.sum() - (np.arange(K) == 7)
    # the scores err by at most γ(D) Σ |x w|, their residual by twice that
    error = 2 * D * np.finfo(np.float32).eps * float(np.abs(X[0]) @ np.full(D, 0.25))
    typical = error / np.sqrt(D)  # as rounding errors add up
    assert loss == pytest.approx(np.log(p.sum()) + z.max() - z[7], abs=typical)
    np.testing.assert_allclose(db, r, atol=typical)
    for d in (0, 1, 54_321, D - 1):
        np.testing.assert_allclose(dW[d], X[0, d] * r, atol=typical * abs(X[0, d]) + 1e-7)
