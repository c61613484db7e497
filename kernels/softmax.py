"""Softmax regression: cross-entropy of linear scores.

::

    scores    z = x W + b                        X: (N, D), W: (D, K), b: (K,)
    softmax   p_k = exp(z_k) / Z,   Z = Σ_j exp(z_j)
    loss      ℓ = -Σ_k t_k log p_k               t_k = [k = y],   y: (N,), whole numbers 0..K-1
                                                 or t = y,        y: (N, K), sums of 1
    residual  r_k = ∂ℓ/∂z_k = p_k - t_k
    gradient  ∂ℓ/∂W = xᵀ r,   ∂ℓ/∂b = r
    Hessian   times (V, v): xᵀ q,   q,   q_k = p_k (t_k - Σ_j p_j t_j) with t = x V + v

These formulas are for one sample. The loss of a batch is the average Σ s_n ℓ_n / Σ s_n plus the
penalty ½ reg ‖W‖² (the bias is not penalised); the gradient is averaged and penalised in the same
way.

References
----------
Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.4, eq. 4.108-4.109.

Examples
--------
>>> loss, (dW, db) = loss_and_gradient([[1.0, 2.0]], [0], [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
>>> round(loss, 6), dW.tolist(), db.tolist()
(0.693147, [[-0.5, 0.5], [-1.0, 1.0]], [-0.5, 0.5])
>>> fit = descend([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], learning_rate=0.5)
>>> fit.converged, (fit.W[:, 1] - fit.W[:, 0]).round(3).tolist()
(True, [0.908])
"""

import math

import numpy as np
from numba.extending import register_jitable

from .engine.average import average as averaged
from .engine.jit import device_function, jit
from .engine.summation import dot
from .engine.vmath import exp, log
from .problem import Problem
from .validate import CLASSES


@register_jitable
def target(y, n, k):
    """Return t_k of sample n: y has its label, or the probabilities of all classes."""
    if y.ndim == 1:
        return k == y[n]
    return y[n, k]


@jit
def sums_loop(X, y, s, W, b):
    """Return Σ s ℓ, Σ s, Σ s ∂ℓ/∂W and Σ s ∂ℓ/∂b: a loop over samples, as in the formulas above."""
    (N, D), K = X.shape, len(b)
    loss, weight, dW, db = 0.0, 0.0, np.zeros_like(W), np.zeros_like(b)
    z, p, r = np.empty_like(b), np.empty_like(b), np.empty_like(b)
    for n in range(N):
        for k in range(K):
            z[k] = b[k]
            for d in range(D):
                z[k] += X[n, d] * W[d, k]
        highest, Z = z.max(), 0.0
        for k in range(K):
            p[k] = math.exp(z[k] - highest)  # at most 1, since z - highest <= 0
            Z += p[k]
        weight += s[n]
        for k in range(K):
            t = target(y, n, k)
            log_p = z[k] - highest - math.log(Z)
            loss -= s[n] * (t * log_p)
            p[k] /= Z
            r[k] = p[k] - t
            db[k] += s[n] * r[k]
        for d in range(D):
            for k in range(K):
                dW[d, k] += s[n] * r[k] * X[n, d]
    return loss, weight, dW, db


@jit
def update_loop(X, y, s, W, b, learning_rate, reg):
    """Return the parameters after one step of gradient descent with the averaged gradient."""
    _, weight, dW, db = sums_loop(X, y, s, W, b)
    W, b = W.copy(), b.copy()
    for k in range(len(b)):
        b[k] -= learning_rate * averaged(db[k], weight, 0.0, b[k])
        for d in range(len(W)):
            W[d, k] -= learning_rate * averaged(dW[d, k], weight, reg, W[d, k])
    return W, b


def sums_numpy(X, y, s, W, b):
    """Return the sums of `sums_loop`, vectorised over samples."""
    z = X @ W
    z += b
    loss, r = cross_entropy_numpy(z, y, s)
    return loss, s.sum(dtype=float), X.T @ r, r.sum(axis=0)


def cross_entropy_numpy(z, y, s):
    """Return Σ s ℓ of the scores z (N, K), and s r, which overwrites them."""
    rows = np.arange(len(y))
    z -= z.max(axis=1, keepdims=True)  # so that no exp overflows
    t_log_p = z[rows, y] if y.ndim == 1 else (y * z).sum(axis=1)
    t_log_p += 0 * z.min()  # nan if a score overflowed, which a p of 0 would hide
    np.exp(z, out=z)
    Z = z.sum(axis=1)
    t_log_p -= np.log(Z)
    z /= Z[:, None]
    if y.ndim == 1:
        z[rows, y] -= 1
    else:
        z -= y
    z *= s[:, None]
    return -(s * t_log_p).sum(dtype=float), z


@device_function(fastmath={"contract"})
def improbable(y, n, scratch):
    """Return how many of n columns of y, (K, n), are negative somewhere or do not sum to 1.

    The sum of what `validate` has accepted is off by 2 K eps at most, its rounding included, and
    smoothing and a sum in another order add no more than that.
    """
    total, least, invalid = scratch[0], scratch[1], 0
    tolerance = scratch.dtype.type(4 * len(y) * np.finfo(scratch.dtype).eps)
    for i in range(n):
        total[i] = -1
        least[i] = 0
    for k in range(len(y)):
        for i in range(n):
            total[i] += y[k, i]
            least[i] = min(least[i], y[k, i])
    for i in range(n):
        invalid += (least[i] < 0) | (not abs(total[i]) <= tolerance)
    return invalid


@device_function(fastmath={"contract"})
def cross_entropy(S, y, s, scratch, rest, partial, want_loss, want_gradient):  # noqa: C901
    """Return Σ s ℓ of a tile and the number of invalid y; overwrite the scores S (K, n) by s r.

    This is the residual of the tiled kernel, see `engine.tile_pass`. A column is a sample, so that
    the inner loops are vectorised over samples; y has labels (n,), or the probabilities (K, n).
    """
    K, n, zero, loss, invalid = len(S), len(s), S.dtype.type(0), 0.0, 0
    highest, Z, losses = scratch[0], scratch[1], scratch[2]
    for i in range(n):
        highest[i] = S[0, i]
        Z[i] = zero * S[0, i]  # nan if a score overflowed, which a p of 0 would hide
    for k in range(1, K):
        for i in range(n):
            highest[i] = max(highest[i], S[k, i])
            Z[i] += zero * S[k, i]
    if want_loss and y.ndim == 1:
        for i in range(n):
            losses[i] = Z[i] + highest[i] - S[y[i] if 0 <= y[i] < K else 0, i]
    if want_loss and y.ndim == 2:
        for i in range(n):
            losses[i] = Z[i]
        for k in range(K):
            for i in range(n):
                losses[i] += y[k, i] * (highest[i] - S[k, i])
    for k in range(K):
        for i in range(n):
            S[k, i] = exp(S[k, i] - highest[i])  # at most 1
            Z[i] += S[k, i]
    if want_loss:
        for i in range(n):
            losses[i] += log(Z[i])
        loss = dot(s, losses)
    if want_gradient:
        for i in range(n):
            Z[i] = s[i] / Z[i]
        for k in range(K):
            for i in range(n):
                S[k, i] *= Z[i]
    if y.ndim == 2:
        for k in range(K):
            for i in range(n):
                S[k, i] -= s[i] * y[k, i]
        return loss, improbable(y, n, scratch)
    for i in range(n):
        if 0 <= y[i] < K:
            S[y[i], i] -= s[i]
        else:
            invalid += 1
    return loss, invalid


def product_numpy(X, y, s, W, b, VW, Vb):
    """Return the check, Σ s and Σ s (∂²ℓ/∂θ²) V for W and b, vectorised over samples."""
    check, q, _ = cross_entropy_product_numpy(X @ W + b, X @ VW + Vb, y, s)
    return check, s.sum(dtype=float), X.T @ q, q.sum(axis=0)


def cross_entropy_product_numpy(z, t, y, s):
    """Return 0 (nan if a score overflowed), s q and s r of the scores z, t in the direction."""
    p = softmax(z)
    q = t - (p * t).sum(axis=1, keepdims=True)
    q *= p
    if y.ndim == 1:
        p[np.arange(len(y)), y] -= 1
    else:
        p -= y
    return 0 * z.min(), s[:, None] * q, s[:, None] * p


@device_function(fastmath={"contract"})
def cross_entropy_product(S, y, s, scratch, rest, partial, want_loss, want_gradient):
    """Overwrite the scores of a tile, the first half of S (2K, n), by s q, and the second by s r.

    This is the residual of a Hessian-vector product, see `engine.tile_pass`: the second half are
    the scores t in the direction; s r is for a layer below. Returns the number of invalid y, too.
    """
    K, n, zero, invalid = len(S) // 2, len(s), S.dtype.type(0), 0
    highest, Z, mean = scratch[0], scratch[1], scratch[2]
    for i in range(n):
        highest[i] = S[0, i]
        Z[i] = zero
        mean[i] = zero
    for k in range(K):
        for i in range(n):
            highest[i] = max(highest[i], S[k, i])
            Z[i] += zero * S[k, i]  # nan if a score overflowed, which a p of 0 would hide
    for k in range(K):
        for i in range(n):
            S[k, i] = exp(S[k, i] - highest[i])
            Z[i] += S[k, i]
            mean[i] += S[k, i] * S[K + k, i]
    for i in range(n):
        mean[i] /= Z[i]
        Z[i] = s[i] / Z[i]
    for k in range(K):
        for i in range(n):
            sp = S[k, i] * Z[i]
            S[k, i] = sp * (S[K + k, i] - mean[i])
            S[K + k, i] = sp
    if y.ndim == 2:
        for k in range(K):
            for i in range(n):
                S[K + k, i] -= s[i] * y[k, i]
        return 0.0, improbable(y, n, scratch)
    for i in range(n):
        if 0 <= y[i] < K:
            S[K + y[i], i] -= s[i]
        else:
            invalid += 1
    return 0.0, invalid


def softmax(z):
    """The probabilities of the classes, shape (N, K): softmax of the scores; each row sums to 1."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def most_probable(z):
    """The most probable class of each sample, shape (N,); the first in a tie."""
    return z.argmax(axis=1)


PROBLEM = Problem(
    "softmax",
    parameters={"W": "DK", "b": "K"},
    y=CLASSES,
    loop=sums_loop,
    numpy=sums_numpy,
    residual=cross_entropy,
    curvature=1 / 2,
    second_derivative=cross_entropy_product,
    product=product_numpy,
    probabilities=softmax,
    predict=most_probable,
    doc=__doc__,
)
globals().update(PROBLEM.public)  # loss_and_gradient, descend, ...: see softmax.pyi
