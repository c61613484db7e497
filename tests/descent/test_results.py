"""Results of descent: fields, messages, warnings and errors, and their pickles."""

import copy
import pickle
import re

import numpy as np
import pytest

import kernels
from kernels import ConvergenceWarning, DivergenceError, linear, logistic, softmax, two_layer
from tests.helpers.cases import DTYPES, PROBLEMS
from tests.helpers.comparison import bits
from tests.helpers.descents import FIXED, data, descend, error_of, random_data


def test_not_converged_is_a_warning_with_the_last_step():
    X, y, *_ = data("linear")
    with pytest.warns(
        ConvergenceWarning,
        match=r"not converged after 3 iterations: the last step had length ([\d.]+)",
    ) as seen:
        fit = linear.descend(X, y, learning_rate=0.1, max_iter=3, tol=1e-5)
    assert not fit.converged
    before = linear.descend(X, y, learning_rate=0.1, max_iter=2, tol=0)  # no tolerance, no warning
    step = np.linalg.norm(np.append(fit.w - before.w, fit.b - before.b))
    assert f"length {step:.3g}," in str(seen[0].message)
    assert seen[0].filename == __file__


def test_results_can_be_pickled():
    for problem in PROBLEMS:
        fit = descend(problem, data(problem), **FIXED, max_iter=3)
        for again in (pickle.loads(pickle.dumps(fit)), copy.copy(fit), copy.deepcopy(fit)):
            assert type(again) is PROBLEMS[problem].Fit
            assert bits(again) == bits(fit)
            assert again.message == fit.message != ""
            assert again.gradient_norm == fit.gradient_norm > 0


HISTORY = "losses", "n_iter", "converged"
FIELDS = {
    "softmax": ("W", "b", *HISTORY),
    "logistic": ("w", "b", *HISTORY),
    "linear": ("w", "b", *HISTORY),
    "two_layer": ("W1", "b1", "W2", "b2", *HISTORY, "train_accuracy", "validation_accuracy"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_fields_of_a_result(problem):
    """It unpacks into what it always did; the message is no field."""
    fit = descend(problem, data(problem), **FIXED, max_iter=3)
    assert isinstance(fit, tuple)
    assert fit._fields == FIELDS[problem]
    assert list(fit._asdict()) == list(FIELDS[problem])
    assert len(fit) == len(FIELDS[problem])
    for part, name in zip(fit, FIELDS[problem], strict=True):
        assert part is getattr(fit, name)
    assert "message" not in repr(fit)
    assert (len(fit.losses), fit.n_iter, fit.converged) == (3, 3, False)


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_message_says_why_it_ended(problem, batch_size, variant):
    batch, step = data(problem), r"length \d[\d.e+-]*"
    settings = {"learning_rate": 0.1, "reg": 0.3, "batch_size": batch_size, "variant": variant}
    which = "last step" if batch_size is None else "longest step of an epoch"
    for tolerance, limit in (({"tol": 1.0}, "tol=1"), ({"tol": 0, "rtol": 2.0}, "rtol=2 ·")):
        fit = descend(problem, batch, **settings, **tolerance)
        assert fit.converged
        says = rf"converged after {fit.n_iter} iterations: the {which} had {step}, at most {limit}"
        assert re.match(says, fit.message), fit.message
    with pytest.warns(ConvergenceWarning) as warned:
        fit = descend(problem, batch, **settings, tol=1e-12, max_iter=11)
    assert not fit.converged
    says = f"not converged after 11 iterations: the {which} had {step}, above tol=1e-12"
    assert re.match(f"max_iter reached: {says}", fit.message), fit.message
    assert str(warned[0].message).startswith(fit.message.removeprefix("max_iter reached: "))
    fit = descend(problem, batch, **settings, tol=0, max_iter=11)  # no tolerance, no warning
    assert fit.message.startswith("max_iter reached: ")
    fit = descend(problem, batch, **settings, tol=0, callback=lambda i, loss, params: i == 6)
    assert fit.message == "stopped by the callback at iteration 6"
    rest = {"start": fit, **settings, "tol": 0}
    assert descend(problem, batch, **rest, max_iter=4).message.startswith("max_iter reached: ")
    stopped = descend(problem, batch, **rest, callback=lambda *seen: True)
    assert stopped.message == "stopped by the callback at iteration 6"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["tiled", "loop", "numpy"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_fields_of_a_divergence_error(problem, variant, dtype):
    X, y = random_data(problem, 3)
    settings = {"variant": variant, "learning_rate": 1e4, "max_iter": 2000}
    error = error_of(problem, X.astype(dtype), y, **settings)
    assert str(error) == str(
        error_of(problem, X.astype(dtype), y, **settings, callback=lambda *seen: False)
    )
    assert isinstance(error, ValueError)
    assert error.iteration == len(error.losses) - 1 <= 1000
    assert f"at iteration {error.iteration} " in str(error)
    assert "learning_rate=10000 is too large" in str(error)
    assert error.losses[0] < error.losses[-1] or not np.isfinite(error.losses[-1])
    assert 0 < error.safe_learning_rate < 1e4
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.iteration, again.safe_learning_rate) == (
        str(error),
        error.iteration,
        error.safe_learning_rate,
    )


def test_the_names_are_public():
    assert kernels.DivergenceError is DivergenceError
    assert issubclass(DivergenceError, ValueError)
    assert issubclass(ConvergenceWarning, UserWarning)
    assert {module.descend.__name__ for module in (softmax, logistic, linear, two_layer)} == {
        "descend"
    }
