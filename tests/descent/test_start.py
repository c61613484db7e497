"""The parameters that a descent starts from, and starts that are refused."""

import numpy as np
import pytest

from kernels import linear, softmax, two_layer
from tests.helpers.comparison import bits
from tests.helpers.descents import FIXED, data


def test_starts():
    X, y = data("softmax")[:2]
    zero = softmax.descend(X, y, **FIXED, max_iter=1)
    assert zero.losses[0] == pytest.approx(np.log(4), rel=1e-14)
    assert bits(zero) == bits(
        softmax.descend(X, y, W=np.zeros((3, 4)), b=np.zeros(4), **FIXED, max_iter=1)
    )
    assert softmax.descend(X, y, W=np.zeros((3, 6)), **FIXED, max_iter=1).b.shape == (6,)
    assert softmax.descend(X, y, fit_bias=False, **FIXED, max_iter=1).b is None
    settings = {**FIXED, "max_iter": 1, "hidden": 7}
    net = two_layer.descend(X, y, **settings, rng=1)
    assert net.W1.shape == (3, 7)
    assert net.W2.shape == (7, 4)
    same = two_layer.descend(X, y, **settings, rng=1)
    other = two_layer.descend(X, y, **settings, rng=2)
    assert bits(net) == bits(same) != bits(other)
    wide = []
    two_layer.descend(
        X,
        y,
        **settings | {"hidden": 500},
        std=3.0,
        callback=lambda i, loss, p: wide.append(p) or True,
    )
    for W in (wide[0].W1, wide[0].W2):  # of 1500 numbers and more: within 5 standard errors
        assert np.std(W) == pytest.approx(3, rel=0.1)
        assert abs(np.mean(W)) < 0.4
    assert not wide[0].b1.any()
    for given in ({"W1": np.ones((3, 5))}, {"W2": np.ones((5, 6))}):  # the sizes of the rest follow
        made = two_layer.descend(X, y, **FIXED, max_iter=1, **given)
        assert made.b1.shape == (5,) == made.W1.shape[1:] == made.W2.shape[:1]
        assert made.b2.shape == made.W2.shape[1:] == (6 if "W2" in given else 4,)
    held = two_layer.descend(X, y, **FIXED, max_iter=9, fit_bias=False)
    assert not held.b1.any()
    assert not held.b2.any()
    assert held.W1.any()


def test_refusals_of_starts():
    X, y, W, b = data("softmax")
    fit = softmax.descend(X, y, **FIXED, max_iter=1)
    for settings, error, sentence in (
        ({"start": fit, "W": W}, ValueError, "start and W or b were both given"),
        ({"start": W}, TypeError, "start must be what descend returned, with W, b"),
        ({"W": W[:2]}, ValueError, "W must have shape"),
        ({"b": b, "W": W, "fit_bias": False}, ValueError, "fit_bias is False"),
        ({"W": W[:, :2]}, ValueError, "there are 2 classes"),
    ):
        with pytest.raises(error, match=sentence):
            softmax.descend(X, y, learning_rate=0.1, **settings)
    with pytest.raises(ValueError, match=r"y\[0\] is -1"):
        softmax.descend(X, np.where(y > 1, 1, -1), W=None, learning_rate=0.1) if y[
            0
        ] <= 1 else softmax.descend(X, np.where(y > 1, -1, 1), learning_rate=0.1)
    with pytest.raises(
        ValueError, match=r"the highest label in y is 1000000000, with 40 samples: pass np\.unique"
    ):
        softmax.descend(X, np.where(y > 1, 10**9, 0), learning_rate=0.1)
    for settings in (
        {"hidden": 0},
        {"std": -1},
        {"validation": (X[:, :2], y)},
        {"validation": (X, y + 9)},
    ):
        with pytest.raises(ValueError, match=r"hidden is 0|std is -1|validation X|labels must be"):
            two_layer.descend(X, y, learning_rate=0.1, max_iter=1, tol=0, **settings)
    X[0] = 1e300
    with pytest.raises(FloatingPointError, match="too large for float64"):
        linear.descend(X, y, w=[1e300, 0, 0], learning_rate=0.1)
