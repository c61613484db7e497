"""Targets other than one value a sample: probabilities, smoothed labels, several real targets."""

import itertools
import math
import pickle
import warnings

import numba
import numpy as np
import pytest

from kernels import linear, logistic, softmax, two_layer
from tests.helpers.advice import advised
from tests.helpers.cases import DTYPES, LAYOUTS, PROBLEMS, case_of, random_batch
from tests.helpers.comparison import assert_averages, assert_within, bits
from tests.helpers.marks import compiled
from tests.helpers.oracle import loss_and_gradient

CLASSIFIERS = ["softmax", "two_layer"]
VARIANTS = ["python", "numpy", "loop", "tiled"]
SHAPES = [(1, 1, 2, 1), (5, 4, 3, 10), (17, 9, 10, 8), (130, 3, 4, 16)]
ORDERS = {name: LAYOUTS[name] for name in ("C", "F", "sliced", "negative_stride")}


def probabilities(rng, N, K, dtype=np.float64):
    """Rows with a sum of 1, some of them with zeros."""
    p = rng.dirichlet(np.ones(K), N)
    p[::3, 0] = 0
    p = p.astype(dtype)
    return p / p.sum(axis=1, keepdims=True)


def soft_case(problem, seed=0, shape=(60, 3, 4, 5), dtype=np.float64):
    """A batch whose y has probabilities, or several targets, and parameters to match."""
    rng = np.random.default_rng(seed)
    X, y, *parameters = random_batch("softmax" if problem == "linear" else problem, rng, shape)
    N, _, K, _ = shape
    y = rng.normal(size=(N, K)) if problem == "linear" else probabilities(rng, N, K, dtype)
    return tuple(np.asarray(part, dtype) for part in (X, y, *parameters))


# ---- against the oracle ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_targets_in_columns(problem, variant, dtype):
    """Loss and gradient of the oracle, in every function, shape, order and dtype of y."""
    module, rng = PROBLEMS[problem], np.random.default_rng(5)
    for i, shape in enumerate(SHAPES):
        X, y, *parameters = soft_case(problem, i, shape, dtype)
        s = rng.integers(0, 3, len(X)) + (np.arange(len(X)) == 0)
        for (order, laid_out), smoothing, weights in zip(
            ORDERS.items(), (0.0, 0.1, 1.0, 0.0), (None, s, s, None), strict=True
        ):
            keys = {} if problem == "linear" else {"label_smoothing": smoothing}
            expected = loss_and_gradient(
                problem, X, y, *parameters, reg=0.2, sample_weight=weights, **keys
            )
            keys |= {"sample_weight": weights, "variant": variant}
            other = laid_out(y.astype(np.float64) if order == "sliced" else y)
            passed = LAYOUTS["F" if i % 2 else "C"](X), other, *parameters
            loss, gradient = module.loss_and_gradient(*passed, reg=0.2, **keys)
            assert type(gradient) is module.Gradient
            assert_within(expected[0], loss, "loss")
            for bounded, part in zip(expected[1], gradient, strict=True):
                assert_within(bounded, part, "gradient")
                assert part.dtype == dtype
            assert module.loss(*passed, reg=0.2, **keys) == loss
            assert bits(module.gradient(*passed, reg=0.2, **keys)) == bits(gradient)
            stepped = module.update(*passed, learning_rate=0.5, reg=0.2, **keys)
            for new, old, slope in zip(stepped, parameters, gradient, strict=True):
                eps = 4 * np.finfo(dtype).eps
                np.testing.assert_allclose(new, old - 0.5 * slope, rtol=eps, atol=eps)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_sums_of_blocks(problem, variant):
    """The average of blocks, of which one is empty and one has no weight."""
    module, (X, y, *parameters) = PROBLEMS[problem], soft_case(problem, 3)
    s = np.random.default_rng(1).uniform(0.5, 2, len(X))
    s[20:30] = 0
    keys = {} if problem == "linear" else {"label_smoothing": 0.2}
    cuts = [0, 0, 20, 30, 60]
    parts = [
        module.sums(X[a:b], y[a:b], *parameters, sample_weight=s[a:b], variant=variant, **keys)
        for a, b in itertools.pairwise(cuts)
    ]
    expected = loss_and_gradient(problem, X, y, *parameters, reg=0.3, sample_weight=s, **keys)
    loss, gradient = module.average(parts, *parameters, reg=0.3)
    for bounded, part in zip((expected[0], *expected[1]), (loss, *gradient), strict=True):
        assert_within(bounded._replace(bound=4 * bounded.bound), part, "average")
    assert bits(pickle.loads(pickle.dumps(parts[1]))) == bits(parts[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", CLASSIFIERS)
def test_smoothed_labels(problem, variant, dtype):
    """t is (1 - ε) t + ε / K of labels; the weight of a class is that of the label."""
    module, rng = PROBLEMS[problem], np.random.default_rng(6)
    batch = case_of(problem, 2, dtype=dtype)
    X, y, *_ = batch
    s, c = rng.integers(0, 3, len(X)), np.array([1.0, 3.0, 0.5, 2.0])
    for smoothing in (0.1, 1, np.float32(0.5)):
        for weights, of_classes in ((None, None), (s, None), (s, c)):
            product = weights if of_classes is None else s * c[y]
            keys = {"sample_weight": weights, "class_weight": of_classes, "variant": variant}
            keys["label_smoothing"] = smoothing
            loss, gradient = module.loss_and_gradient(*batch, reg=0.2, **keys)
            expected = loss_and_gradient(
                problem, *batch, reg=0.2, sample_weight=product, label_smoothing=smoothing
            )
            assert_within(expected[0], loss, "loss")
            for bounded, part in zip(expected[1], gradient, strict=True):
                assert_within(bounded, part, "gradient")
    if dtype == "float64":  # that of blocks is another function to compile
        sums = module.sums(*batch, label_smoothing=0.1, class_weight=c, variant=variant)
        assert sums.weight == pytest.approx(c[y].sum(), rel=1e-6)
    plain = module.loss_and_gradient(*batch, variant=variant)
    assert bits(module.loss_and_gradient(*batch, variant=variant, label_smoothing=0)) == bits(plain)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", CLASSIFIERS)
def test_one_hot_targets_are_labels(problem, variant):
    """In any dtype of the rows, integers and bools included."""
    batch = X, y, *parameters = case_of(problem, 4)
    for one_hot in (np.eye(4)[y], np.eye(4, dtype=int)[y], np.eye(4, dtype=bool)[y].tolist()):
        answer = PROBLEMS[problem].loss_and_gradient(X, one_hot, *parameters, variant=variant)
        assert_averages(problem, batch, answer)


@pytest.mark.parametrize("problem", CLASSIFIERS)
def test_parameters_shared_by_threads(problem):
    """Sizes at which the other pass of the engine is taken."""
    rng = np.random.default_rng(9)
    shape = (300, 280, 26, 8) if problem == "softmax" else (300, 40, 30, 260)
    batch = X, y, *parameters = soft_case(problem, 7, shape)
    expected = loss_and_gradient(problem, *batch, label_smoothing=0.1)
    labels = rng.integers(0, shape[2], 300)
    of_labels = loss_and_gradient(problem, X, labels, *parameters, label_smoothing=0.1)
    for targets, (loss, gradient) in ((y, expected), (labels, of_labels)):
        found = PROBLEMS[problem].loss_and_gradient(X, targets, *parameters, label_smoothing=0.1)
        assert_within(loss, found[0], "loss")
        for bounded, part in zip(gradient, found[1], strict=True):
            assert_within(bounded, part, "gradient")


def test_targets_of_float32_that_sum_to_1():
    """To the rounding of float32 they do; with X in float64 they are divided by their sums."""
    rng = np.random.default_rng(3)
    X, _, W, b = case_of("softmax", 5, (200, 3, 50, 1))
    y = rng.dirichlet(np.ones(50), 200).astype(np.float32)
    wide = y.astype(np.float64)
    assert np.abs(wide.sum(axis=1) - 1).max() > 1e-9
    exact = wide / wide.sum(axis=1, keepdims=True)
    expected = loss_and_gradient("softmax", X, exact, W, b)
    for variant in VARIANTS:
        loss, gradient = softmax.loss_and_gradient(X, y, W, b, variant=variant)
        assert_within(expected[0], loss, "loss")
        assert_within(expected[1][0], gradient.W, "gradient")


# ---- what is absent, too large, or shared ----


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_targets_of_weight_0_are_not_looked_at(problem, variant):
    module, (X, y, *parameters) = PROBLEMS[problem], soft_case(problem, 8)
    s = np.arange(60) % 4 != 1
    keys = {} if problem == "linear" else {"label_smoothing": 0.1}
    holes, odd = np.where(s[:, None], X, np.nan), np.where(s[:, None], y, np.inf)
    odd[1] = -7
    found = module.loss_and_gradient(
        holes, odd, *parameters, sample_weight=s, variant=variant, **keys
    )
    expected = loss_and_gradient(problem, X[s], y[s], *parameters, **keys)
    for bounded, part in zip((expected[0], *expected[1]), (found[0], *found[1]), strict=True):
        assert_within(bounded, part, "of those with a weight")


@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_scores_too_large_for_float32(problem):
    """Computed again in wider floats, which hold the average."""
    X, y, *parameters = soft_case(problem, 8, dtype=np.float32)
    small = [np.float32(1e-3) * p for p in parameters]
    if problem == "linear":
        X, y, small = X * np.float32(1e-3), y * np.float32(1e25), parameters
        s = np.full(60, 1e-30)
        loss, gradient = linear.loss_and_gradient(X, y, *small, sample_weight=s)
        expected = loss_and_gradient(problem, *(np.float64(part) for part in (X, y, *small)))
        assert loss == pytest.approx(float(expected[0].value), rel=1e-5)
        np.testing.assert_allclose(gradient.w, expected[1][0].value.astype(float), rtol=1e-4)
        return
    X *= np.float32(3e38) / np.abs(X).max()
    targets = (y, {"label_smoothing": 0.1}), (y.argmax(axis=1), {"label_smoothing": 0.1}), (y, {})
    for t, keys in targets:
        loss, gradient = PROBLEMS[problem].loss_and_gradient(X, t, *parameters, **keys)
        wide = [np.float64(part) for part in (X, *parameters)]
        exact = t / np.sum(t, axis=1, keepdims=True, dtype=float) if t.ndim == 2 else t
        expected = loss_and_gradient(problem, wide[0], exact, *wide[1:], **keys)
        assert loss == pytest.approx(float(expected[0].value), rel=1e-4)
        scale = np.abs(expected[1][0].value).max()
        np.testing.assert_allclose(gradient[0], expected[1][0].value, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_threads_change_no_bit(problem):
    module, (X, y, *parameters) = PROBLEMS[problem], soft_case(problem, 1, (20_011, 7, 5, 6))
    keys = {} if problem == "linear" else {"label_smoothing": 0.1}
    labels = () if problem == "linear" else (y.argmax(axis=1),)
    for targets in (y, *labels):
        one, *others = (
            bits(module.loss_and_gradient(X, targets, *parameters, threads=threads, **keys))
            for threads in (1, 2, 3)
        )
        assert {one} == set(others)


def test_no_argument_is_modified():
    X, y, W, b = soft_case("softmax")
    s = np.arange(60) % 3
    copies = [part.copy() for part in (X, y, W, b, s)]
    for variant in VARIANTS:
        softmax.gradient(X, y, W, b, label_smoothing=0.3, sample_weight=s, variant=variant)
    softmax.descend(X, y, sample_weight=s, label_smoothing=0.3, max_iter=5, tol=0)
    for part, copy in zip((X, y, W, b, s), copies, strict=True):
        assert np.array_equal(part, copy)


# ---- objective and descend ----


@pytest.mark.parametrize("problem", CLASSIFIERS)
def test_the_gradient_is_that_of_the_loss(problem):
    """Central differences of the objective."""
    module, (X, y, *_) = PROBLEMS[problem], soft_case(problem, 2)
    more = {"hidden": 5} if problem == "two_layer" else {}
    for targets in (y, y.argmax(axis=1)):
        f = module.objective(X, targets, reg=0.1, label_smoothing=0.2, **more)
        assert f.unpack(f.start())[-1].shape == (4,)
        point = np.random.default_rng(1).normal(size=f.size)
        _, slope = f(point)
        for i in range(f.size):
            step = 1e-5 * (np.arange(f.size) == i)
            difference = (f(point + step)[0] - f(point - step)[0]) / 2e-5
            assert slope[i] == pytest.approx(difference, abs=1e-8)
        loss, gradient = module.loss_and_gradient(
            X, targets, *f.unpack(point), reg=0.1, label_smoothing=0.2
        )
        assert f(point)[0] == pytest.approx(loss, rel=1e-14)
        np.testing.assert_allclose(f(point)[1], np.concatenate([g.ravel() for g in gradient]))


@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_hessian_vector_products(problem):
    """Central differences of the gradient, by the function and by the objective."""
    module, (X, y, *parameters) = PROBLEMS[problem], soft_case(problem, 2)
    more = {"hidden": 5} if problem == "two_layer" else {}
    keys = {"reg": 0.1, "sample_weight": np.arange(60) % 3}
    smoothed = {} if problem == "linear" else {"label_smoothing": 0.2}
    cases = [(y, smoothed)] if problem == "linear" else [(y, {}), (y.argmax(axis=1), smoothed)]
    for targets, smoothing in cases:
        f = module.objective(X, targets, **keys, **smoothing, **more)
        rng = np.random.default_rng(1)
        point, p = f.pack(*parameters), rng.normal(size=f.size)
        right = (f(point + 1e-5 * p)[1] - f(point - 1e-5 * p)[1]) / 2e-5
        np.testing.assert_allclose(f.hessp(point, p), right, rtol=0, atol=1e-7)
        for variant in ("numpy", "tiled"):
            product = module.hessian_vector_product(
                X, targets, *parameters, *f.unpack(p), **keys, **smoothing, variant=variant
            )
            found = np.concatenate([np.ravel(part) for part in product])
            np.testing.assert_allclose(found, f.hessp(point, p), rtol=0, atol=1e-13)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 7}, {"variant": "numpy"}])
@pytest.mark.parametrize("problem", CLASSIFIERS)
def test_descend(problem, settings):
    """Each step is an update on the rows of its batch; large data are not compiled as a whole."""
    module, (X, y, *parameters) = PROBLEMS[problem], soft_case(problem, 6, (40, 3, 4, 5))
    start = dict(zip(module.Parameters._fields, parameters, strict=True))
    keys = {"label_smoothing": 0.1, "reg": 0.01}
    order = np.random.default_rng((0, 0)).permutation(40)[:7] if "batch_size" in settings else None
    for targets in (y, y.argmax(axis=1)):
        fit = module.descend(
            X, targets, **start, **keys, **settings, learning_rate=0.2, tol=0, max_iter=1
        )
        rows = slice(None) if order is None else order
        stepped = module.update(X[rows], targets[rows], *parameters, learning_rate=0.2, **keys)
        for found, right in zip(fit, stepped, strict=False):
            np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-14)
        longer = module.descend(
            X, targets, **start, **keys, **settings, learning_rate=0.2, tol=0, max_iter=200
        )
        assert longer.losses[-7:].mean() < longer.losses[:7].mean()


def test_descend_converges():
    """Without a rate, and without parameters to start from; the optimum has a gradient of 0."""
    X, y, *_ = soft_case("softmax", 6)
    for targets, smoothing in ((y, 0.0), (y, 0.2), (y.argmax(axis=1), 0.2)):
        fit = softmax.descend(X, targets, label_smoothing=smoothing, reg=1e-3)
        assert fit.converged
        assert fit.W.shape == (3, 4)
        gradient = softmax.gradient(X, targets, fit.W, fit.b, label_smoothing=smoothing, reg=1e-3)
        assert max(np.abs(part).max() for part in gradient) <= 1.01e-5


def test_a_descent_that_does_not_converge_or_diverges():
    """What is said of it does not need labels."""
    X, y, *_ = soft_case("softmax", 6, dtype=np.float32)
    X[:, 0] *= 100
    for targets in (y, y.argmax(axis=1)):
        with pytest.warns(match="scales differ"):
            softmax.descend(X, targets, label_smoothing=0.1, max_iter=20)
        with pytest.raises(ValueError, match="The largest that is safe"):
            softmax.descend(X, targets, label_smoothing=0.1, learning_rate=100.0)


def test_accuracies_are_those_of_the_most_probable_class():
    X, y, *_ = soft_case("two_layer", 6)
    labels, settings = y.argmax(axis=1), {"hidden": 5, "learning_rate": 0.5, "tol": 0}
    settings |= {"max_iter": 30, "std": 0.5, "label_smoothing": 0.1}
    soft = two_layer.descend(X, y, validation=(X, y), **settings)
    fit = two_layer.descend(X, labels, validation=(X, labels), **settings)
    for found, targets in ((soft, y), (fit, labels)):
        W1, b1, W2, b2, *_ = found
        known = targets.argmax(axis=1) if targets.ndim == 2 else targets
        right = (two_layer.predict(X, W1, b1, W2, b2) == known).mean()
        assert found.train_accuracy[-1] == found.validation_accuracy[-1] == pytest.approx(right)
    mixed = two_layer.descend(X, y, validation=(X, labels), **settings)
    assert np.array_equal(mixed.validation_accuracy, soft.validation_accuracy)


# ---- refusals ----


def test_refusals():
    X, y, W, b = soft_case("softmax")
    labels = y.argmax(axis=1)
    for smoothing, error, sentence in (
        (1.5, ValueError, "label_smoothing is 1.5, and it is a share of 1: pass at most 1"),
        (-0.1, ValueError, "label_smoothing is -0.1: it must be finite and not negative"),
        (math.nan, ValueError, "label_smoothing is nan"),
        ("some", TypeError, "label_smoothing must be one real number"),
        ([0.1, 0.2], TypeError, "label_smoothing must be one real number"),
        (True, TypeError, "label_smoothing must be one real number"),
        (np.array([0.1, 0.2]), TypeError, "label_smoothing must be one real number"),
        (None, TypeError, "label_smoothing must be one real number"),
    ):
        for call in (softmax.gradient, softmax.sums):
            with pytest.raises(error, match=sentence):
                call(X, labels, W, b, label_smoothing=smoothing)
        for call in (softmax.objective, softmax.descend):
            with pytest.raises(error, match=sentence):
                call(X, labels, label_smoothing=smoothing)
    for call in (softmax.objective, softmax.descend):
        with pytest.raises(ValueError, match=r"y\[7\] sums to 2, and the probabilities"):
            call(X, np.where(np.arange(60)[:, None] == 7, 0.5, y))
        with pytest.raises(ValueError, match=r"y must have one dimension.*pass y.ravel\(\)"):
            call(X, labels[:, None])
        with pytest.raises(ValueError, match="y holds a single class, 2"):
            call(X, np.eye(4)[np.full(60, 2)])
    with pytest.raises(ValueError, match="classes is 3 and y has 4 columns"):
        softmax.objective(X, y, classes=3)
    assert softmax.objective(X, y, classes=4).size == 16
    for module in (linear, logistic):
        with pytest.raises(TypeError, match="label_smoothing"):
            module.loss(X, labels > 1, W[:, 0], label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"y must have one dimension.*\(60, 4\)"):
        logistic.loss(X, y, W[:, 0])


def test_the_advice_works():
    X, y, W, b = soft_case("softmax")
    known = {"y": 3 * y, "np": np}
    with pytest.raises(ValueError, match="must sum to 1: pass") as error:
        softmax.loss(X, known["y"], W, b)
    ((_, advice),) = advised(str(error.value), known)
    assert softmax.loss(X, advice, W, b) == pytest.approx(softmax.loss(X, y, W, b), rel=1e-14)
    known["y"] = (y * (np.arange(60) != 4)[:, None]).tolist()
    with pytest.raises(ValueError, match="leave out samples without a target") as error:
        softmax.loss(X, known["y"], W, b)
    ((name, advice),) = advised(str(error.value), known)
    right = softmax.loss(X, y, W, b, sample_weight=np.arange(60) != 4)
    assert softmax.loss(X, known["y"], W, b, **{name: advice}) == pytest.approx(right, rel=1e-14)
    known["y"] = y
    for class_weight in ("balanced", {0: 2.0}, np.ones(4)):
        with pytest.raises(ValueError, match="class_weight has a weight for each class") as error:
            softmax.loss(X, y, W, b, class_weight=class_weight)
        ((name, advice),) = advised(str(error.value), known)
        assert name == "y"
        softmax.loss(X, advice, W, b, class_weight=class_weight)


# ---- several real targets ----


def test_several_targets_are_one_after_the_other():
    """Loss and gradient are those of the columns; one column is fine with weights of one."""
    X, y, w, b = soft_case("linear", 4)
    for parameters in ((w, b), (w, None)):
        loss, gradient = linear.loss_and_gradient(X, y, *parameters, reg=0.2)
        each = [
            linear.loss_and_gradient(
                X, y[:, k], w[:, k], None if parameters[1] is None else float(b[k]), reg=0.2
            )
            for k in range(4)
        ]
        assert loss == pytest.approx(sum(one for one, _ in each), rel=1e-13)
        columns = np.column_stack([slope.w for _, slope in each])
        np.testing.assert_allclose(gradient.w, columns, rtol=0, atol=1e-13)
        if parameters[1] is None:
            assert gradient.b is None
        else:
            np.testing.assert_allclose(gradient.b, [slope.b for _, slope in each], atol=1e-13)
    one = linear.loss_and_gradient(X, y[:, :1], w[:, :1], b[:1])
    assert one[0] == pytest.approx(linear.loss(X, y[:, 0], w[:, 0], float(b[0])), rel=1e-13)
    np.testing.assert_allclose(linear.scores(X, w, b), X @ w + b, atol=1e-14)
    np.testing.assert_allclose(linear.predict(X.tolist(), w.tolist()), X @ w, atol=1e-14)


def test_fits_of_several_targets():
    """By descent with the safe rate, on batches, and by the objective: least squares."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 3))
    y = X @ rng.normal(size=(3, 2)) + rng.normal(size=2) + 0.1 * rng.normal(size=(80, 2))
    right = np.linalg.lstsq(np.column_stack([X, np.ones(80)]), y, rcond=None)[0]
    fit = linear.descend(X, y, gtol=1e-10)
    assert fit.converged
    np.testing.assert_allclose(np.vstack([fit.w, fit.b]), right, atol=1e-8)
    again = linear.descend(X, y, start=fit, gtol=1e-10)
    assert again.converged
    assert bits(pickle.loads(pickle.dumps(fit))) == bits(fit)
    batches = linear.descend(X, y, batch_size=16, max_iter=2000, tol=0)
    np.testing.assert_allclose(batches.w, right[:3], atol=0.05)
    f = linear.objective(X, y)
    assert f.size == 8
    loss, slope = f(f.pack(fit.w, fit.b))
    assert loss == pytest.approx(linear.loss(X, y, fit.w, fit.b), rel=1e-13)
    assert np.abs(slope).max() < 1e-9
    assert f.unpack(f.start()).w.shape == (3, 2)
    without = linear.descend(X, y, fit_bias=False)
    assert without.b is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear.descend(X, y, start=without, fit_bias=False)


def test_refusals_of_several_targets():
    X, y, w, b = soft_case("linear")
    for passed, sentence in (
        ((X, y[:, 0], w, b), r"w must have shape \(D,\)"),
        ((X, y, w[:, 0], 0.0), r"several targets, and w the weights of one"),
        ((X, y, w[:, :3], b[:3]), "y has 4 columns and the weights have 3"),
        ((X, y, w, 0.0), r"b must have shape \(K,\)"),
        ((X, y[:5], w, b), "y has 5 rows and X has 60 rows"),
        ((X, np.where(y == y[6, 2], np.inf, y), w, b), "y holds inf at row 6, column 2"),
        ((X, y[:, :1], w[:, 0], 0.0), r"y must have one dimension.*pass y.ravel\(\)"),
    ):
        for variant in VARIANTS:
            with pytest.raises(ValueError, match=sentence):
                linear.loss_and_gradient(*passed, variant=variant)
    parts = linear.sums(X, y, w, b)
    with pytest.raises(ValueError, match=r"w is of shape \(3,\) and its gradient in the sums"):
        linear.average(parts, w[:, 0], 0.0)
    with pytest.raises(ValueError, match=r"pass y.ravel\(\)"):
        linear.descend(X, y[:, :1])


# ---- in compiled code ----


@compiled
def test_raw_loops_take_targets():
    X, y, W, b = soft_case("softmax", 1)
    gradient = softmax.gradient_loop

    @numba.njit
    def call(X, y, W, b):
        return gradient(X, y, W, b, 0.1)

    expected = loss_and_gradient("softmax", X, y, W, b, reg=0.1)[1]
    for bounded, part in zip(expected, call(X, y, W, b), strict=True):
        assert_within(bounded, part, "gradient")


@compiled
@pytest.mark.slow
def test_raw_tiles_take_targets():
    X, y, W, b = soft_case("softmax", 1)
    expected = loss_and_gradient("softmax", X, y, W, b, reg=0.1)[1]
    for bounded, part in zip(expected, softmax.gradient_tiled(X, y, W, b, 0.1), strict=True):
        assert_within(bounded, part, "gradient")


# ---- what other libraries say ----


def test_pytorch_says_the_same():
    torch = pytest.importorskip("torch")
    X, y, W, b = soft_case("softmax", 2)
    labels, c = y.argmax(axis=1), np.array([1.0, 2.0, 0.5, 3.0])
    tensors = [torch.tensor(part) for part in (X, W, b)]
    for targets, keys, theirs in (
        (y, {}, {}),
        (y, {"label_smoothing": 0.1}, {"label_smoothing": 0.1}),
        (labels, {"label_smoothing": 0.1}, {"label_smoothing": 0.1}),
        (labels, {"label_smoothing": 1.0}, {"label_smoothing": 1.0}),
        (labels, {"class_weight": c}, {"weight": torch.tensor(c)}),
    ):
        weights = [tensor.clone().requires_grad_() for tensor in tensors[1:]]
        z = tensors[0] @ weights[0] + weights[1]
        loss = torch.nn.functional.cross_entropy(z, torch.tensor(targets), **theirs)
        loss.backward()
        found, gradient = softmax.loss_and_gradient(X, targets, W, b, **keys)
        assert found == pytest.approx(loss.item(), rel=1e-13)
        for part, weight in zip(gradient, weights, strict=True):
            np.testing.assert_allclose(part, weight.grad.numpy(), rtol=0, atol=1e-14)


def test_scikit_learn_says_the_same():
    """A sample with probabilities is one sample of each class, weighted by its probability."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    optimize = pytest.importorskip("scipy.optimize")
    X, y, *_ = soft_case("softmax", 2)
    repeated, labels = np.repeat(X, 4, axis=0), np.tile(np.arange(4), 60)
    theirs = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    theirs.fit(repeated, labels, sample_weight=y.ravel() + 1e-300)
    f = softmax.objective(X, y, reg=1 / 60)
    found = optimize.minimize(f, f.start(), jac=True, options={"gtol": 1e-9})
    W, b = f.unpack(found.x)
    np.testing.assert_allclose(W.T, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(
        b - b.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-6
    )


@compiled
@pytest.mark.parametrize("problem", [*CLASSIFIERS, "linear"])
def test_what_needs_a_cast_at_most_is_not_validated(problem, monkeypatch):
    module, (X, y, *parameters) = PROBLEMS[problem], soft_case(problem, 9)
    calls = [(y, {}), (np.asfortranarray(y), {})]
    calls += [] if problem == "linear" else [(y.argmax(axis=1), {"label_smoothing": 0.1})]
    right = [bits(module.gradient(X, t, *parameters, **options)) for t, options in calls]
    variants = module.PROBLEM.several or module.PROBLEM
    monkeypatch.setattr(variants.variants, "validated", None)
    for (t, options), known in zip(calls, right, strict=True):
        assert bits(module.gradient(X, t, *parameters, **options)) == known


@pytest.mark.parametrize("K", [2, 3, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_as_people_have_them_are_accepted_at_once(K, dtype, monkeypatch):
    """Divided by their sum, they sum to 1 to rounding: no second look is needed."""
    rng = np.random.default_rng(10)
    X, W, y = rng.normal(size=(500, 2)), rng.normal(size=(2, K)), rng.exponential(size=(500, K))
    X, W, y = (a.astype(dtype) for a in (X, W, y))
    y /= y.sum(axis=1, keepdims=True)
    right = softmax.gradient(X, y, W, variant="numpy").W
    if not numba.config.DISABLE_JIT:
        monkeypatch.setattr(softmax.PROBLEM.variants, "validated", None)
    got = softmax.gradient(X, y, W).W
    # A mean of 500 terms of size 1.
    np.testing.assert_allclose(got, right, rtol=0, atol=50 * np.finfo(dtype).eps)
