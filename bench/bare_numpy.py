"""Loss and gradient in bare NumPy as an expert writes them by hand: the baseline of the benchmark.

FROZEN. Nobody edits this file for a result: all ratios are to it, and reports of different versions
are compared through it, which says nothing once it moves with the code that it judges. A test holds
the file to its recorded hash, and its numbers to the oracle.

It checks nothing and imports nothing of `kernels`. Arrays have one float dtype, in which the
arithmetic runs; labels are int64 classes, or -1 and +1 in X's dtype. It is stable at any score.
Scores of several classes are kept as (K, N), a class in a row, since NumPy is slow where it takes
maxima and sums over a short last axis.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Result = tuple[float, tuple[Any, ...]]  # loss, gradient


def softmax(X: Array, y: Array, W: Array, b: Array, reg: float) -> Result:
    N = len(y)
    z = W.T @ X.T
    z += b[:, None]
    loss = _cross_entropy(z, y) / N + 0.5 * reg * float(np.vdot(W, W))
    dW = X.T @ z.T
    dW /= N
    dW += reg * W
    return loss, (dW, z.sum(axis=1) / N)


def logistic(X: Array, y: Array, w: Array, b: float, reg: float) -> Result:
    N = len(y)
    t = X @ w
    t += b
    t *= -y
    losses = np.abs(t)  # log(1 + exp(t)) = max(t, 0) + log1p(exp(-|t|))
    np.negative(losses, out=losses)
    np.exp(losses, out=losses)
    np.log1p(losses, out=losses)
    losses += np.maximum(t, 0)
    loss = float(losses.sum()) / N + 0.5 * reg * float(w @ w)
    t -= losses
    r = np.exp(t, out=t)  # 1 / (1 + exp(-t)) = exp(t - log(1 + exp(t)))
    r *= y
    dw = r @ X
    dw /= -N
    dw += reg * w
    return loss, (dw, -float(r.sum()) / N)


def linear(X: Array, y: Array, w: Array, b: float, reg: float) -> Result:
    N = len(y)
    r = X @ w
    r += b
    r -= y
    loss = 0.5 * float(r @ r) / N + 0.5 * reg * float(w @ w)
    dw = r @ X
    dw /= N
    dw += reg * w
    return loss, (dw, float(r.sum()) / N)


def two_layer(X: Array, y: Array, W1: Array, b1: Array, W2: Array, b2: Array, reg: float) -> Result:
    N = len(y)
    h = X @ W1
    h += b1
    np.maximum(h, 0, out=h)
    z = W2.T @ h.T
    z += b2[:, None]
    loss = _cross_entropy(z, y) / N + 0.5 * reg * float(np.vdot(W1, W1) + np.vdot(W2, W2))
    dW2 = h.T @ z.T
    dW2 /= N
    dW2 += reg * W2
    g = z.T @ W2.T
    g *= h > 0
    dW1 = X.T @ g
    dW1 /= N
    dW1 += reg * W1
    return loss, (dW1, g.sum(axis=0) / N, dW2, z.sum(axis=1) / N)


def _cross_entropy(z: Array, y: Array) -> float:
    """Overwrite the scores z (K, N) by p - onehot(y); the sum of the losses."""
    N = len(y)
    flat, at = z.ravel(), y * N + np.arange(N)  # faster than z[y, np.arange(N)]
    z -= z.max(axis=0)
    z_y = flat[at]
    np.exp(z, out=z)
    Z = z.sum(axis=0)
    z /= Z
    flat[at] -= 1
    return float(np.log(Z).sum()) - float(z_y.sum())
