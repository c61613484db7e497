"""A problem from outside: declared as examples/poisson.py is, it has all that the others have."""

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import poisson
import pytest
from poisson import Poisson, counts

import kernels
import kernels.testing

NAMES = ["loss_and_gradient", "loss", "gradient", "update", "sums", "average", "scores"]
NAMES += ["predict", "descend", "VARIANTS"]
DECLARATION = {"parameters": {"w": "D", "b": ""}, "y": counts, "loop": poisson.sums_loop}
DECLARATION |= {"numpy": poisson.sums_numpy, "residual": poisson.residual}
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is nothing to cache")


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    return X, rng.poisson(np.exp(X @ [0.5, -0.2, 0.1] + 1)), np.array([0.1, 0.2, -0.3]), 0.5


def test_it_takes_sixty_lines():
    assert len(Path(poisson.__file__).read_text().splitlines()) <= 60


def test_the_check_passes():
    kernels.testing.check(Poisson)


@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear", "two_layer"])
def test_the_check_passes_for_ours(problem):
    kernels.testing.check(getattr(kernels, problem).PROBLEM)


def test_everything_is_there(batch):
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
def test_a_target_that_is_none_is_refused(batch, variant, dtype):
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


def test_what_is_no_declaration():
    with pytest.raises(ValueError, match=r"axes \('D', 'D'\): accepted are"):
        kernels.Problem("poisson", **DECLARATION | {"parameters": {"w": "D", "v": "D"}})
    with pytest.raises(TypeError, match=r"problem must be a kernels.Problem and is a module"):
        kernels.testing.check(poisson)


@compiled
@pytest.mark.parametrize("name", ["loop", "residual"])
def test_what_is_not_compiled(name):
    with pytest.raises(TypeError, match=rf"^{name} is .*: decorate the function with @numba.njit"):
        kernels.Problem("poisson", **DECLARATION | {name: lambda *a: a})


# ---- the check notices ----


@numba.njit
def of_twice_the_slope(z, y):
    return np.exp(z) - y * z, 2 * (np.exp(z) - y)


@numba.njit
def without_weights(X, y, s, w, b):
    return poisson_loop(X, y, np.ones_like(s), w, b)


poisson_loop = poisson.sums_loop


def of_another_loss(X, y, s, w, b):
    loss, *rest = poisson.sums_numpy(X, y, s, w, b)
    return (1.01 * loss, *rest)


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("residual", of_twice_the_slope, "tiled, X in C order: gradient of w is off by"),
        ("loop", without_weights, "is off by"),
        ("numpy", of_another_loss, "differences"),
    ],
)
@compiled
def test_a_mistake_is_noticed(name, function, message):
    mistaken = kernels.Problem("mistaken", **DECLARATION | {name: function})
    with pytest.raises(AssertionError, match=message):
        kernels.testing.check(mistaken)


# ---- pickles ----


def test_sums_go_to_another_process(batch):
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


def test_a_result_of_a_problem_that_is_nowhere():
    nowhere = kernels.Problem("nowhere", **DECLARATION)
    saved = pickle.dumps(nowhere.Gradient(np.zeros(3), 0.0))
    with pytest.raises(AttributeError, match="test_problem has no Problem named 'nowhere'"):
        pickle.loads(saved)
