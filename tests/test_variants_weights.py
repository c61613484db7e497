"""Weights at any scale: only their ratios matter in an average."""

import math

import numpy as np
import pytest

from kernels import linear, logistic
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, random_batch
from tests.helpers.comparison import assert_within
from tests.helpers.oracle import loss_and_gradient

# Powers of two, so that scaling is exact; the ends are the smallest and the largest of float64.
EXPONENTS = [-1074, -1022, -600, -200, -149, -126, -60, -31, 60, 81, 100, 127, 200, 600, 1016]


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_the_scale_of_the_weights_does_not_matter(problem, variant, dtype, exponent):
    """In weights of float64, whatever the dtype of X."""
    module, rng = PROBLEMS[problem], np.random.default_rng(abs(exponent))
    X, y, *parameters = random_batch(problem, rng, (17, 3, 4, 5), dtype)
    s = rng.integers(1, 9, 17)
    loss, gradient = loss_and_gradient(problem, X, y, *parameters, reg=0.5, sample_weight=s)
    scaled = np.ldexp(s.astype(float), exponent)
    with np.errstate(all="ignore"):
        in_dtype = scaled.astype(dtype)  # which needs no conversion, if it can hold them
    for weights in (scaled, in_dtype) if np.array_equal(in_dtype, scaled) else (scaled,):
        found = module.loss_and_gradient(
            X, y, *parameters, reg=0.5, sample_weight=weights, variant=variant
        )
        assert_within(loss, found[0], "loss")
        for bounded, part in zip(gradient, found[1], strict=True):
            assert_within(bounded, part, "gradient")
    new = module.update(
        X, y, *parameters, reg=0.5, sample_weight=scaled, variant=variant, learning_rate=0.5
    )
    other = module.update(
        X,
        y,
        *parameters,
        reg=0.5,
        sample_weight=s.astype(float),
        variant=variant,
        learning_rate=0.5,
    )
    for a, b in zip(new, other, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_float32_at_its_ends(dtype):
    """An infinite total once gave a loss of 0, and subnormal products lost digits."""
    X = np.ones((4, 1), "f4")
    loss, gradient = logistic.loss_and_gradient(X, [1] * 4, [0.0], sample_weight=[1e38] * 4)
    assert (loss, gradient.w[0]) == (pytest.approx(math.log(2)), -0.5)
    small = np.array([1e-45, 2e-45], dtype)
    assert linear.gradient(X[:2], [0.0, 3.0], [0.0], sample_weight=small).w[0] == pytest.approx(
        -3 * small[1] / small.sum(dtype=float), rel=1e-6
    )
    assert linear.gradient(X[:2], [0.0, 3.0], [0.0], sample_weight=[1e-46, 2e-46]).w[0] == -2
