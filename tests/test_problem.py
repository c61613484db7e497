"""The public functions of every problem, and a problem that is declared outside the package."""

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import poisson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from poisson import Poisson

import kernels
import kernels.testing
from kernels import logistic, softmax, two_layer
from tests.helpers.cases import (
    DTYPES,
    PROBLEMS,
    VARIANTS,
    case_of,
    random_batch,
    without_bias,
)
from tests.helpers.comparison import assert_same
from tests.helpers.declaration import DECLARATION
from tests.helpers.marks import compiled
from tests.helpers.oracle import loss_and_gradient
from tests.helpers.strategies import examples, seeds, shapes


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@examples
@given(shape=shapes, seed=seeds, cut=st.floats(0, 1))
def test_the_weighted_mean_of_partial_gradients_is_the_whole_gradient(
    problem, variant, shape, seed, cut
):
    rng = np.random.default_rng(seed)
    X, y, *parameters = batch = random_batch(problem, rng, (shape[0] + 1, *shape[1:]))
    s = rng.uniform(0.1, 2, len(X))
    first = 1 + int(cut * (len(X) - 2))
    gradient = PROBLEMS[problem].gradient
    whole = gradient(*batch, sample_weight=s, variant=variant)
    parts = [
        gradient(X[r], y[r], *parameters, sample_weight=s[r], variant=variant)
        for r in (slice(first), slice(first, None))
    ]
    share = s[:first].sum() / s.sum()
    mean = [share * a + (1 - share) * b for a, b in zip(*parts, strict=True)]
    assert_same(problem, whole, mean, batch, sample_weight=s)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@examples
@given(shape=shapes, seed=seeds)
def test_integer_weights_are_repeated_rows(problem, variant, shape, seed):
    rng = np.random.default_rng(seed)
    X, y, *parameters = random_batch(problem, rng, shape)
    times = rng.integers(0, 4, len(X))
    times[rng.integers(len(X))] = 2
    repeated = (np.repeat(X, times, axis=0), np.repeat(y, times), *parameters)
    module = PROBLEMS[problem]
    weighted = module.gradient(X, y, *parameters, reg=0.1, sample_weight=times, variant=variant)
    assert_same(
        problem, weighted, module.gradient(*repeated, reg=0.1, variant=variant), repeated, reg=0.1
    )


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_the_average_does_not_depend_on_the_size_of_the_batch(problem, variant):
    """The same samples twice give the same gradient: this is what dividing by N is for."""
    X, y, *parameters = random_batch(problem, np.random.default_rng(8), (21, 4, 3, 5))
    twice = (np.vstack([X, X]), np.concatenate([y, y]), *parameters)
    module = PROBLEMS[problem]
    assert_same(
        problem,
        module.gradient(X, y, *parameters, variant=variant),
        module.gradient(*twice, variant=variant),
        twice,
    )


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_update_is_a_step_against_the_gradient(problem, variant):
    module, batch = PROBLEMS[problem], random_batch(problem, np.random.default_rng(3), (9, 4, 3, 5))
    copies = [np.array(part) for part in batch]
    for passed in (batch, without_bias(problem, batch)):
        gradient = module.gradient(*passed, reg=0.5, variant=variant)
        stepped = module.update(*passed, learning_rate=0.25, reg=0.5, variant=variant)
        for new, old, slope in zip(stepped, passed[2:], gradient, strict=True):
            assert new is old is None or np.array_equal(new, old - 0.25 * slope)
    assert all(np.array_equal(part, copy) for part, copy in zip(batch, copies, strict=True))


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: np.asarray(a).tolist(),
        lambda a: np.asarray(a).astype(int),
        lambda a: np.asarray(a).astype(">f8"),
    ],
    ids=["lists", "integers", "byte_order"],
)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_array_likes(problem, variant, convert):
    X, y, *parameters = random_batch(problem, np.random.default_rng(4), (6, 3, 3, 4))
    batch = [
        np.rint(3 * X),
        np.rint(y),
        *(np.rint(3 * p) if np.ndim(p) else 2.0 for p in map(np.asarray, parameters)),
    ]
    if problem in ("softmax", "two_layer"):
        batch[1] = batch[1].astype(int)
    expected = PROBLEMS[problem].gradient(*batch, variant=variant)
    got = PROBLEMS[problem].gradient(
        *[convert(part) if np.ndim(part) else part for part in batch], variant=variant
    )
    for one, other in zip(expected, got, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_scores_probabilities_and_predictions(problem):
    module = PROBLEMS[problem]
    X, _, *parameters = random_batch(problem, np.random.default_rng(6), (40, 5, 4, 6))
    if problem == "two_layer":
        W1, b1, W2, b2 = parameters
        z = np.maximum(X @ W1 + b1, 0) @ W2 + b2
    else:
        z = X @ parameters[0] + parameters[1]
    if problem == "linear":
        np.testing.assert_allclose(module.predict(X, *parameters), z, rtol=1e-12)
        return
    np.testing.assert_allclose(module.scores(X, *parameters), z, rtol=1e-12, atol=1e-13)
    p = module.probabilities(X, *parameters)
    if problem == "logistic":
        np.testing.assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-12)
        assert np.array_equal(module.predict(X, *parameters), np.sign(z))
    else:
        np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-12)
        assert np.array_equal(module.predict(X, *parameters), z.argmax(axis=1))


def differences(loss, parameters, i):
    """d loss / d parameters[i], each entry by itself.

    (f(p + h) - f(p - h)) / 2h errs by h²/6 |f'''| + eps |f| / h. With h = 1e-5, |f| < 10 and third
    derivatives below 10 (standard normal features, few of them): 2e-10 + 2e-10.
    """
    h = 1e-5
    slope = np.empty(np.shape(parameters[i]))
    for place in np.ndindex(slope.shape):
        low, high = (list(parameters) for _ in range(2))
        step = np.zeros(slope.shape)
        step[place] = h
        low[i], high[i] = parameters[i] - step, parameters[i] + step
        if slope.ndim == 0:
            low[i], high[i] = float(low[i]), float(high[i])
        slope[place] = (loss(*high) - loss(*low)) / (2 * h)
    return slope


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_gradient_is_the_derivative_of_the_loss(problem, variant, bias):
    module, rng = PROBLEMS[problem], np.random.default_rng(7)
    X, y, *parameters = random_batch(problem, rng, (11, 3, 3, 4))
    if problem == "two_layer":  # away from kinks: no unit within 1e-3 of 0 for any sample
        W1, b1 = parameters[:2]
        while np.abs(X @ W1 + b1).min() < 1e-3:
            X = rng.normal(size=X.shape)
    if not bias:
        X, y, *parameters = without_bias(problem, (X, y, *parameters))
    settings = {"reg": 0.3, "sample_weight": rng.uniform(0, 2, len(X)), "variant": variant}
    gradient = module.gradient(X, y, *parameters, **settings)
    for i, part in enumerate(gradient):
        if part is not None:
            slope = differences(lambda *p: module.loss(X, y, *p, **settings), parameters, i)
            np.testing.assert_allclose(part, slope, rtol=0, atol=1e-8)


def test_probabilities_of_extreme_scores():
    assert softmax.probabilities([[1.0]], [[-1e20, 1e20, 0.0]]).tolist() == [[0, 1, 0]]
    assert logistic.probabilities([[1.0], [-1.0]], [1e20]).tolist() == [1, 0]
    assert logistic.probabilities([[1.0]], [-800.0]).tolist() == [0]
    assert two_layer.probabilities(
        [[1.0]], [[1.0]], [0.0], [[1e20, -1e20]], [0.0, 0.0]
    ).tolist() == [[1, 0]]


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("reg", [0.0, 0.5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_update_loop_is_update(problem, dtype, reg, weighted):
    """θ - η g: g errs by at most its bound, product and difference by eps/2 of their size."""
    module, eps = PROBLEMS[problem], np.finfo(dtype).eps
    X, y, *parameters = batch = case_of(problem, 15, dtype=dtype)
    s = np.ones(60, dtype)
    if weighted:
        s = np.random.default_rng(15).uniform(0.1, 2, 60).astype(dtype)
    copies = [np.array(p) for p in parameters]
    lesson = module.update_loop(X, y, s, *parameters, 0.25, reg)
    options = {"learning_rate": 0.25, "reg": reg, "sample_weight": s}
    public = module.update(*batch, **options, variant="loop")
    gradient = loss_and_gradient(problem, *batch, reg=reg, sample_weight=s)[1]
    for one, other, old, g in zip(lesson, public, parameters, gradient, strict=True):
        want = old - 0.25 * g.value
        error = 0.25 * g.bound + 2 * eps * (np.abs(0.25 * g.value) + np.abs(want))
        assert (np.abs(one - want) <= error).all()
        assert (np.abs(one - other) <= 2 * error).all()
        assert np.ndim(old) == 0 or one.dtype == other.dtype == old.dtype
    assert all(np.array_equal(p, copy) for p, copy in zip(parameters, copies, strict=True))


@pytest.mark.parametrize("shape", [(60, 3, 4, 5), (257, 16, 2, 9), (33, 64, 7, 5)])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_update_is_a_step_against_the_gradient_exactly(problem, variant, dtype, bias, shape):
    """Each number is θ - η g with both operations rounded to the dtype, and no other rounding."""
    module, batch = PROBLEMS[problem], case_of(problem, 16, shape, dtype, bias)
    real = np.dtype(dtype).type
    s = np.random.default_rng(16).uniform(0.1, 2, shape[0]).astype(dtype)
    for options in ({}, {"reg": 0.3, "sample_weight": s}):
        for rate in (0.1, 1e-3, 7):
            gradient = module.gradient(*batch, **options, variant=variant)
            stepped = module.update(*batch, **options, learning_rate=rate, variant=variant)
            for new, old, g in zip(stepped, batch[2:], gradient, strict=True):
                if old is None:
                    assert new is None
                    continue
                want = np.asarray(old, dtype) - real(rate) * np.asarray(g, dtype)
                assert np.array_equal(new, want)
                assert type(new) is float if np.ndim(old) == 0 else new.dtype == dtype


# ---- a problem declared outside the package ----

NAMES = ["loss_and_gradient", "loss", "gradient", "update", "sums", "average", "scores"]
NAMES += ["predict", "descend", "VARIANTS"]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    return X, rng.poisson(np.exp(X @ [0.5, -0.2, 0.1] + 1)), np.array([0.1, 0.2, -0.3]), 0.5


def test_the_declaration_takes_sixty_lines():
    declaration, _, _ = Path(poisson.__file__).read_text().partition("\nif __name__")
    assert len(declaration.splitlines()) <= 60


def test_a_declared_problem_has_every_function(batch):
    X, y, w, b = batch
    mean = np.exp(X @ w + b)
    loss, gradient = Poisson.loss_and_gradient(X, y, w, b)
    assert loss == pytest.approx((mean - y * np.log(mean)).mean())
    assert gradient.w == pytest.approx((mean - y) @ X / len(X))
    assert gradient.b == pytest.approx((mean - y).mean())
    assert Poisson.loss(X, y, w, b) == loss
    assert np.array_equal(Poisson.gradient(X, y, w, b).w, gradient.w)
    new_w, new_b = Poisson.update(X, y, w, b, learning_rate=0.1)
    assert new_w == pytest.approx(w - 0.1 * gradient.w)
    assert new_b == pytest.approx(b - 0.1 * gradient.b)
    parts = [Poisson.sums(X[rows], y[rows], w, b) for rows in (slice(0, 123), slice(123, 500))]
    assert Poisson.average(parts, w, b)[0] == pytest.approx(loss)
    assert Poisson.predict(X, w, b) == pytest.approx(mean)
    assert Poisson.scores(X, w, b) == pytest.approx(np.log(mean))
    fit = Poisson.descend(X, y, learning_rate=0.1, reg=0.01)
    assert fit.converged
    assert max(abs(fit.w - [0.5, -0.2, 0.1])) < 0.1
    assert Poisson.loss_and_gradient(X, y, w)[1].b is None
    assert not [name for name in NAMES if not hasattr(Poisson, name)]


@pytest.mark.parametrize("variant", ["python", "numpy", "loop", "tiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_invalid_target_is_refused(batch, variant, dtype):
    """On the fast path too, which converts nothing."""
    X, y, w, _ = (np.asarray(part, dtype) for part in batch)
    y[7] = -1
    with pytest.raises(ValueError, match=r"^y\[7\] is -1.0: a count is not negative$"):
        Poisson.gradient(X, y, w, variant=variant)
    y[7] = np.nan
    with pytest.raises(ValueError, match=r"y holds nan at position 7"):
        Poisson.gradient(X, y, w, variant=variant)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", ["numpy", "loop", "tiled"])
def test_an_overflow_is_refused_or_right(variant, dtype):
    """exp(100) leaves float32 and not float64, exp(1000) both."""
    X, w = np.ones((3, 1), dtype), np.array([100.0], dtype)
    if dtype == "float32":
        with pytest.raises(FloatingPointError, match="too large for float32"):
            Poisson.gradient(X, [1, 2, 3], w, variant=variant)
    else:
        assert Poisson.gradient(X, [1, 2, 3], w, variant=variant).w == pytest.approx(math.exp(100))
    with pytest.raises(FloatingPointError, match="too large"):
        Poisson.gradient(X, [1, 2, 3], 10 * w, variant=variant)


def test_invalid_declarations():
    with pytest.raises(ValueError, match=r"axes \('D', 'D'\): accepted are"):
        kernels.Problem("poisson", **DECLARATION | {"parameters": {"w": "D", "v": "D"}})
    with pytest.raises(TypeError, match=r"problem must be a kernels.Problem and is a module"):
        kernels.testing.check(poisson)


@compiled
@pytest.mark.parametrize("name", ["loop", "residual"])
def test_functions_that_are_not_compiled_are_refused(name):
    with pytest.raises(TypeError, match=rf"^{name} is .*: decorate the function with @numba.njit"):
        kernels.Problem("poisson", **DECLARATION | {name: lambda *a: a})


def test_sums_can_be_sent_to_another_process(batch):
    """By the module's name: the class itself is an attribute of the Problem."""
    sums = Poisson.sums(*batch)
    program = (
        "import pickle, sys; sums = pickle.load(sys.stdin.buffer); "
        "sys.stdout.buffer.write(pickle.dumps(sums + sums))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(poisson.__file__).parent)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=pickle.dumps(sums), stdout=-1, env=environment, check=True)
    twice = pickle.loads(done.stdout)
    assert type(twice.gradient) is type(sums.gradient)
    assert np.array_equal(twice.gradient.w, 2 * sums.gradient.w)


def test_a_result_is_pickled_with_its_message(batch):
    fit = Poisson.descend(*batch[:2], learning_rate=0.1)
    again = pickle.loads(pickle.dumps(fit))
    assert (again.message, again.converged) == (fit.message, True)


def test_unpickling_needs_the_problem_as_an_attribute_of_its_module():
    nowhere = kernels.Problem("nowhere", **DECLARATION)
    saved = pickle.dumps(nowhere.Gradient(np.zeros(3), 0.0))
    with pytest.raises(AttributeError, match="test_problem has no Problem named 'nowhere'"):
        pickle.loads(saved)
