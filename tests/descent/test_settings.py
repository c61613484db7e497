"""The settings of descent: what is refused, and which samples a batch holds."""

import numpy as np
import pytest

from kernels import ConvergenceWarning, linear, logistic
from tests.helpers.cases import PROBLEMS
from tests.helpers.comparison import bits
from tests.helpers.descents import data


def test_an_epoch_uses_every_sample_once_in_a_new_order():
    """X is an identity matrix: a sample's weight moves when it is used and not otherwise."""
    N, used = 10, []
    X, y = np.eye(N), np.ones(N)

    def callback(iteration, loss, params):
        used.append(params.w)
        return iteration == 4

    linear.descend(X, y, learning_rate=0.1, batch_size=3, fit_bias=False, callback=callback)
    assert [(w != 0).sum() for w in used] == [0, 3, 6, 9, 10]
    np.testing.assert_allclose(
        np.sort(used[-1]),
        [0.1 / 3] * 9 + [0.1],
        rtol=1e-15,
        err_msg="the last batch is the one left over",
    )
    first = [
        linear.descend(
            X,
            np.arange(N),
            learning_rate=0.1,
            batch_size=1,
            fit_bias=False,
            max_iter=20,
            tol=0,
            rng=r,
        ).losses
        for r in range(5)
    ]
    for losses in first:
        assert sorted(losses[:10].tolist()) == (np.arange(N) ** 2 / 2).tolist()
        assert losses[:10].argsort().tolist() != losses[10:].argsort().tolist()
    assert len({losses.tobytes() for losses in first}) == 5


def test_a_batch_is_the_gradient_of_its_samples_and_decay_is_by_epoch():
    """Four steps by hand: X is one-hot, so the losses tell what one epoch used."""
    X, y = np.eye(4), np.array([1.0, 2.0, 3.0, 4.0])
    settings = {"batch_size": 1, "learning_rate_decay": 0.5, "fit_bias": False, "tol": 0}
    fit = linear.descend(X, y, learning_rate=0.5, **settings, max_iter=8)
    np.testing.assert_allclose(
        fit.w, y * (1 - 0.5 * 0.75), rtol=1e-15
    )  # a half of the way, then a quarter of the rest
    whole = linear.descend(X, y, learning_rate=0.5, **settings | {"batch_size": 4}, max_iter=2)
    np.testing.assert_allclose(whole.w, y * (1 - (1 - 0.5 / 4) * (1 - 0.25 / 4)), rtol=1e-15)


def test_samples_of_no_weight_are_left_out():
    X, y, *_ = data("logistic", (30, 3, 1, 1))
    s = np.random.default_rng(0).integers(0, 3, 30).astype(float)
    assert (s == 0).sum() > 3
    settings = {"learning_rate": 0.2, "batch_size": 4, "max_iter": 60, "tol": 0}
    with_zeros = logistic.descend(X, y, sample_weight=s, **settings)
    without = logistic.descend(X[s > 0], y[s > 0], sample_weight=s[s > 0], **settings)
    assert bits(with_zeros) == bits(without)


def test_batches_converge_by_every_step_of_an_epoch():
    """Data that a plane fits: all batches have the same minimum, so the steps become short."""
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = X @ [1.0, -2.0, 3.0] + 1
    fit = linear.descend(X, y, learning_rate=0.1, batch_size=10, tol=1e-6)
    assert fit.converged
    assert fit.n_iter % 5 == 0
    assert np.abs(np.append(fit.w, fit.b) - [1, -2, 3, 1]).max() < 1e-4
    # One batch without error is no reason to stop: three of four samples are fitted already.
    X, y = np.eye(4), np.array([0.0, 0.0, 0.0, 5.0])
    fit = linear.descend(X, y, learning_rate=0.5, batch_size=1, fit_bias=False, tol=1e-9)
    assert fit.w[3] == pytest.approx(5)
    with pytest.warns(ConvergenceWarning, match="the longest step of an epoch had length"):
        linear.descend(X, y, learning_rate=0.5, batch_size=1, fit_bias=False, max_iter=9, tol=1e-5)


REFUSED = {
    "learning_rate_0": (
        {"learning_rate": 0},
        ValueError,
        "learning_rate is 0, with which nothing moves",
    ),
    "learning_rate_nan": ({"learning_rate": float("nan")}, ValueError, "learning_rate is nan"),
    "learning_rate_string": (
        {"learning_rate": "0.1"},
        TypeError,
        "learning_rate must be one real number",
    ),
    "decay_0": (
        {"learning_rate_decay": 0.0},
        ValueError,
        "learning_rate_decay is 0.0: after each epoch",
    ),
    "decay_grows": ({"learning_rate_decay": 1.1}, ValueError, "learning_rate_decay is 1.1"),
    "reg": ({"reg": -1}, ValueError, "reg is -1"),
    "tol": ({"tol": -1e-3}, ValueError, "tol is -0.001"),
    "rtol": ({"rtol": float("inf")}, ValueError, "rtol is inf"),
    "max_iter_0": ({"max_iter": 0}, ValueError, "max_iter is 0: pass at least 1"),
    "max_iter_float": (
        {"max_iter": 1e4},
        TypeError,
        "max_iter must be a whole number and is 10000.0",
    ),
    "batch_size_0": (
        {"batch_size": 0},
        ValueError,
        "batch_size is 0: pass at least 1",
    ),
    "batch_size_bool": ({"batch_size": True}, TypeError, "batch_size must be a whole number"),
    "rng_string": ({"rng": "0"}, TypeError, "rng is '0': pass a whole number"),
    "gtol": ({"gtol": -1e-3}, ValueError, "gtol is -0.001"),
    "rng_negative": ({"rng": -1}, TypeError, "rng is -1"),
    "callback": ({"callback": 3}, TypeError, "callback is 3: pass a function"),
    "variant": ({"variant": "fast"}, ValueError, "variant 'fast' is not known"),
    "threads": ({"threads": 0}, ValueError, "threads is 0"),
    "X_nan": ({"X": np.full((40, 3), np.nan)}, ValueError, "X holds nan at row 0, column 0"),
    "y_short": ({"y": [1]}, ValueError, "y has 1 values and X has 40 rows"),
    "sample_weight": ({"sample_weight": -np.ones(40)}, ValueError, r"sample_weight\[0\] is -1.0"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_refusals(problem, case):
    wrong, error, sentence = REFUSED[case]
    X, y, *_ = data(problem)
    with pytest.raises(error, match=sentence):
        PROBLEMS[problem].descend(**{"X": X, "y": y, "learning_rate": 0.1} | wrong)
