"""Two-layer network: a hidden layer with ReLU, and the cross-entropy of softmax scores.

::

    hidden    a = x W1 + b1,   h = max(0, a)     X: (N, D), W1: (D, H), b1: (H,)
    scores    z = h W2 + b2                      W2: (H, K), b2: (K,)
    softmax   p_k = exp(z_k) / Z,   Z = Σ_j exp(z_j)
    loss      ℓ = -Σ_k t_k log p_k               t_k = [k = y],   y: (N,), whole numbers 0..K-1
                                                 or t = y,        y: (N, K), sums of 1
    residual  r_k = ∂ℓ/∂z_k = p_k - t_k
    gradient  ∂ℓ/∂W2 = hᵀ r,   ∂ℓ/∂b2 = r
    backward  g = ∂ℓ/∂a = (r W2ᵀ) [h > 0]        the derivative of max(0, ·) at 0 is taken as 0
    gradient  ∂ℓ/∂W1 = xᵀ g,   ∂ℓ/∂b1 = g

The Hessian times (V1, v1, V2, v2) is the derivative R of the gradient in that direction:

::

    forward   Rh = (x V1 + v1) [h > 0],   Rz = Rh W2 + h V2 + v2
    residual  Rr_k = p_k (Rz_k - Σ_j p_j Rz_j)
    backward  Rg = (Rr W2ᵀ + r V2ᵀ) [h > 0]
    product   xᵀ Rg,   Rg,   Rhᵀ r + hᵀ Rr,   Rr

These formulas are for one sample. The loss of a batch is the average Σ s_n ℓ_n / Σ s_n plus the
penalty ½ reg (‖W1‖² + ‖W2‖²) (the biases are not penalised); the gradient is averaged and penalised
in the same way.

References
----------
Bishop, Pattern Recognition and Machine Learning, 2006, section 5.3.

Examples
--------
>>> X, W1, b1, W2, b2 = [[1.0, 2.0]], [[1.0], [1.0]], [0.0], [[0.0, 0.0]], [0.0, 0.0]
>>> loss, (dW1, db1, dW2, db2) = loss_and_gradient(X, [0], W1, b1, W2, b2)
>>> round(loss, 6), dW1.tolist(), db1.tolist(), dW2.tolist(), db2.tolist()
(0.693147, [[0.0], [0.0]], [0.0], [[-1.5, 1.5]], [-0.5, 0.5])
>>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
>>> fit = descend(X, y, hidden=8, std=1.0, learning_rate=0.5, max_iter=1000, tol=0)
>>> predict(X, fit.W1, fit.b1, fit.W2, fit.b2).tolist()
[0, 1, 1, 0]
"""

import math

import numpy as np

from .engine.average import average as averaged
from .engine.jit import jit
from .problem import Problem
from .softmax import (
    cross_entropy,
    cross_entropy_numpy,
    cross_entropy_product,
    cross_entropy_product_numpy,
    most_probable,
    softmax,
    target,
)
from .validate import CLASSES


@jit
def sums_loop(X, y, s, W1, b1, W2, b2):
    """Return Σ s ℓ, Σ s and all Σ s ∂ℓ/∂θ: a loop over samples, as in the formulas above."""
    (N, D), (H, K) = X.shape, W2.shape
    loss, weight = 0.0, 0.0
    dW1, db1, dW2, db2 = np.zeros_like(W1), np.zeros_like(b1), np.zeros_like(W2), np.zeros_like(b2)
    a, h, g = np.empty_like(b1), np.empty_like(b1), np.empty_like(b1)
    z, p, r = np.empty_like(b2), np.empty_like(b2), np.empty_like(b2)
    for n in range(N):
        for j in range(H):
            a[j] = b1[j]
            for d in range(D):
                a[j] += X[n, d] * W1[d, j]
            h[j] = a[j] * (a[j] > 0)
        for k in range(K):
            z[k] = b2[k]
            for j in range(H):
                z[k] += h[j] * W2[j, k]
        highest, Z = z.max(), 0.0
        for k in range(K):
            p[k] = math.exp(z[k] - highest)  # at most 1, since z - highest <= 0
            Z += p[k]
        for k in range(K):
            t = target(y, n, k)
            loss -= s[n] * (t * (z[k] - highest - math.log(Z)))
            r[k] = p[k] / Z - t
            db2[k] += s[n] * r[k]
        weight += s[n]
        for j in range(H):
            g[j] = 0.0
            for k in range(K):
                dW2[j, k] += s[n] * h[j] * r[k]
                g[j] += r[k] * W2[j, k]
            g[j] *= h[j] > 0
            db1[j] += s[n] * g[j]
        for d in range(D):
            for j in range(H):
                dW1[d, j] += s[n] * g[j] * X[n, d]
    return loss, weight, dW1, db1, dW2, db2


@jit
def update_loop(X, y, s, W1, b1, W2, b2, learning_rate, reg):  # noqa: PLR0913
    """Return the parameters after one step of gradient descent with the averaged gradient."""
    (D, H), K = W1.shape, len(b2)
    _, weight, dW1, db1, dW2, db2 = sums_loop(X, y, s, W1, b1, W2, b2)
    W1, b1, W2, b2 = W1.copy(), b1.copy(), W2.copy(), b2.copy()
    for j in range(H):
        for d in range(D):
            W1[d, j] -= learning_rate * averaged(dW1[d, j], weight, reg, W1[d, j])
        b1[j] -= learning_rate * averaged(db1[j], weight, 0.0, b1[j])
        for k in range(K):
            W2[j, k] -= learning_rate * averaged(dW2[j, k], weight, reg, W2[j, k])
    for k in range(K):
        b2[k] -= learning_rate * averaged(db2[k], weight, 0.0, b2[k])
    return W1, b1, W2, b2


def forward_numpy(X, W1, b1, W2, b2):
    """Return the hidden units h (N, H) and the scores z (N, K) of all samples."""
    h = X @ W1
    h += b1
    h *= h > 0
    z = h @ W2
    z += b2
    return h, z


def sums_numpy(X, y, s, W1, b1, W2, b2):
    """Return the sums of `sums_loop`, vectorised over samples."""
    h, z = forward_numpy(X, W1, b1, W2, b2)
    loss, r = cross_entropy_numpy(z, y, s)
    g = r @ W2.T
    g *= h > 0
    return loss, s.sum(dtype=float), X.T @ g, g.sum(axis=0), h.T @ r, r.sum(axis=0)


def product_numpy(X, y, s, W1, b1, W2, b2, *vector):
    """Return the check, Σ s and all Σ s (∂²ℓ/∂θ²) V, vectorised over samples."""
    (V1, v1, V2, v2), (h, z) = vector, forward_numpy(X, W1, b1, W2, b2)
    Rh = (X @ V1 + v1) * (h > 0)
    check, Rr, r = cross_entropy_product_numpy(z, Rh @ W2 + h @ V2 + v2, y, s)
    Rg = (Rr @ W2.T + r @ V2.T) * (h > 0)
    weight, of_W2 = s.sum(dtype=float), Rh.T @ r + h.T @ Rr
    return check, weight, X.T @ Rg, Rg.sum(axis=0), of_W2, Rr.sum(axis=0)


def scores_numpy(X, W1, b1, W2, b2):
    """Return the scores max(0, X W1 + b1) W2 + b2."""
    return forward_numpy(X, W1, b1, W2, b2)[1]


PROBLEM = Problem(
    "two_layer",
    parameters={"W1": "DH", "b1": "H", "W2": "HK", "b2": "K"},
    y=CLASSES,
    loop=sums_loop,
    numpy=sums_numpy,
    residual=cross_entropy,  # the engine adds the hidden layer
    second_derivative=cross_entropy_product,  # and there, too
    product=product_numpy,
    scores=scores_numpy,
    probabilities=softmax,
    predict=most_probable,
    doc=__doc__,
)
globals().update(PROBLEM.public)  # loss_and_gradient, descend, ...: see two_layer.pyi
