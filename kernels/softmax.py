"""Softmax regression: cross-entropy of linear scores.

    scores    z = x W + b                        X: (N, D), W: (D, K), b: (K,)
    loss      -log p_y,   p_k = exp(z_k) / Σ_j exp(z_j)
    residual  r_k = ∂loss/∂z_k = p_k - [k = y]   y: (N,), whole numbers 0..K-1
    gradient  dW = xᵀ r,   db = r

of one sample; over a batch the average, Σ s_n (...)_n / Σ s_n, plus ½ reg ‖W‖² (the bias is not
penalised). Formula: Bishop, Pattern Recognition and Machine Learning, 2006, eq. 4.108-4.109.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import ArrayLike, NDArray

from kernels import _check, _tiles, descent
from kernels._compile import compiled, given, part
from kernels._math import exp, log

Array = NDArray[Any]


class Gradient(NamedTuple):
    """Averaged gradient, each part of its parameter's shape; `b` is None where no bias was given."""

    W: Array
    b: Array | None


@compiled
def loss_and_gradient_loop(X, y, W, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """One sample at a time, line by line as in the formula."""
    N, D = X.shape
    K = W.shape[1]
    loss, total = 0.0, 0.0
    dW = np.zeros((D, K), X.dtype)
    db = np.zeros(K, X.dtype)
    z = np.empty(K, X.dtype)
    for n in range(N):
        for k in range(K):
            z[k] = 0.0 if b is None else b[k]
            for d in range(D):
                z[k] += X[n, d] * W[d, k]
        highest = z.max()
        z_y = z[y[n]] - highest
        Z = 0.0 * z.min()  # nan if a score overflowed: as a probability of 0 it would not be seen
        for k in range(K):
            z[k] = math.exp(z[k] - highest)  # at most 1, whatever the scores
            Z += z[k]
        s = 1.0 if sample_weight is None else sample_weight[n]
        total += s
        if want_loss:
            loss += s * (math.log(Z) - z_y)
        if want_gradient:
            for k in range(K):
                z[k] = s * (z[k] / Z - (k == y[n]))
                db[k] += z[k]
            for d in range(D):
                for k in range(K):
                    dW[d, k] += X[n, d] * z[k]
    loss /= total
    db /= total
    for d in range(D):
        for k in range(K):
            loss += 0.5 * reg * W[d, k] * W[d, k]
            dW[d, k] = dW[d, k] / total + reg * W[d, k]
    return float(loss), Gradient(dW, given(b, db))


@compiled
def loss_loop(X, y, W, b, reg=0.0, sample_weight=None):
    """The loss of `loss_and_gradient_loop` alone."""
    return loss_and_gradient_loop(X, y, W, b, reg, sample_weight, True, False)[0]


@compiled
def gradient_loop(X, y, W, b, reg=0.0, sample_weight=None):
    """The gradient of `loss_and_gradient_loop` alone."""
    return loss_and_gradient_loop(X, y, W, b, reg, sample_weight, False, True)[1]


def loss_and_gradient_numpy(X, y, W, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """The same as `loss_and_gradient_loop`, vectorised."""
    z = X @ W
    if b is not None:
        z += b
    losses = cross_entropy_numpy(z, y, want_loss)
    loss = 0.5 * float(np.vdot(reg * W, W))
    if want_loss:
        loss += float(np.average(losses.astype(np.float64), weights=sample_weight))
    if not want_gradient:
        return loss, None
    total = len(y) if sample_weight is None else sample_weight.sum()
    if sample_weight is not None:
        z *= sample_weight[:, None]
    dW = X.T @ z
    dW /= total
    dW += reg * W
    return loss, Gradient(dW, None if b is None else z.sum(axis=0) / total)


def cross_entropy_numpy(z, y, want_loss):
    """Overwrite the scores z (N, K) by the residuals; give the N losses if they are wanted."""
    _check.show_overflow(z)
    rows = np.arange(len(y))
    z_y = z[rows, y] if want_loss else None
    highest, Z = softmax_numpy(z)
    z[rows, y] -= 1
    return np.log(Z) - (z_y - highest) if want_loss else None


def softmax_numpy(z):
    """Overwrite the scores by the probabilities; give each row's highest score and normaliser."""
    highest = z.max(axis=1)
    z -= highest[:, None]  # so that no exp overflows
    np.exp(z, out=z)
    Z = z.sum(axis=1)
    z /= Z[:, None]
    return highest, Z


@part(fastmath={"reassoc", "contract"})
def cross_entropy_tiled(S, n, y, s, want_loss, want_gradient, scratch):
    """Overwrite the scores S (K, n) of n samples by s (p - onehot(y)); the sum of s (their loss), and labels that are no class.

    A sample is a column here, so that each line runs over many samples at once.
    """
    K = len(S)
    highest, Z, losses = scratch[0], scratch[1], scratch[2]
    zero = S.dtype.type(0)
    for i in range(n):
        highest[i] = S[0, i]
        Z[i] = zero * S[0, i]  # nan if a score is, or if it overflowed: as a probability of 0 it would not be seen
    for k in range(1, K):
        for i in range(n):
            highest[i] = max(highest[i], S[k, i])
            Z[i] += zero * S[k, i]
    wrong, loss = 0, 0.0
    if want_loss:
        for i in range(n):
            losses[i] = Z[i] + highest[i] - S[y[i] if 0 <= y[i] < K else 0, i]
    for k in range(K):
        for i in range(n):
            S[k, i] = exp(S[k, i] - highest[i])  # at most 1, whatever the scores
            Z[i] += S[k, i]
    if want_loss:
        for i in range(n):
            loss += s[i] * (losses[i] + log(Z[i]))
    if want_gradient:
        for i in range(n):
            Z[i] = s[i] / Z[i]
        for k in range(K):
            for i in range(n):
                S[k, i] *= Z[i]
    for i in range(n):
        if 0 <= y[i] < K:
            S[y[i], i] -= s[i]
        else:
            wrong += 1
    return loss, wrong


@part
def residual_tiled(S, n, y, s, scratch, extra, partial, want_loss, want_gradient):
    return cross_entropy_tiled(S, n, y, s, want_loss, want_gradient, scratch)


_kernel = _tiles.one_layer(residual_tiled, 3, types.int64)
_whole = _kernel.function


@compiled
def loss_and_gradient_tiled(X, y, W, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """The same as `loss_and_gradient_loop`, a tile of samples at a time, on this thread."""
    bias = _tiles.as_vector(b, X)
    loss, dW, db = _tiles.alone(_whole, X, y, W, bias, reg, sample_weight, want_loss, want_gradient)
    return loss, Gradient(dW, given(b, db))


@compiled
def loss_tiled(X, y, W, b, reg=0.0, sample_weight=None):
    """The loss of `loss_and_gradient_tiled` alone."""
    return loss_and_gradient_tiled(X, y, W, b, reg, sample_weight, True, False)[0]


@compiled
def gradient_tiled(X, y, W, b, reg=0.0, sample_weight=None):
    """The gradient of `loss_and_gradient_tiled` alone."""
    return loss_and_gradient_tiled(X, y, W, b, reg, sample_weight, False, True)[1]


def _at_once(X, y, W, b, reg, sample_weight, want_loss, want_gradient, threads):
    """`loss_and_gradient_tiled` on as many threads as are worth it, and how much was wrong with what was passed."""
    bias = _tiles.EMPTY[X.itemsize] if b is None else b
    loss, dW, db, bad = _tiles.run_one_layer(_kernel, 3, X, y, W, bias, reg, sample_weight, want_loss, want_gradient, threads)
    return loss, Gradient(dW, None if b is None else db), bad


def variant_tiled(X, y, W, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True, threads=None):
    return _at_once(X, y, W, b, reg, sample_weight, want_loss, want_gradient, threads)[:2]


# One signature: (X, y, W, b, reg, sample_weight, want_loss, want_gradient) -> (loss, Gradient), for what `_accepted` gives.
# Slowest idea first.
VARIANTS = {
    "python": getattr(loss_and_gradient_loop, "py_func", loss_and_gradient_loop),
    "numpy": loss_and_gradient_numpy,
    "loop": loss_and_gradient_loop,
    "tiled": _tiles.unless_interpreted(variant_tiled, loss_and_gradient_numpy),
}


def loss_and_gradient(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> tuple[float, Gradient]:
    """Average cross-entropy of softmax(X W + b) and its gradient.

    ::

        loss = Σ_n s_n (log Σ_k exp(z_nk) - z_n,y_n) / Σ_n s_n + ½ reg Σ W²,    z = X W + b
        dW   = Σ_n s_n x_n (p_n - onehot(y_n))ᵀ / Σ_n s_n + reg W,              p = softmax(z)
        db   = Σ_n s_n (p_n - onehot(y_n)) / Σ_n s_n

    Parameters
    ----------
    X : array_like, shape (N, D)
        Samples. float32 or float64, in which the arithmetic runs; integers and bools become float64.
        Any memory order, never modified.
    y : array_like, shape (N,)
        Class labels, whole numbers 0..K-1.
    W : array_like, shape (D, K)
        Weights, one column for each class.
    b : array_like, shape (K,), optional
        Bias of each class; None for none. Not penalised.
    reg : float, default 0.0
        Strength of the penalty ½ reg ‖W‖².
    sample_weight : array_like, shape (N,), optional
        Non-negative weights s_n; None for 1 each.
    variant : {"python", "numpy", "loop", "tiled"}
        Which implementation computes it; all give the same up to rounding.
    threads : int, optional
        At most how many threads the tiled variant uses; None for what `kernels.set_threads` says. The result
        has the same bits for any number.

    Returns
    -------
    loss : float
    gradient : Gradient
        Named tuple ``(W, b)`` of new arrays; ``b`` is None where no bias was given.

    Raises
    ------
    ValueError
        For a nan or infinity, a shape or length that does not fit, an empty batch, a label that is not
        a class, negative or all-zero weights, an unknown variant.
    TypeError
        For complex numbers, strings, objects, sparse or masked arrays.
    FloatingPointError
        For finite input with a result, or a score on the way, too large for its dtype.

    References
    ----------
    Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.4.

    Examples
    --------
    >>> loss, (dW, db) = loss_and_gradient([[1.0, 2.0]], [0], [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    >>> round(loss, 6), dW.tolist(), db.tolist()
    (0.693147, [[-0.5, 0.5], [-1.0, 1.0]], [-0.5, 0.5])
    """
    return _answer(variant, threads, (X, y, W, b, reg, sample_weight), True, True)


def loss(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> float:
    """The loss alone; parameters and errors are those of `loss_and_gradient`."""
    return _answer(variant, threads, (X, y, W, b, reg, sample_weight), True, False)[0]


def gradient(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> Gradient:
    """The gradient alone, without the cost of the loss; otherwise as `loss_and_gradient`."""
    return _answer(variant, threads, (X, y, W, b, reg, sample_weight), False, True)[1]


def update(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    learning_rate: float,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> tuple[Array, Array | None]:
    """One step of gradient descent: ``W - learning_rate dW, b - learning_rate db``, as new arrays.

    Takes what `loss_and_gradient` takes, and `learning_rate`, finite and not negative. Because the
    gradient is an average, the same rate suits any batch size.

    Returns
    -------
    W, b : the new parameters (None for `b` where none was given).
    """
    rate = _check.not_negative("learning_rate", learning_rate)
    gradient = _answer(variant, threads, (X, y, W, b, reg, sample_weight), False, True)[1]
    return _check.step(X, rate, (W, b), gradient)


def scores(X: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array:
    """``X W + b``, shape (N, K); refuses what `loss_and_gradient` refuses."""
    X = _check.samples(X)
    W, b = _parameters(X, W, b)
    with np.errstate(all="ignore"):
        z = X @ W
        if b is not None:
            np.add(z, b, out=z)
    _check.result((z,), X)
    return z


def probabilities(X: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array:
    """softmax(X W + b): the probability of each class for each sample, shape (N, K), rows sum to 1."""
    p = scores(X, W, b)
    softmax_numpy(p)
    return p


def predict(X: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> NDArray[np.int64]:
    """The most probable class of each sample, shape (N,); the first of them in a tie."""
    return scores(X, W, b).argmax(axis=1)


def _parameters(X, W, b):
    W = _check.parameter("W", W, (X.shape[1], None), "DK", X)
    return W, None if b is None else _check.parameter("b", b, (W.shape[1],), "K", X)


def _accepted(X, y, W, b, reg, sample_weight):
    X = _check.samples(X)
    W, b = _parameters(X, W, b)
    y = _check.labels(y, X, W.shape[1])
    return X, y, W, b, _check.not_negative("reg", reg), _check.weights(sample_weight, X)


def _fits(X, W, b):
    return (
        type(W) is np.ndarray
        and W.ndim == 2
        and W.size
        and _check.as_it_is(W, X.dtype, (X.shape[1], W.shape[1]))
        and (b is None or _check.as_it_is(b, X.dtype, W.shape[1:]))
    )


_answer = functools.partial(_check.answered, _tiles.unless_interpreted(_at_once, None), _fits, _check.INT, VARIANTS, _accepted)

# ---- to the end ----


class Parameters(NamedTuple):
    """What is fitted; `b` is None where there is no bias."""

    W: Array
    b: Array | None


class Fit(NamedTuple):
    """What `descend` found, and how: `losses` has one loss an iteration, of the parameters before its step."""

    W: Array
    b: Array | None
    losses: Array
    n_iter: int
    converged: bool


_model = descent.Model(
    VARIANTS,
    descent.compiled_loop(__name__, _kernel),
    lambda W, b: Parameters(W, b if b.size else None),
    curvature=1 / 2,
)


def descend(
    X: ArrayLike,
    y: ArrayLike,
    *,
    W: ArrayLike | None = None,
    b: ArrayLike | None = None,
    start: Fit | None = None,
    fit_bias: bool = True,
    learning_rate: float,
    learning_rate_decay: float = 1.0,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    batch_size: int | None = None,
    rng: int | np.random.Generator = 0,
    max_iter: int = 10_000,
    tol: float = 1e-5,
    rtol: float = 0.0,
    callback: Callable[[int, float, Parameters], Any] | None = None,
    progress: bool = False,
    variant: str = "tiled",
    threads: int | None = None,
) -> Fit:
    """Gradient descent from W and b until its steps are short.

    ::

        W ← W - η dW,   b ← b - η db,       η = learning_rate · learning_rate_decay^epoch

    with the averaged gradient of `loss_and_gradient` on all samples, or on `batch_size` of them at a time.

    Parameters
    ----------
    X, y, reg, sample_weight, variant, threads
        As for `loss_and_gradient`.
    W, b : array_like, optional
        Where to start; zeros if not given, with a class for each label up to the highest in y.
    start : Fit, optional
        Instead, a result to continue from: with the same settings the result is what one longer call gives,
        `losses` and `n_iter` included.
    fit_bias : bool, default True
        False for scores X W, without a bias.
    learning_rate : float
        Length of the first step, in gradients. Because the gradient is an average it need not depend on N.
    learning_rate_decay : float, default 1.0
        Factor on the learning rate after each epoch, at most 1. Without batches each iteration is an epoch.
    batch_size : int, optional
        How many samples an iteration looks at; None for all. In each epoch every sample is used once, in a new
        order; the last batch of an epoch may be smaller. Samples of weight 0 are left out.
    rng : int or numpy.random.Generator, default 0
        Decides the orders. The same seed gives the same bits, for any number of threads.
    max_iter : int, default 10000
        At most so many steps in this call.
    tol, rtol : float, default 1e-5 and 0
        Converged when the Euclidean length of a step, over all parameters, is at most max(tol, rtol · length of the
        new parameters). With batches, when that holds for every step of an epoch.
    callback : callable, optional
        ``callback(iteration, loss, params)``, before each step: iterations are counted from 0 and `params` is a named
        tuple of copies, of which `loss` is the loss. A true return value stops there.
    progress : bool, default False
        Show a bar while it runs; needs tqdm.

    Returns
    -------
    Fit
        Named tuple ``(W, b, losses, n_iter, converged)``. `losses` is float64, one an iteration (with batches, that
        of the batch), of the parameters before the step.

    Raises
    ------
    kernels.DivergenceError
        If the loss becomes infinite or nan, or keeps growing: it has risen ten times in a row, to more than ten times
        its first value, or been above twice that value a hundred times in a row (with batches: its mean over each
        epoch). Names the largest learning rate that is safe.
    ValueError, TypeError, FloatingPointError
        As `loss_and_gradient`, and for settings that make no sense.

    Warns
    -----
    kernels.ConvergenceWarning
        If `max_iter` steps did not converge, unless tol and rtol are both 0.

    Notes
    -----
    Where N times the number of parameters is at most 262144 and there are no batches, the tiled variant runs the whole
    loop compiled. The path depends on nothing else, and neither a callback nor the number of threads changes a bit.

    Examples
    --------
    >>> fit = descend([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], learning_rate=0.5)
    >>> fit.converged, (fit.W[:, 1] - fit.W[:, 0]).round(3).tolist()
    (True, [0.908])
    """
    X = _check.samples(X)
    W, b = _start(X, y, W, b, start, fit_bias)
    labels, s = _check.labels(y, X, np.shape(W)[1]), _check.weights(sample_weight, X)
    plan = descent.Plan(
        learning_rate, learning_rate_decay, reg, batch_size, rng, max_iter, tol, rtol, callback, progress, variant, threads
    )
    found = descent.run(_model, X, labels, s, (W, b), plan, start)
    return Fit(*found.parameters, *found.history)


def _start(X, y, W, b, start, fit_bias):
    W, b = descent.continued(start, ("W", "b"), (W, b))
    W, b = _parameters(X, np.zeros((X.shape[1], descent.classes(y, X))) if W is None else W, b)
    return W, descent.bias(b, fit_bias, np.zeros(W.shape[1]))
