"""`class_weight` multiplies the weights of samples, in every function and variant."""

import math

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from kernels import linear, logistic, softmax
from tests.helpers.advice import advised
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, case_of
from tests.helpers.comparison import assert_averages, assert_within
from tests.helpers.oracle import loss_and_gradient

WITH_CLASSES = [name for name in PROBLEMS if name != "linear"]


def weights_of(problem, y, rng):
    """Random weights of the classes, in each form, and of the samples by them."""
    if problem == "logistic":
        values = rng.uniform(0.5, 3, 2)
        forms = [values, {-1: values[0], 1: values[1]}, {0.0: values[0], 1.0: values[1]}]
        return [*forms, values.tolist()], values[(y > 0).astype(int)]
    values = rng.uniform(0.5, 3, 4)
    values[2] = 1
    by_label = dict(enumerate(values))
    others = {np.int64(k): float(v) for k, v in by_label.items() if k != 2}
    return [values, values.tolist(), by_label, others], values[y]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_it_multiplies_the_weights(problem, variant, dtype):
    """Loss and gradient of the oracle with the product as the weights, in every form."""
    if problem not in WITH_CLASSES:
        return
    module, rng = PROBLEMS[problem], np.random.default_rng(8)
    batch = case_of(problem, 1, dtype=dtype)
    forms, factors = weights_of(problem, batch[1], rng)
    for s in (None, rng.integers(0, 3, 60)):
        product = factors if s is None else s * factors
        options = {"sample_weight": s, "variant": variant}
        for form in forms:
            answer = module.loss_and_gradient(*batch, reg=0.2, class_weight=form, **options)
            assert_averages(problem, batch, answer, 0.2, product)
        other = {"sample_weight": product, "variant": variant}
        both = ({"class_weight": forms[0], **options}, other)
        for name, more in (("loss", {}), ("gradient", {}), ("update", {"learning_rate": 0.5})):
            one, two = (getattr(module, name)(*batch, reg=0.2, **more, **keys) for keys in both)
            bounds = loss_and_gradient(problem, *batch, reg=0.2, sample_weight=product)
            slack = [bounds[0]] if name == "loss" else bounds[1]
            pairs = zip(np.atleast_1d(one) if name == "loss" else one, slack, strict=True)
            for k, (part, bounded) in enumerate(pairs):
                wanted = two if name == "loss" else two[k]
                # Both are within the bound, and a step adds a rounding of the parameter itself.
                eps = np.finfo(dtype).eps * (name == "update") * 8 * np.abs(wanted)
                assert (np.abs(part - wanted) <= 2 * bounded.bound + eps).all()
        sums = module.sums(*batch, class_weight=forms[1], **options)
        assert sums.weight == pytest.approx(product.sum(), rel=1e-6)
        assert_averages(problem, batch, module.average(sums, *batch[2:], reg=0.2), 0.2, product, 4)


@pytest.mark.parametrize("problem", WITH_CLASSES)
def test_balanced_is_what_scikit_learn_does(problem):
    batch, rng = case_of(problem, 3), np.random.default_rng(2)
    y, classes = batch[1], np.unique(batch[1])
    for s in (None, rng.integers(0, 5, 60), 1e300 * rng.uniform(size=60), [1e-310] * 60):
        factors = compute_class_weight(
            "balanced", classes=classes, y=y, sample_weight=None if s is None else s / np.max(s)
        )
        product = (1 if s is None else s / np.max(s)) * factors[np.searchsorted(classes, y)]
        answer = PROBLEMS[problem].loss_and_gradient(
            *batch, reg=0.1, sample_weight=s, class_weight="balanced"
        )
        # The oracle takes the product as exact; it has three roundings.
        assert_averages(problem, batch, answer, 0.1, product, slack=2)


@pytest.mark.parametrize("problem", WITH_CLASSES)
def test_descend_and_objective(problem):
    """With class weights they are those with the product as the weights of the samples."""
    module, rng = PROBLEMS[problem], np.random.default_rng(4)
    X, y = case_of(problem, 3)[:2]
    forms, factors = weights_of(problem, y, rng)
    s, more = rng.uniform(0.5, 2, 60), {"hidden": 5} if problem == "two_layer" else {}
    f, g = (
        module.objective(X, y, reg=0.1, **more, **weights)
        for weights in (
            {"sample_weight": s, "class_weight": forms[0]},
            {"sample_weight": s * factors},
        )
    )
    point = rng.normal(size=f.size)
    assert f(point)[0] == pytest.approx(g(point)[0], rel=1e-14)
    np.testing.assert_allclose(f(point)[1], g(point)[1], rtol=0, atol=1e-14)
    settings = {"learning_rate": 0.3, "max_iter": 20, "tol": 0, **more}
    one = module.descend(X, y, sample_weight=s, class_weight=forms[1], **settings)
    other = module.descend(X, y, sample_weight=s * factors, **settings)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-13)
    balanced = module.descend(X, y, class_weight="balanced", **settings)
    assert balanced.losses[0] == pytest.approx(math.log(2 if problem == "logistic" else 4), rel=0.1)


def test_a_class_of_weight_0_is_absent():
    X, y, *parameters = case_of("softmax", 3)
    holes = np.where((y == 1)[:, None], np.nan, X)
    for weights in ({1: 0}, [1, 0, 1, 1]):
        answer = softmax.loss_and_gradient(holes, y, *parameters, class_weight=weights)
        kept = y != 1
        expected = loss_and_gradient("softmax", X[kept], y[kept], *parameters)
        assert_within(expected[0], answer[0], "loss")
    odd = np.where(y == 1, -7, y)  # a label is not looked at where the weight is 0
    softmax.loss(X, odd, *parameters, sample_weight=odd >= 0, class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight is 0 for every class in y"):
        softmax.loss(X, y, *parameters, class_weight=np.zeros(4))
    sums = softmax.sums(X, y, *parameters, class_weight=np.zeros(4))
    assert (sums.loss, sums.weight) == (0, 0)
    assert not sums.gradient.W.any()


def test_blocks_and_units():
    """Sums are in the caller's units, and an empty block and one of no weight are fine."""
    X, y, *parameters = case_of("softmax", 3)
    weights = {"class_weight": [2.0, 4.0, 1.0, 3.0]}
    parts = [
        softmax.sums(X[rows], y[rows], *parameters, **weights)
        for rows in np.split(np.arange(60), [0, 20])
    ]
    whole = softmax.loss_and_gradient(X, y, *parameters, **weights)
    assert softmax.average(parts, *parameters)[0] == pytest.approx(whole[0], rel=1e-14)
    assert sum(part.weight for part in parts) == np.take(weights["class_weight"], y).sum()
    none = softmax.sums(X, y, *parameters, sample_weight=np.zeros(60), **weights)
    assert none.weight == 0


def test_refusals():
    X, y, *parameters = case_of("softmax", 3)
    cases = [
        ("uniform", ValueError, "class_weight 'uniform' is not known: pass 'balanced'"),
        ({0: 1, 7: 2.0}, ValueError, "class_weight has the key 7, and the labels are 0..3"),
        ({"a": 1.0}, ValueError, "class_weight has the key 'a'"),
        ([1.0, 2.0], ValueError, r"class_weight has shape \(2,\) and there are 4 classes"),
        (1.0, ValueError, r"class_weight has shape \(\) and there are 4 classes"),
        ([1.0, 2.0, -1.0, 1.0], ValueError, r"class_weight\[2\] is -1.0: weights must be finite"),
        ({3: math.nan}, ValueError, r"class_weight\[3\] is nan"),
        ({3: math.inf}, ValueError, r"class_weight\[3\] is inf"),
        ({3: "b"}, TypeError, "class_weight holds 'b'"),
        ([1e-300, 1e300, 1, 1], ValueError, "leaves the range of float64"),
    ]
    for weights, error, sentence in cases:
        for call in (softmax.loss, softmax.sums, softmax.gradient):
            with pytest.raises(error, match=sentence):
                call(X, y, *parameters, class_weight=weights, sample_weight=[1e-10] * 60)
        for call in (softmax.objective, softmax.descend):
            with pytest.raises(error, match=sentence):
                call(X, y, class_weight=weights, sample_weight=[1e-10] * 60)
    signs = np.where(y > 1, 1, -1)
    for weights, sentence in (
        ({-1: 1, 0: 1}, "the keys -1 and 0, which name the same class"),
        ({2: 1}, r"class_weight has the key 2, and the labels are -1 \(or 0\) and 1"),
        ([1, 1, 1], "there are 2 classes"),
    ):
        with pytest.raises(ValueError, match=sentence):
            logistic.loss(X, signs, np.zeros(3), class_weight=weights)
    with pytest.raises(TypeError, match="unexpected keyword"):
        linear.loss(X, y, np.zeros(3), class_weight={})


def test_the_advice_works():
    X, y, *parameters = case_of("softmax", 3)
    weights = {0: 2.0, 7: 1.0}
    with pytest.raises(ValueError, match="pass") as error:
        softmax.loss(X, y, *parameters, class_weight=weights)
    ((_, advice),) = advised(str(error.value), {"class_weight": weights})
    assert advice == {0: 2.0}
    for problem in WITH_CLASSES:
        X, y, *parameters = case_of(problem, 3)
        module = PROBLEMS[problem]
        with pytest.raises(ValueError, match="a block does not know") as error:
            module.sums(X, y, *parameters, class_weight="balanced")
        ((name, advice),) = advised(str(error.value), {"y": y, "np": np})
        parts = [
            module.sums(X[rows], y[rows], *parameters, **{name: advice})
            for rows in (slice(20), slice(20, 60))
        ]
        balanced = module.loss(X, y, *parameters, class_weight="balanced")
        assert module.average(parts, *parameters)[0] == pytest.approx(balanced, rel=1e-13)
