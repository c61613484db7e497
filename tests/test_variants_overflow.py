"""Where numbers leave a dtype, the result is right or refused, never a wrong number."""

from math import inf

import numpy as np
import pytest

import kernels
from kernels import linear
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, case_of, named, random_batch, sums_of
from tests.helpers.comparison import assert_averages
from tests.helpers.oracle import loss_and_gradient


@pytest.mark.parametrize("second_half", [1, -1], ids=["sum overflows", "part of the sum overflows"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_an_overflowing_score(problem, variant, dtype, sign, second_half):
    """It would look like a certain answer, or a dead unit: it is computed in wider floats."""
    D = 256  # each place of a vector sums several
    X, high = (
        np.repeat([1, second_half], D // 2)[None].astype(dtype),
        np.full((D, 1), sign * 0.9 * np.finfo(dtype).max, dtype),
    )
    one, zero = np.ones((1, 1), dtype), np.zeros(D, dtype)
    two_scores = np.hstack([zero[:, None], high])
    calls = {
        "softmax": [
            (X, [y], W, b)
            for W in (two_scores, two_scores[:, ::-1])
            for y, b in ((0, zero[:2]), (1, None))
        ],
        "logistic": [(X, [1], high[:, 0], 0.0), (X, [-1], high[:, 0], 0.0)],
        "linear": [(X, [0.0], high[:, 0], 0.0)],
        "two_layer": [
            (X, [0], high, zero[:1], np.hstack([one, -one]), zero[:2]),
            (one, [0], one.repeat(D, axis=1), zero, X.T * two_scores, zero[:2]),
            (one, [1], one.repeat(D, axis=1), zero, X.T * two_scores, zero[:2]),
        ],
    }
    module = PROBLEMS[problem]
    for batch in calls[problem]:
        loss, gradient = loss_and_gradient(problem, *batch)
        for function, right in ((module.loss, [loss]), (module.gradient, gradient)):
            largest = np.finfo(float if function is module.loss else dtype).max
            if not all((np.abs(part.value) < largest).all() for part in right):
                with pytest.raises(FloatingPointError, match="too large"):
                    function(*batch, variant=variant)
                continue
            answer = function(*batch, variant=variant)
            found = np.atleast_1d(answer) if function is module.loss else answer
            for got, part in zip(found, right, strict=False):
                if got is not None:
                    assert np.allclose(got, part.value.astype(float), rtol=1e-6)


LARGE = {  # 640 times the gradient leaves float32, the average does not
    "linear": (np.full((640, 1), 1e18), np.zeros(640), np.ones(1), 0.0),
    "logistic": (np.full((640, 1), 1e38), np.ones(640), np.zeros(1), 0.0),
    "softmax": (np.full((640, 1), 1e38), np.zeros(640, int), np.zeros((1, 2)), np.zeros(2)),
    "two_layer": (
        np.full((640, 1), 1e38),
        np.zeros(640, int),
        np.zeros((1, 1)),
        np.ones(1),
        np.array([[1.0, -1.0]]),
        np.zeros(2),
    ),
}


def in_float32(batch):
    return tuple(
        p.astype(np.float32) if isinstance(p, np.ndarray) and p.dtype == float else p for p in batch
    )


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_a_finite_average_of_sums_that_leave_float32(problem, variant):
    module, batch = PROBLEMS[problem], in_float32(LARGE[problem])
    parameters = batch[2:]
    part = module.sums(*batch, variant=variant)
    largest = max(np.abs(g).max() for g in part.gradient)
    assert np.finfo(np.float32).max < largest < inf, "or this test shows nothing"
    answers = [
        module.loss_and_gradient(*batch, variant=variant),
        (module.loss(*batch, variant=variant), module.gradient(*batch, variant=variant)),
        module.average(part, *parameters),
        module.average(sums_of(problem, batch, [1, 300], variant=variant), *parameters),
    ]
    for answer in answers:
        assert_averages(problem, batch, answer)
        assert all(np.ndim(g) == 0 or g.dtype == np.float32 for g in answer[1])
    if problem == "linear":
        assert answers[0][1].w[0] == pytest.approx(1e36, rel=1e-4)
    stepped = module.update(*batch, learning_rate=1e-30, variant=variant)
    for new, old, g in zip(stepped, parameters, answers[0][1], strict=True):
        assert np.array_equal(new, np.float32(old) - np.float32(1e-30) * np.float32(g))


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_weights_whose_sum_leaves_float32(problem, variant):
    batch = case_of(problem, 13, (640, 3, 4, 5), np.float32)
    s = np.random.default_rng(13).uniform(0.5e38, 1e38, 640).astype(np.float32)
    module = PROBLEMS[problem]
    part = module.sums(*batch, sample_weight=s, variant=variant)
    rounding = 640 * float(np.finfo(np.float32).eps)
    assert part.weight == pytest.approx(s.sum(dtype=float), rel=rounding)
    for answer in (
        module.loss_and_gradient(*batch, sample_weight=s, variant=variant),
        module.average(part, *batch[2:]),
    ):
        assert_averages(problem, batch, answer, s=s)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_an_average_that_leaves_the_dtype_is_refused(problem, variant):
    """By reg times a weight: 1e10 · 1e30 in float32, 1e10 · 1e300 in float64."""
    module = PROBLEMS[problem]
    for dtype, size in (("float32", 1e30), ("float64", 1e300)):
        X, y, *parameters = case_of(problem, 14, dtype=dtype)
        part = module.sums(X, y, *parameters, variant=variant)
        parameters[0] = np.full_like(parameters[0], size)
        with pytest.raises(FloatingPointError, match=f"too large for {dtype}"):
            module.average(part, *parameters, reg=1e10)
        X[:] = 1e-5
        with pytest.raises(FloatingPointError, match=f"too large for {dtype}"):
            module.loss_and_gradient(X, y, *parameters, reg=1e10, variant=variant)


@pytest.mark.parametrize("variant", kernels.linear.VARIANTS)
def test_sums_that_leave_float64_are_refused(variant):
    """Of the gradient, and of the weights; never a wrong number, such as a gradient of 0."""
    sums, X, y = kernels.linear.sums, np.full((40, 1), 1e154), np.zeros(40)
    with pytest.raises(FloatingPointError, match="too large for float64"):
        sums(X, y, [1.0], variant=variant)
    X, s = np.full((40, 1), 1e-5), np.full(40, 1e307)
    with pytest.raises((FloatingPointError, ValueError), match=r"too large|sample_weight"):
        sums(X, y, [1e-5], sample_weight=s, variant=variant)
    try:
        loss, (dw, _) = kernels.linear.loss_and_gradient(
            X, y, [1e-5], sample_weight=s, variant=variant
        )
    except (FloatingPointError, ValueError):
        return
    assert loss == pytest.approx(0.5e-20, rel=1e-12)
    assert dw[0] == pytest.approx(1e-15, rel=1e-12)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_a_result_too_large_is_no_number(problem, variant):
    """Finite in, but 1e30 · 1e30 is beyond float32.

    Where only numbers on the way are, as of a classifier, whose residuals are at most 1, the answer
    is that of float64.
    """
    function, names = PROBLEMS[problem].loss_and_gradient, PROBLEMS[problem].Gradient._fields
    arguments = named(problem, random_batch(problem, np.random.default_rng(11), (6, 3, 4, 5)))
    arguments["X"] = np.full((6, 3), 1e30, np.float32)
    arguments[names[0]] *= 1e30
    refused = 0
    for reg in (0.0, 1e10):
        batch = [arguments["X"], arguments["y"]]
        batch += [np.asarray(arguments[name], np.float32) for name in names]
        gradient = loss_and_gradient(problem, *batch, reg=reg)[1]
        if max(np.abs(part.value).max() for part in gradient) > np.finfo(np.float32).max:
            refused += 1
            with pytest.raises(
                FloatingPointError,
                match=r"too large for float32: scale (the features|w|W|W1) .*float64",
            ):
                function(**arguments, reg=reg, variant=variant)
        else:
            got = function(**arguments, reg=reg, variant=variant)[1]
            for part, bounded in zip(got, gradient, strict=True):
                assert (np.abs(part - bounded.value) <= bounded.bound).all()
    assert refused


def test_nothing_wider_is_advised_than_there_is():
    X, y, w, b = random_batch("linear", np.random.default_rng(11), (6, 3, 1, 1))
    with pytest.raises(
        FloatingPointError,
        match=r"too large for float64: scale (the features|w) \(largest .* is [\d.]*e\+300\)$",
    ):
        linear.loss_and_gradient(np.full_like(X, 1e300), y, 1e300 * w, b)
