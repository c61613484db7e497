"""When a descent has converged: `gtol` on the gradient, `tol` and `rtol` on the step."""

import itertools
import warnings

import numpy as np
import pytest

from kernels import ConvergenceWarning, DivergenceError, linear, logistic, softmax, two_layer
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS
from tests.helpers.comparison import bits
from tests.helpers.descents import CURVATURE, curvature_bound, data, descend, random_data

REG = 0.1


def norm_of(problem, batch, fit, reg=REG, s=None, bias=True):
    """The largest component of the public gradient at a result."""
    module, fields = PROBLEMS[problem], PROBLEMS[problem].Parameters._fields
    parameters = [getattr(fit, name) for name in fields]
    gradient = module.gradient(*batch[:2], *parameters, reg=reg, sample_weight=s)
    return max(np.abs(g).max() for g in gradient[:: 1 if bias else 2] if g is not None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_by_default_it_is_the_gradient(problem, variant, dtype):
    """No step follows: the last loss is that of the result."""
    batch = data(problem, dtype=dtype)
    quick = variant in ("tiled", "numpy") and problem != "two_layer"
    gtol = {} if quick else {"gtol": 1e-2}
    call = {"reg": REG, "variant": variant, "learning_rate": 0.3, **gtol}
    fit = descend(problem, batch, **call)
    assert fit.converged
    assert fit.gradient_norm <= gtol.get("gtol", 1e-5)
    assert norm_of(problem, batch, fit) == pytest.approx(fit.gradient_norm, rel=0.1, abs=1e-6)
    parameters = [getattr(fit, name) for name in PROBLEMS[problem].Parameters._fields]
    loss = PROBLEMS[problem].loss(*batch[:2], *parameters, reg=REG)
    assert fit.losses[-1] == pytest.approx(loss, rel=1e-5)
    before = descend(problem, batch, **call | {"gtol": 0}, max_iter=fit.n_iter - 1)
    assert before.gradient_norm == pytest.approx(fit.gradient_norm, rel=1e-6)
    earlier = descend(problem, batch, **call | {"gtol": 0}, max_iter=fit.n_iter - 2)
    assert earlier.gradient_norm > gtol.get("gtol", 1e-5), "it is the first that is small enough"


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_norm_is_that_of_the_result_however_it_ended(problem, bias, batch_size):
    batch = data(problem)
    s = np.random.default_rng(0).uniform(0, 2, len(batch[0]))
    start = {} if bias else {"b": None} if problem != "two_layer" else {}
    call = {"reg": REG, "learning_rate": 0.3, "fit_bias": bias, "batch_size": batch_size, **start}
    for end in (
        {"gtol": 0.05},
        {"tol": 1e-1},
        {"rtol": 1e-1},
        {"tol": 0, "max_iter": 7},
        {"callback": lambda i, loss, params: i == 3, "gtol": 0},
    ):
        fit = descend(problem, batch, **call, **end, sample_weight=s)
        assert norm_of(problem, batch, fit, s=s, bias=bias) == pytest.approx(fit.gradient_norm)
        assert ("gtol" in fit.message) == ("gtol" in end and "callback" not in end)


def test_those_that_are_given_count():
    """Each alone, any of several, and 0 is never met."""
    X, y = random_data("linear", 2)
    alone = {name: linear.descend(X, y, **{name: 1e-3}) for name in ("gtol", "tol", "rtol")}
    lengths = {name: fit.n_iter for name, fit in alone.items()}
    assert len(set(lengths.values())) == 3
    for a, b in itertools.combinations(alone, 2):
        fit = linear.descend(X, y, **{a: 1e-3, b: 1e-3})
        assert fit.n_iter == min(lengths[a], lengths[b])
        first = a if lengths[a] < lengths[b] else b
        assert f"{first}=0.001" in fit.message
        assert linear.descend(X, y, **{a: 0, b: 1e-3}).n_iter == lengths[b]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in alone:
            fit = linear.descend(X, y, **{name: 0}, max_iter=3000)
            assert (fit.n_iter, fit.converged) == (3000, False)
    # a fixed number of iterations even where nothing is left to do
    exact = linear.descend([[1.0]], [0.0], tol=0, max_iter=5)
    assert (exact.n_iter, exact.gradient_norm) == (5, 0.0)


def test_a_start_that_has_converged():
    X, y = random_data("linear", 3)
    fit = linear.descend(X, y)
    again = linear.descend(X, y, w=fit.w, b=fit.b)
    assert (again.n_iter, again.converged) == (1, True)
    assert np.array_equal(again.w, fit.w)


def test_a_bias_that_is_held_does_not_count():
    X, y = data("two_layer")[:2]
    fit = two_layer.descend(X, y, hidden=3, learning_rate=0.3, reg=1.0, fit_bias=False)
    assert fit.converged
    gradient = two_layer.gradient(X, y, *fit[:4], reg=1.0)
    assert max(np.abs(gradient.W1).max(), np.abs(gradient.W2).max()) <= 1e-5
    assert np.abs(gradient.b2).max() > 1e-3


def test_batches():
    """Only a tolerance that is given ends it before max_iter, and `gtol` is that of all samples."""
    X, y = random_data("linear", 4)
    call = {"batch_size": len(y) // 2 + 1, "learning_rate": 0.05}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = linear.descend(X, y, **call, max_iter=50)
        assert (fit.n_iter, fit.converged) == (50, False)
        fit = linear.descend(X, y, **call, gtol=0.1)
    assert fit.converged
    assert fit.n_iter % 2 == 0, "after an epoch"
    assert norm_of("linear", (X, y), fit, reg=0.0) == pytest.approx(fit.gradient_norm)
    assert fit.gradient_norm <= 0.1
    earlier = linear.descend(X, y, **call, tol=0, max_iter=fit.n_iter - 2)
    assert earlier.gradient_norm > 0.1
    with pytest.warns(ConvergenceWarning, match="above gtol=1e-12"):
        linear.descend(X, y, **call, gtol=1e-12, max_iter=20)


# ---- the learning rate that is chosen ----


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("problem", CURVATURE)
def test_without_a_rate_the_safe_one_is_taken(problem, seed):
    X, y = random_data(problem, seed)
    rate = 1.9 / curvature_bound(problem, X, REG)
    fit = PROBLEMS[problem].descend(X, y, reg=REG, max_iter=100_000)
    assert fit.converged
    assert np.diff(fit.losses).max() <= 1e-14 * len(X) * fit.losses[0]
    one, other = (
        PROBLEMS[problem].descend(X, y, reg=REG, tol=0, max_iter=1, learning_rate=rate)
        for rate in (None, rate)
    )
    np.testing.assert_allclose(one[0], other[0], rtol=1e-3)
    same = [PROBLEMS[problem].descend(X, y, reg=REG, threads=threads) for threads in (1, 2, None)]
    assert len({bits(part) for part in same}) == 1


@pytest.mark.parametrize("D", [30, 100])
def test_few_and_many_features(D):
    """The largest eigenvalue comes from a matrix, or by power iteration."""
    rng = np.random.default_rng(D)
    X, y = rng.normal(size=(300, D)) * rng.uniform(0.5, 2, D), rng.normal(size=300)
    with pytest.raises(ValueError, match="is too large") as raised:
        linear.descend(X, y, learning_rate=1e4)
    exact = 1.9 / curvature_bound("linear", X)
    assert exact * 0.999 <= raised.value.safe_learning_rate <= exact * 1.03


def test_a_network_needs_a_rate():
    X, y = data("two_layer")[:2]
    with pytest.raises(TypeError, match=r"missing 1 required .*: 'learning_rate'"):
        two_layer.descend(X, y)
    with pytest.raises(ValueError, match="learning_rate is None, and for this loss no safe rate"):
        two_layer.descend(X, y, learning_rate=None)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [-300, -150, -40, -25, -20, -6, 0, 6, 15, 30, 100, 200, 300])
def test_features_of_any_scale(exponent, dtype, bias):
    """A fit, a warning of ours, or an error that names what is too large; never another error."""
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        X = np.asarray(np.ldexp(rng.normal(size=(30, 2)), int(exponent * 3.32)), dtype)
    if not np.isfinite(X).all():
        return
    y = rng.normal(size=30)
    for learning_rate in (None, 1e-3, 1e30):
        said, settings = "", {"learning_rate": learning_rate, "fit_bias": bias, "gtol": 1e-3}
        try:
            fit = linear.descend(X, y, **settings, max_iter=200)
            assert np.isfinite(fit.losses).all()
        except DivergenceError as error:
            said, safe = str(error), error.safe_learning_rate
        except (ConvergenceWarning, ValueError, FloatingPointError) as error:
            said, safe = str(error), 0.0
        assert len(said) < 700
        assert not said or 0 <= safe < np.inf


def test_tiny_features_have_a_safe_rate():
    """Once 0, or a division by 0."""
    y = np.array([1.0, 2.0, 4.0])
    for scale in (1e-15, 1e-18):
        X = (np.array([[1.0], [2.0], [3.0]]) * scale).astype("f4")
        fit = linear.descend(X, y, fit_bias=False, tol=1e-3, rtol=1e-6, max_iter=100)
        assert fit.w[0] * scale == pytest.approx(1.2142857, rel=1e-4)


# ---- what is accepted, and what is not ----


def test_a_batch_of_more_than_all():
    X, y = random_data("linear", 5)
    fits = [linear.descend(X, y, batch_size=size, gtol=1e-5) for size in (len(y), 10 * len(y))]
    assert bits(fits[0]) == bits(fits[1]) == bits(linear.descend(X, y, gtol=1e-5))


def test_seeds():
    X, y = random_data("linear", 6)
    call = {"batch_size": 5, "max_iter": 9}
    first, second = (linear.descend(X, y, rng=None, **call) for _ in range(2))
    assert bits(first) != bits(second)
    sequence = np.random.SeedSequence(7)
    assert bits(linear.descend(X, y, rng=sequence, **call)) == bits(
        linear.descend(X, y, rng=np.random.SeedSequence(7), **call)
    )


@pytest.mark.parametrize("problem", [softmax, logistic, two_layer])
@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class(problem, label):
    """Nothing can be learned of it, unless weights are given."""
    X, y = np.ones((4, 2)), [label] * 4
    call = {"learning_rate": 0.1, "max_iter": 3, "tol": 0}
    with pytest.raises(ValueError, match=f"y holds a single class, {label}, of which nothing"):
        problem.descend(X, y, **call)
    with pytest.raises(ValueError, match="y holds a single class"):
        problem.descend(np.ones((5, 2)), [*y, 1 - label], sample_weight=[1, 1, 1, 1, 0], **call)
    weights = {softmax: {"W": np.ones((2, 3))}, logistic: {"w": np.ones(2)}}
    problem.descend(X, y, **call, **weights.get(problem, {"W2": np.ones((4, 2))}))
