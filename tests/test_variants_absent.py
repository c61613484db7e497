"""A sample of weight 0 is absent: whatever its row and its target hold, nothing looks at them."""

import numpy as np
import pytest

from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, random_batch, without_bias
from tests.helpers.comparison import assert_within
from tests.helpers.oracle import loss_and_gradient

SHAPE = (23, 3, 4, 5)
GARBAGE = [np.nan, np.inf, -np.inf, -1, 255, 1e300, 0.5]


def masked_batch(problem, dtype, seed, share=0.4):
    """A batch, weights, and the same with something senseless where the weight is 0."""
    rng = np.random.default_rng(seed)
    X, y, *parameters = random_batch(problem, rng, SHAPE, dtype)
    s = rng.uniform(0.5, 2, len(X)) * (rng.uniform(size=len(X)) > share)
    s[rng.integers(len(X))] = 1
    if problem != "linear":  # both ends keep their classes
        y[np.flatnonzero(s)[:2]] = [y.min(), y.max()]
    bad_X, bad_y = X.copy(), y.astype(float)
    absent = np.flatnonzero(s == 0)
    with np.errstate(over="ignore"):
        bad_X[absent] = rng.choice(GARBAGE, (len(absent), X.shape[1])).astype(dtype)
    bad_y[absent] = rng.choice(GARBAGE, len(absent))
    return (X, y, *parameters), s, bad_X, bad_y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_it_is_the_batch_without_them(problem, variant, dtype, seed):
    batch, s, X, y = masked_batch(problem, dtype, seed)
    module, parameters, kept = PROBLEMS[problem], batch[2:], s > 0
    exact = loss_and_gradient(
        problem, batch[0][kept], batch[1][kept], *parameters, reg=0.1, sample_weight=s[kept]
    )
    for weights in (s, s.astype(dtype), np.ldexp(s, 900), np.ldexp(s, -900)):
        call = {"sample_weight": weights, "variant": variant}
        loss, gradient = module.loss_and_gradient(X, y, *parameters, reg=0.1, **call)
        assert_within(exact[0], loss, "loss")
        for bounded, part in zip(exact[1], gradient, strict=True):
            assert_within(bounded, part, "gradient")
        assert module.loss(X, y, *parameters, reg=0.1, **call) == loss
        part = module.sums(X, y, *parameters, **call)
        assert part.weight == pytest.approx(weights.sum(dtype=float), rel=1e-5)
        loss, gradient = module.average(part, *parameters, reg=0.1)
        assert_within(exact[0], loss, "loss")
        for bounded, part in zip(exact[1], gradient, strict=True):
            assert_within(bounded, part, "gradient")


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_a_mask(problem, variant):
    """`sample_weight=mask`, as an array of bools, and labels of -1 as in `ignore_index`."""
    batch, s, X, y = masked_batch(problem, "float64", 5)
    module, parameters, kept = PROBLEMS[problem], batch[2:], s > 0
    y[~kept] = -1
    right = module.gradient(batch[0][kept], batch[1][kept], *parameters, variant=variant)
    found = module.gradient(X, y, *parameters, sample_weight=kept, variant=variant)
    for a, b in zip(right, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_nobody_is_present(problem, variant):
    """Sums of nothing are 0; an average of nothing is refused."""
    batch, _, X, y = masked_batch(problem, "float32", 6)
    call = {"sample_weight": np.zeros(len(X)), "variant": variant}
    X[:], y[:] = np.nan, np.nan
    part = PROBLEMS[problem].sums(X, y, *batch[2:], **call)
    assert (part.loss, part.weight) == (0, 0)
    assert not any(np.any(g) for g in part.gradient)
    with pytest.raises(ValueError, match="sample_weight is 0 for every sample"):
        PROBLEMS[problem].gradient(X, y, *batch[2:], **call)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_what_is_present_is_named_by_its_place(problem, variant):
    batch, s, X, y = masked_batch(problem, "float64", 7)
    place = int(np.flatnonzero(s)[-1])
    call = {"sample_weight": s, "variant": variant}
    assert place > np.count_nonzero(s), "or the place would be right by chance"
    wrong = X.copy()
    wrong[place, 1] = np.nan
    with pytest.raises(ValueError, match=f"X holds nan at row {place}, column 1"):
        PROBLEMS[problem].gradient(wrong, y, *batch[2:], **call)
    wrong = y.copy()
    wrong[place] = np.nan
    with pytest.raises(ValueError, match=rf"y\[{place}\] is nan|y holds nan at position {place}"):
        PROBLEMS[problem].gradient(X, wrong, *batch[2:], **call)


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_descent(problem, dtype, batch_size):
    """Classes are counted, rates made, accuracies measured and divergence judged without them."""
    batch, s, X, y = masked_batch(problem, dtype, 8)
    descend, kept = PROBLEMS[problem].descend, s > 0
    settings = {"batch_size": batch_size, "max_iter": 40, "tol": 0, "reg": 0.1}
    if problem == "two_layer":
        settings |= {"learning_rate": 0.1, "std": 0.5, "validation": (batch[0][:5], batch[1][:5])}
    with_them = descend(X, y, sample_weight=s, **settings)
    without = descend(batch[0][kept], batch[1][kept], sample_weight=s[kept], **settings)
    for a, b in zip(with_them, without, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == "float32" else 1e-10)
    # Where descent has converged, the norm is rounding: that of a mean of terms of at most |x|.
    rounding = kept.sum() * np.finfo(dtype).eps * np.abs(batch[0]).max()
    assert with_them.gradient_norm == pytest.approx(without.gradient_norm, rel=1e-3, abs=rounding)
    settings |= {"learning_rate": 1e5, "max_iter": 300}
    errors = []
    for call in ((X, y, s), (batch[0][kept], batch[1][kept], s[kept])):
        with pytest.raises(ValueError, match="is too large") as raised:
            descend(*call[:2], sample_weight=call[2], **settings)
        errors.append(raised.value)
    assert errors[0].safe_learning_rate == pytest.approx(errors[1].safe_learning_rate, rel=1e-3)


@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear"])
def test_without_a_bias(problem):
    batch, s, X, y = masked_batch(problem, "float64", 9)
    kept = s > 0
    X_, y_, *parameters = without_bias(problem, batch)
    right = PROBLEMS[problem].gradient(X_[kept], y_[kept], *parameters, sample_weight=s[kept])
    found = PROBLEMS[problem].gradient(X, y, *parameters, sample_weight=s)
    np.testing.assert_allclose(right[0], found[0], rtol=1e-12, atol=1e-14)
    assert found[1] is None
