"""Sizes at which a 32-bit index, a count of bytes or a buffer would overflow, and memory in use."""

import mmap
import os

import numpy as np
import pytest

from kernels import softmax
from tests.helpers.cases import PROBLEMS, random_batch
from tests.helpers.comparison import assert_equal_to_oracle, assert_within
from tests.helpers.interpreter import run_program
from tests.helpers.marks import linux
from tests.helpers.oracle import loss_and_gradient

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


def test_large_weights_while_other_threads_allocate():
    """The kernel allocates their transpose, which must live as long as its address is in use."""
    rng = np.random.default_rng(3)
    X, y, W = (
        rng.normal(size=(400, 1000)),
        rng.integers(0, 100, 400),
        rng.normal(size=(1000, 100)) / 30,
    )
    want = softmax.gradient(X, y, W, variant="numpy").W
    for _ in range(20):
        np.testing.assert_allclose(
            softmax.gradient(X, y, W, threads=2).W,
            want,
            rtol=0,
            atol=1e-13 * np.abs(want).max() * 100,
        )


MEMORY = """
import numpy as np
from kernels import softmax
from kernels.engine.team import LENGTH, serve
N, D, K = {shape}
X, y = np.ones((N, {step} * D))[:, ::{step}], np.zeros(N, np.int64)
W, b = np.zeros((D, K)), np.zeros(K)

def high_water():
    lines = open("/proc/self/status")
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

# compile or load first
softmax.gradient(np.ones((20_000, 10)), np.zeros(20_000, np.int64), np.zeros((10, 9)), np.zeros(9))
softmax.gradient(X[:64], y[:64], W, b)
serve(np.zeros(LENGTH, np.int64))
open("/proc/self/clear_refs", "w").write("5")  # sets the mark to what is in use
before = high_water()
softmax.gradient(X, y, W, b)
print(high_water() - before)
"""


@linux
@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((1_000_000, 10, 3), 1),
        ((20_000, 1000, 100), 1),
        ((500, 100_000, 1), 1),
        ((500, 100_000, 1), 2),
        ((3000, 1, 100_000), 1),
    ],
)
def test_memory_does_not_grow_with_n(shape, step):
    """At most 16 MiB beyond inputs and outputs, whatever N: the scores exist a tile at a time.

    What W's size asks for is a copy of it for each of two threads, a sum, and the tile's scores,
    its features or the rows rounded up to 16.
    """
    _, D, K = shape
    of_weights = 8 * K * max(16, D)
    done = run_program(MEMORY.format(shape=shape, step=step))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 <= max(2**24, 5 * of_weights)
