"""`out=`: gradients are written into the caller's arrays, on every path, or the arrays refused."""

import numpy as np
import pytest

from kernels import logistic, softmax
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, case_of, large_batch
from tests.helpers.comparison import bits


def arrays(gradient):
    return [part for part in gradient if isinstance(part, np.ndarray)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_the_gradient_is_written_into_out(problem, variant, dtype):
    module = PROBLEMS[problem]
    for bias in (True, False)[: 1 if problem == "two_layer" else 2]:
        batch = case_of(problem, dtype=np.dtype(dtype), bias=bias)
        expected = module.loss_and_gradient(*batch, reg=0.1, variant=variant)
        out = module.Gradient(*(np.full_like(p, 7) if np.ndim(p) else p for p in expected[1]))
        settings = {"reg": 0.1, "variant": variant, "out": out}
        for x in (batch[0], batch[0].tolist() if dtype == "float64" else batch[0]):
            found = module.loss_and_gradient(x, *batch[1:], **settings)
            assert bits(found) == bits(expected)
            for mine, theirs in zip(arrays(out), arrays(found[1]), strict=True):
                assert mine is theirs
                mine[...] = 7
        alone = module.gradient(*batch, **settings)
        assert bits(alone) == bits(expected[1])
        assert all(a is b for a, b in zip(arrays(out), arrays(alone), strict=True))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_earlier_gradient_is_written_over_again(problem):
    module, batch = PROBLEMS[problem], large_batch(problem)
    first = module.gradient(*batch)
    expected = bits(first)
    again = module.gradient(*batch, out=first, threads=2)
    assert bits(again) == expected
    assert all(a is b for a, b in zip(arrays(first), arrays(again), strict=True))


def test_where_float32_overflows_out_is_written_too():
    X, y, W, b = case_of("softmax", dtype=np.float32)
    out = softmax.Gradient(np.empty_like(W), np.empty_like(b))
    weights = np.full(len(X), 1e35, np.float32)
    found = softmax.gradient(X, y, W, b, sample_weight=weights, out=out)
    assert found.W is out.W
    np.testing.assert_allclose(out.W, softmax.gradient(X, y, W, b).W, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda W, b: W, TypeError, r"out must hold \(W, b\) and is a numpy.ndarray: pass what"),
        (lambda W, b: (W,), TypeError, r"out must hold \(W, b\)"),
        (lambda W, b: (W.tolist(), b), ValueError, r"out.W must be .* float64 and is a "),
        (lambda W, b: (W[:2], b), ValueError, r"shape \(3, 4\) and float64 and is of shape \(2, 4"),
        (
            lambda W, b: (W.astype("f"), b),
            ValueError,
            r"and float32: pass .* or np.empty\(\(3, 4\)",
        ),
        (lambda W, b: (np.asfortranarray(W), b), ValueError, "out.W is not in C order"),
        (lambda W, b: (np.broadcast_to(W, W.shape), b), ValueError, "aligned and writeable"),
        (lambda W, b: (W, W[0]), ValueError, "out.b shares memory with another argument"),
    ],
)
def test_other_arrays_are_refused(make, error, text, variant):
    X, y, W, b = case_of("softmax")
    with pytest.raises(error, match=text):
        softmax.gradient(X, y, W, b, out=make(W.copy(), b.copy()), variant=variant)


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
def test_an_argument_is_never_written_over(variant):
    X, y, W, b = case_of("softmax")
    before = bits((X, W, b))
    for out in ((W, np.empty_like(b)), (X[:3].reshape(-1)[:9].reshape(3, 3), b), (W.copy(), b)):
        with pytest.raises(ValueError, match=r"pass|shares memory"):
            softmax.gradient(X, y, W, b, out=out, variant=variant)
    assert bits((X, W, b)) == before


def test_a_bias_that_is_a_number_is_returned():
    X, y, w, b = case_of("logistic")
    out = logistic.gradient(X, y, w, b)
    for given in (out, (out.w, None), (out.w, np.empty(1))):
        found = logistic.gradient(X, y, w, b, out=given)
        assert found.w is out.w
        assert isinstance(found.b, float)
