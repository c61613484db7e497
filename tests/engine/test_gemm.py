"""The two matrix products, and their kernels for one row and for narrow rows, by themselves."""

import numpy as np
import pytest

from kernels.engine.gemm import gemm_nn, gemm_nt
from kernels.engine.jit import jit
from kernels.engine.pack import padded
from kernels.engine.vectors import NO_PREFETCH, address
from tests.helpers.marks import compiled

pytestmark = compiled


@jit
def products(zero, A, B, P, C, D, prefetch_distance):
    """C += B Aᵀ and D += P A."""
    a, c, d = (
        (address(A), A.strides[0]),
        (address(C), C.strides[0]),
        (address(D), D.strides[0]),
    )
    (m, k), n = A.shape, len(B)
    gemm_nt(zero, a, (address(B), B.strides[0]), c, (m, n, k), prefetch_distance)
    p = address(P), P.strides[0], P.strides[1]
    gemm_nn(zero, a, p, d, (n, k, m), prefetch_distance)


@jit
def row_length(n):
    return padded(n)


def shapes():
    """Rows and columns of A, and rows of the others: few, many, one row, narrow rows."""
    rng = np.random.default_rng(70)
    for _ in range(60):
        m, n, k = (int(x) for x in np.exp(rng.uniform(0, np.log([300, 40, 300]))))
        yield m, n, k
        yield m, 1, k
        yield m, 1, int(rng.integers(1, 6))
        yield int(rng.integers(1, 6)), 1, k


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_any_shape(dtype):
    rng = np.random.default_rng(71)
    for m, n, k in shapes():
        whole = rng.normal(size=(m, k + int(rng.integers(0, 2)))).astype(dtype)
        A = whole[:, :k]  # with and without a gap between rows
        B, P = rng.normal(size=(n, k)).astype(dtype), rng.normal(size=(n, m)).astype(dtype)
        if rng.integers(2):
            P = np.asfortranarray(P)
        C = rng.normal(size=(n, row_length(m))).astype(dtype)
        D = rng.normal(size=(n, row_length(k))).astype(dtype)
        wide = np.longdouble
        want_C = C[:, :m] + B.astype(wide) @ A.astype(wide).T
        want_D = D[:, :k] + P.astype(wide) @ A.astype(wide)
        prefetched_C, prefetched_D = C.copy(), D.copy()
        products(dtype(0), A, B, P, prefetched_C, prefetched_D, np.intp(4096))  # beyond the end too
        products(dtype(0), A, B, P, C, D, NO_PREFETCH)
        assert np.array_equal(prefetched_C[:, :m], C[:, :m])
        assert np.array_equal(prefetched_D[:, :k], D[:, :k])
        for got, want, factors, terms in (
            (C[:, :m], want_C, (B, A.T), k),
            (D[:, :k], want_D, (P, A), m),
        ):
            # Each sum of n products has n roundings of at most its absolute terms' sum, and one.
            size = np.abs(factors[0]).astype(wide) @ np.abs(factors[1]) + np.abs(want) + 4
            bound = (terms + 2) * np.finfo(dtype).eps * size
            assert (np.abs(got - want) <= bound).all(), (m, n, k)
