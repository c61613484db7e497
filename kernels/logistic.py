"""Logistic regression with labels -1 and +1.

::

    score     z = x·w + b                        X: (N, D), w: (D,), b: a number
    margin    m = y z                            y: (N,), each -1 or +1
    loss      ℓ = log(1 + exp(-m))
    residual  r = ∂ℓ/∂z = -y p,   p = 1 / (1 + exp(m))
    gradient  ∂ℓ/∂w = r x,   ∂ℓ/∂b = r
    Hessian   times (v, c): (t x, t),   t = (∂²ℓ/∂z²) (x·v + c),   ∂²ℓ/∂z² = p (1 - p)

These formulas are for one sample. The loss of a batch is the average Σ s_n ℓ_n / Σ s_n plus the
penalty ½ reg ‖w‖² (the bias is not penalised); the gradient is averaged and penalised in the same
way.

References
----------
Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.2 and exercise 7.6.

Examples
--------
>>> loss, (dw, db) = loss_and_gradient([[1.0, 2.0]], [1], [0.0, 0.0], 0.0)
>>> round(loss, 6), dw.tolist(), db
(0.693147, [-0.5, -1.0], -0.5)
>>> fit = descend([[0.0], [1.0], [2.0], [3.0]], [-1, 1, -1, 1], learning_rate=0.5)
>>> fit.converged, fit.w.round(3).tolist(), round(fit.b, 3)
(True, [0.908], -1.362)
"""

import math

import numpy as np

from .engine.average import average as averaged
from .engine.jit import device_function, jit
from .engine.vmath import log1p_exp_and_sigmoid
from .problem import Problem
from .validate import SIGNS


@jit
def sums_loop(X, y, s, w, b):
    """Return Σ s ℓ, Σ s, Σ s ∂ℓ/∂w and Σ s ∂ℓ/∂b: a loop over samples, as in the formulas above."""
    N, D = X.shape
    loss, weight, dw, db = 0.0, 0.0, np.zeros_like(w), 0.0
    for n in range(N):
        z = b
        for d in range(D):
            z += X[n, d] * w[d]
        m = y[n] * z
        e = math.exp(-abs(m))  # at most 1 for any margin
        p = (e if m >= 0 else 1.0) / (1.0 + e)
        r = -y[n] * p
        loss += s[n] * (math.log1p(e) - m * (m < 0))
        weight += s[n]
        for d in range(D):
            dw[d] += s[n] * r * X[n, d]
        db += s[n] * r
    return loss, weight, dw, db


@jit
def update_loop(X, y, s, w, b, learning_rate, reg):
    """Return the parameters after one step of gradient descent with the averaged gradient."""
    _, weight, dw, db = sums_loop(X, y, s, w, b)
    new_b, new_w = b - learning_rate * averaged(db, weight, 0.0, b), np.empty_like(w)
    for d in range(len(w)):
        new_w[d] = w[d] - learning_rate * averaged(dw[d], weight, reg, w[d])
    return new_w, new_b


def sums_numpy(X, y, s, w, b):
    """Return the sums of `sums_loop`, vectorised over samples."""
    m = X @ w
    m += b
    m *= y
    e = np.exp(-np.abs(m))
    losses = np.log1p(e)
    losses -= m * (m < 0)
    r = np.where(m >= 0, e, 1)
    r /= e + 1
    r *= -y
    r *= s
    return (s * losses).sum(dtype=float), s.sum(dtype=float), r @ X, r.sum()


@device_function
def log_loss(z, y):
    """Return ℓ and ∂ℓ/∂z of one sample, for the tiled kernel; nan if y is neither -1 nor +1."""
    label = y if y * y == 1 else y * np.float32(np.nan)  # a float32 nan promotes no y
    loss, p = log1p_exp_and_sigmoid(-label * z)
    return loss, -label * p


@device_function
def second_derivative(z, y):
    """Return ∂²ℓ/∂z² of one sample, p (1 - p), from the smaller of p and 1 - p."""
    _, p = log1p_exp_and_sigmoid(-abs(z))
    return p - p * p


def sigmoid(z):
    """The probability of the label +1 for each sample, 1 / (1 + exp(-(X w + b))), shape (N,)."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def more_probable(z):
    """The more probable label of each sample, +1 or -1, shape (N,), -1 in a tie."""
    return np.where(z > 0, 1, -1)


PROBLEM = Problem(
    "logistic",
    parameters={"w": "D", "b": ""},
    y=SIGNS,
    loop=sums_loop,
    numpy=sums_numpy,
    residual=log_loss,
    curvature=1 / 4,
    second_derivative=second_derivative,
    probabilities=sigmoid,
    predict=more_probable,
    doc=__doc__,
)
globals().update(PROBLEM.public)  # loss_and_gradient, descend, ...: see logistic.pyi
