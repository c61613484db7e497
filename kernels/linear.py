"""Linear regression: half the squared error.

::

    score     z = x·w + b                        X: (N, D), w: (D,), b: a number
    residual  r = z - y                          y: (N,), real numbers
    loss      ℓ = ½ r²
    gradient  ∂ℓ/∂w = r x,   ∂ℓ/∂b = r
    Hessian   times (v, c): (t x, t),   t = (∂²ℓ/∂z²) (x·v + c),   ∂²ℓ/∂z² = 1

These formulas are for one sample. The loss of a batch is the average Σ s_n ℓ_n / Σ s_n, which is
SSE / 2N if all weights s_n are 1, plus the penalty ½ reg ‖w‖² (the bias is not penalised); the
gradient is averaged and penalised in the same way.

Of several targets, y: (N, K) with w: (D, K) and b: (K,), the loss of a sample is the sum of theirs,
½ ‖r‖².

References
----------
Bishop, Pattern Recognition and Machine Learning, 2006, section 3.1.

Examples
--------
>>> loss, (dw, db) = loss_and_gradient([[1.0, 2.0]], [3.0], [0.0, 0.0], 0.0)
>>> loss, dw.tolist(), db
(4.5, [-3.0, -6.0], -3.0)
>>> fit = descend([[1.0], [2.0], [3.0]], [2.0, 3.0, 4.0], learning_rate=0.2, tol=1e-9)
>>> fit.converged, fit.w.round(6).tolist(), round(fit.b, 6)
(True, [1.0], 1.0)
"""

import numpy as np

from .engine.average import average as averaged
from .engine.jit import device_function, jit
from .engine.tile_pass import pointwise
from .problem import Problem
from .validate import REAL, REAL_COLUMNS
from .variants import Variants


@jit
def sums_loop(X, y, s, w, b):
    """Return Σ s ℓ, Σ s, Σ s ∂ℓ/∂w and Σ s ∂ℓ/∂b: a loop over samples, as in the formulas above."""
    N, D = X.shape
    loss, weight = 0.0, 0.0
    dw, db = np.zeros_like(w), 0.0
    for n in range(N):
        z = b
        for d in range(D):
            z += X[n, d] * w[d]
        r = z - y[n]
        loss += s[n] * 0.5 * r * r
        weight += s[n]
        db += s[n] * r
        for d in range(D):
            dw[d] += s[n] * r * X[n, d]
    return loss, weight, dw, db


@jit
def sums_loop_of_several(X, y, s, w, b):
    """Return the sums of `sums_loop` for several targets: y (N, K), w (D, K) and b (K,)."""
    (N, D), K = X.shape, len(b)
    loss, weight, dw, db = 0.0, 0.0, np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        weight += s[n]
        for k in range(K):
            z = b[k]
            for d in range(D):
                z += X[n, d] * w[d, k]
            r = z - y[n, k]
            loss += s[n] * 0.5 * r * r
            db[k] += s[n] * r
            for d in range(D):
                dw[d, k] += s[n] * r * X[n, d]
    return loss, weight, dw, db


@jit
def update_loop(X, y, s, w, b, learning_rate, reg):
    """Return the parameters after one step of gradient descent with the averaged gradient.

    Because of the average, the length of the step does not grow with N.
    """
    _, weight, dw, db = sums_loop(X, y, s, w, b)
    w = w.copy()
    for d in range(len(w)):
        w[d] -= learning_rate * averaged(dw[d], weight, reg, w[d])
    return w, b - learning_rate * averaged(db, weight, 0.0, b)


def sums_numpy(X, y, s, w, b):
    """Return the sums of `sums_loop`, vectorised over samples, of one target or several."""
    r = X @ w
    r += b
    r -= y
    sr = (s * r.T).T
    loss = 0.5 * np.vdot(sr, r)
    return loss, s.sum(dtype=float), X.T @ sr, sr.sum(axis=0)


@device_function
def squared_error(z, y):
    """Return ℓ and ∂ℓ/∂z of one sample, for the tiled kernel."""
    r = z - y
    return np.float32(0.5) * r * r, r  # a float64 promotes float32


PROBLEM = Problem(
    "linear",
    parameters={"w": "D", "b": ""},
    y=REAL,
    loop=sums_loop,
    numpy=sums_numpy,
    residual=squared_error,
    curvature=1.0,
    second_derivative=1.0,
    doc=__doc__,
    several=Variants(
        {"w": "DK", "b": "K"},
        REAL_COLUMNS,
        sums_loop_of_several,
        sums_numpy,
        pointwise(squared_error),
    ),
)
globals().update(PROBLEM.public)  # loss_and_gradient, descend, ...: see linear.pyi
