"""Arguments of other types that a cast makes ready take the fast path, with the same numbers."""

import numpy as np
import pytest

from kernels import softmax
from kernels.variants import Variants
from tests.helpers.cases import DTYPES, PROBLEMS, case_of
from tests.helpers.comparison import bits
from tests.helpers.forms import every_other


def forms_of_y(problem, y):
    if problem == "linear":
        return [y, every_other(y), y.astype("f4").astype(y.dtype), y.tolist()]
    kinds = ["int8", "int16", "int32", "int64", "float32", "float64"]
    forms = [y.astype(kind) for kind in kinds] + [y.tolist(), every_other(y.astype(np.int64))]
    if problem == "logistic":
        zeros = (y > 0).astype(np.int64)
        return [*forms, y > 0, *(zeros.astype(kind) for kind in ("uint8", "float32", "float64"))]
    return [*forms, *(y.astype(kind) for kind in ("uint8", "uint32", "uint64"))]


@pytest.fixture
def fast(monkeypatch):
    """The validated path is an error."""

    def refused(*arguments):
        raise AssertionError("this takes the validated path")

    monkeypatch.setattr(Variants, "validated", refused)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_cast_is_enough(problem, dtype, fast):
    module, rng = PROBLEMS[problem], np.random.default_rng(0)
    X, y, *parameters = case_of(problem, dtype=np.dtype(dtype))
    other = np.float32 if dtype == "float64" else np.float64
    # values that both dtypes hold
    X, parameters = X.astype("f4").astype(dtype), [np.float32(p).astype(dtype) for p in parameters]
    s = rng.random(len(X)).astype("f4").astype(dtype)
    if problem == "linear":
        y = y.astype("f4").astype(dtype)
    expected = bits(module.loss_and_gradient(X, y, *parameters, sample_weight=s))

    def same(X, y, *parameters, s):
        found = module.loss_and_gradient(X, y, *parameters, sample_weight=s)
        return bits(found) == expected

    for form in forms_of_y(problem, y):
        assert same(X, form, *parameters, s=s), form.dtype if hasattr(form, "dtype") else "list"
    for of_weights in (s.astype(other), s.tolist(), every_other(s)):
        assert same(X, y, *parameters, s=of_weights)
    for k, parameter in enumerate(parameters):
        forms = [parameter.astype(other), parameter.tolist(), np.array(parameter)]
        if np.ndim(parameter):
            forms += [np.asfortranarray(parameter), every_other(parameter)]
        for form in forms:
            assert same(X, y, *parameters[:k], form, *parameters[k + 1 :], s=s)
    if dtype == "float64":
        assert same(X.tolist(), y, *parameters, s=s)
    whole = np.arange(X.size).reshape(X.shape) % 7
    found = [module.gradient(x, y, *parameters) for x in (whole, whole.astype(float))]
    if dtype == "float64":
        assert bits(found[0]) == bits(found[1])


def test_what_a_cast_would_change_is_looked_at():
    X, y, W, b = case_of("softmax", dtype=np.float32)
    wrong = y.astype(float)
    wrong[3] += 0.5
    with pytest.raises(ValueError, match=r"y\[3\] is .*5: class labels must be whole numbers"):
        softmax.gradient(X, wrong, W, b)
    wrong[3] = np.nan
    with pytest.raises(ValueError, match=r"y\[3\] is nan"):
        softmax.gradient(X, wrong, W, b)
    with pytest.raises(ValueError, match="W holds 1e"):
        softmax.gradient(X, y, np.full(W.shape, 1e300), b)
    tiny = np.full(len(X), 1e-60)  # 0 in float32, but only ratios matter
    found = softmax.gradient(X, y, W, b, sample_weight=tiny)
    np.testing.assert_allclose(found.W, softmax.gradient(X, y, W, b).W, rtol=1e-4, atol=1e-6)
    half = np.where(np.arange(len(X)) % 2, 1.0, 1e-60)
    found = softmax.gradient(X, y, W, b, sample_weight=half)
    np.testing.assert_allclose(
        found.W, softmax.gradient(X[1::2], y[1::2], W, b).W, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("problem", PROBLEMS)
def test_predictions_of_arrays_that_are_ready_are_those_of_others(problem):
    module = PROBLEMS[problem]
    X, _, *parameters = case_of(problem)
    for name in ("scores", "predict", "probabilities"):
        function = getattr(module, name, None)
        if function is not None:
            assert bits(function(X, *parameters)) == bits(function(X.tolist(), *parameters)), name
