"""A network of two layers: ReLU between, cross-entropy of softmax at the end.

    hidden    h = max(0, x W1 + b1)              X: (N, D), W1: (D, H), b1: (H,)
    scores    z = h W2 + b2                      W2: (H, K), b2: (K,)
    loss      -log p_y,   p = softmax(z)         y: (N,), whole numbers 0..K-1
    residual  r_k = ∂loss/∂z_k = p_k - [k = y]
    gradient  dW2 = hᵀ r,   db2 = r
    backward  g = (r W2ᵀ) [h > 0]                the derivative of max(0, ·) at 0 is taken as 0
    gradient  dW1 = xᵀ g,   db1 = g

of one sample; over a batch the average, Σ s_n (...)_n / Σ s_n, plus ½ reg (‖W1‖² + ‖W2‖²) (the biases are
not penalised). Formula: Bishop, Pattern Recognition and Machine Learning, 2006, section 5.3.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import ArrayLike, NDArray

from kernels import _check, _threads, _tiles, descent
from kernels._blocks import axpy, dot, padded
from kernels._compile import compiled, part
from kernels._threads import ALONE, DONE, FINISH, HELP, LEAD, all_done, take
from kernels._tiles import address
from kernels.softmax import cross_entropy_numpy, cross_entropy_tiled, softmax_numpy

Array = NDArray[Any]


class Gradient(NamedTuple):
    """Averaged gradient, each part of its parameter's shape."""

    W1: Array
    b1: Array
    W2: Array
    b2: Array


@compiled
def loss_and_gradient_loop(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """One sample at a time, line by line as in the formula."""
    N, D = X.shape
    H, K = W2.shape
    loss, total = 0.0, 0.0
    dW1, db1 = np.zeros((D, H), X.dtype), np.zeros(H, X.dtype)
    dW2, db2 = np.zeros((H, K), X.dtype), np.zeros(K, X.dtype)
    h, g, z = np.empty(H, X.dtype), np.empty(H, X.dtype), np.empty(K, X.dtype)
    for n in range(N):
        for j in range(H):
            h[j] = b1[j]
            for d in range(D):
                h[j] += X[n, d] * W1[d, j]
            if h[j] < 0:
                h[j] *= 0.0  # 0, or nan if it overflowed
        for k in range(K):
            z[k] = b2[k]
            for j in range(H):
                z[k] += h[j] * W2[j, k]
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
                db2[k] += z[k]
            for j in range(H):
                g[j] = 0.0
                for k in range(K):
                    dW2[j, k] += h[j] * z[k]
                    g[j] += z[k] * W2[j, k]
                if h[j] == 0:
                    g[j] = 0.0
                db1[j] += g[j]
            for d in range(D):
                for j in range(H):
                    dW1[d, j] += X[n, d] * g[j]
    loss /= total
    db1 /= total
    db2 /= total
    for j in range(H):
        for d in range(D):
            loss += 0.5 * reg * W1[d, j] * W1[d, j]
            dW1[d, j] = dW1[d, j] / total + reg * W1[d, j]
        for k in range(K):
            loss += 0.5 * reg * W2[j, k] * W2[j, k]
            dW2[j, k] = dW2[j, k] / total + reg * W2[j, k]
    return float(loss), Gradient(dW1, db1, dW2, db2)


@compiled
def loss_loop(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None):
    """The loss of `loss_and_gradient_loop` alone."""
    return loss_and_gradient_loop(X, y, W1, b1, W2, b2, reg, sample_weight, True, False)[0]


@compiled
def gradient_loop(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None):
    """The gradient of `loss_and_gradient_loop` alone."""
    return loss_and_gradient_loop(X, y, W1, b1, W2, b2, reg, sample_weight, False, True)[1]


def loss_and_gradient_numpy(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """The same as `loss_and_gradient_loop`, vectorised."""
    h, z = _forward_numpy(X, W1, b1, W2, b2)
    losses = cross_entropy_numpy(z, y, want_loss)
    loss = 0.5 * float(np.vdot(reg * W1, W1) + np.vdot(reg * W2, W2))
    if want_loss:
        loss += float(np.average(losses.astype(np.float64), weights=sample_weight))
    if not want_gradient:
        return loss, None
    total = len(y) if sample_weight is None else sample_weight.sum()
    if sample_weight is not None:
        z *= sample_weight[:, None]
    dW2 = h.T @ z
    g = z @ W2.T
    g[h == 0] = 0
    dW1 = X.T @ g
    for dW, W in (dW1, W1), (dW2, W2):
        dW /= total
        dW += reg * W
    return loss, Gradient(dW1, g.sum(axis=0) / total, dW2, z.sum(axis=0) / total)


def _forward_numpy(X, W1, b1, W2, b2):
    h = X @ W1
    h += b1
    _check.show_overflow(h)
    np.maximum(h, 0, out=h)
    z = h @ W2
    z += b2
    return h, z


@part
def residual_tiled(S, n, y, s, scratch, extra, partial, want_loss, want_gradient):
    """Overwrite the hidden scores S (H, n) by g; the sum of the losses and the wrong labels; dW2 and db2 into `partial`."""
    W2, b2 = extra
    H, K = W2.shape
    like, size, ldg, here = S.dtype.type(0), S.itemsize, padded(H), np.intp(0)
    Z, g = scratch[3 : 3 + K], scratch[3 + K :]
    for j in range(H):
        for i in range(n):
            S[j, i] = like + like * S[j, i] if S[j, i] < 0 else S[j, i]  # 0, or nan if it overflowed
    for k in range(K):
        Z[k] = b2[k]
    S_at, Z_at, lds = address(S), address(Z), S.strides[0]
    axpy(like, size, S_at, lds, H, n, address(W2), size, K * size, K, Z_at, lds, here)
    loss, wrong = cross_entropy_tiled(Z, n, y, s, want_loss, want_gradient, scratch)
    if want_gradient:
        dot(like, size, S_at, lds, H, n, Z_at, lds, K, address(partial), ldg * size)
        for k in range(K):
            partial[K * ldg + k] += _tiles.total(Z[k], n)
        for j in range(H):
            g[j] = 0
        axpy(like, size, Z_at, lds, K, n, address(W2), K * size, size, H, address(g), lds, here)
        for j in range(H):
            for i in range(n):
                S[j, i] = like if S[j, i] == 0 else g[j, i]
    return loss, wrong


tile_pass = _tiles.one_pass(residual_tiled)


def tiled(X, y, W1, b1, W2, b2, s, reg, dW1, db1, dW2, db2, want_loss, want_gradient, partials, sums, progress, calls, role):
    """As what `_tiles.one_layer` compiles, with a second layer."""
    (N, D), (H, K) = X.shape, W2.shape
    tile, rows, chunks, wide, first = _tiles.geometry(N, D, H, X.itemsize, H + K + 3)
    if role == ALONE:
        partials = np.empty((chunks, first + _tiles.sums_of(H, K, False) + K), X.dtype)
        sums, progress = np.empty((chunks, 3)), np.zeros(2 * DONE, np.int64)
    if role == LEAD:
        take(calls, 0)
    if role != FINISH:
        extra = (W2, b2)
        tile_pass(X, y, W1, b1, s, tile, rows, H + K + 3, extra, partials, sums, progress, want_loss, want_gradient)
    if role == HELP or (role == LEAD and not all_done(progress, chunks)):
        return 0.0, 0.0, False
    loss, weights, bad = _tiles.totals(sums)
    if want_gradient:
        bad += _tiles.average(partials, 0, wide, W1, b1, reg, weights, dW1, db1)
        bad += _tiles.average(partials, first, False, W2, b2, reg, weights, dW2, db2)
    if want_loss:
        loss = loss / weights + _tiles.penalty(W1, reg) + _tiles.penalty(W2, reg)
        bad += not np.isfinite(loss)
    return loss, bad, True


def _signature(real):
    a = _tiles.array
    given = [a(real, 2, "A", True), a(types.int64, 1, "C", True), *[a(real, d, "C", True) for d in (2, 1, 2, 1, 1)]]
    made = [a(real, d) for d in (2, 1, 2, 1)]
    return (*given, types.float64, *made, types.boolean, types.boolean, *_threads.signature(real))


_kernel = _tiles.Kernel(compiled(tiled), _signature)
_whole = _kernel.function


@compiled
def loss_and_gradient_tiled(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """The same as `loss_and_gradient_loop`, a tile of samples at a time, on this thread."""
    dW1, db1 = np.empty(W1.shape, X.dtype), np.empty_like(b1)
    dW2, db2 = np.empty(W2.shape, X.dtype), np.empty_like(b2)
    s = _tiles.as_vector(sample_weight, X)
    none, no_sums, counters = np.empty((0, 0), X.dtype), np.empty((0, 0)), np.empty(0, np.int64)
    loss, _, _ = _whole(
        X, y, W1, b1, W2, b2, s, reg, dW1, db1, dW2, db2, want_loss, want_gradient, none, no_sums, counters, counters, ALONE
    )
    return loss, Gradient(dW1, db1, dW2, db2)


@compiled
def loss_tiled(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None):
    """The loss of `loss_and_gradient_tiled` alone."""
    return loss_and_gradient_tiled(X, y, W1, b1, W2, b2, reg, sample_weight, True, False)[0]


@compiled
def gradient_tiled(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None):
    """The gradient of `loss_and_gradient_tiled` alone."""
    return loss_and_gradient_tiled(X, y, W1, b1, W2, b2, reg, sample_weight, False, True)[1]


def _at_once(X, y, W1, b1, W2, b2, reg, sample_weight, want_loss, want_gradient, threads):
    """`loss_and_gradient_tiled` on as many threads as are worth it, and how much was wrong with what was passed."""
    D, (H, K), dtype = X.shape[1], W2.shape, X.dtype
    s = _tiles.EMPTY[X.itemsize] if sample_weight is None else sample_weight
    gradient = Gradient(*[np.empty(p.shape, dtype) for p in (W1, b1, W2, b2)])
    call = X, y, W1, b1, W2, b2, s, reg, *gradient, want_loss, want_gradient
    loss, bad = _tiles.run(_kernel, D, H, H + K + 3, K * (H + 32), threads, call)
    return loss, gradient, bad


def variant_tiled(X, y, W1, b1, W2, b2, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True, threads=None):
    return _at_once(X, y, W1, b1, W2, b2, reg, sample_weight, want_loss, want_gradient, threads)[:2]


# One signature, for what `_accepted` gives:
# (X, y, W1, b1, W2, b2, reg, sample_weight, want_loss, want_gradient) -> (loss, Gradient).
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
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> tuple[float, Gradient]:
    """Average cross-entropy of softmax(max(0, X W1 + b1) W2 + b2) and its gradient.

    ::

        h = max(0, X W1 + b1),   z = h W2 + b2,   p = softmax(z)
        loss = Σ_n s_n (log Σ_k exp(z_nk) - z_n,y_n) / Σ_n s_n + ½ reg (Σ W1² + Σ W2²)
        r_n  = s_n (p_n - onehot(y_n)) / Σ_n s_n,              g = (r W2ᵀ) [h > 0]
        dW2  = hᵀ r + reg W2,   db2 = Σ_n r_n,   dW1 = Xᵀ g + reg W1,   db1 = Σ_n g_n

    Parameters
    ----------
    X : array_like, shape (N, D)
        Samples. float32 or float64, in which the arithmetic runs; integers and bools become float64.
        Any memory order, never modified.
    y : array_like, shape (N,)
        Class labels, whole numbers 0..K-1.
    W1 : array_like, shape (D, H)
        Weights of the hidden layer, one column for each hidden unit.
    b1 : array_like, shape (H,)
        Bias of each hidden unit. Not penalised.
    W2 : array_like, shape (H, K)
        Weights of the scores, one column for each class.
    b2 : array_like, shape (K,)
        Bias of each class. Not penalised.
    reg : float, default 0.0
        Strength of the penalty ½ reg (‖W1‖² + ‖W2‖²).
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
        Named tuple ``(W1, b1, W2, b2)`` of new arrays.

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
    Bishop, Pattern Recognition and Machine Learning, 2006, section 5.3.

    Examples
    --------
    >>> X, W1, b1, W2, b2 = [[1.0, 2.0]], [[1.0], [1.0]], [0.0], [[0.0, 0.0]], [0.0, 0.0]
    >>> loss, (dW1, db1, dW2, db2) = loss_and_gradient(X, [0], W1, b1, W2, b2)
    >>> round(loss, 6), dW1.tolist(), db1.tolist(), dW2.tolist(), db2.tolist()
    (0.693147, [[0.0], [0.0]], [0.0], [[-1.5, 1.5]], [-0.5, 0.5])
    """
    return _answer(variant, threads, (X, y, W1, b1, W2, b2, reg, sample_weight), True, True)


def loss(
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> float:
    """The loss alone; parameters and errors are those of `loss_and_gradient`."""
    return _answer(variant, threads, (X, y, W1, b1, W2, b2, reg, sample_weight), True, False)[0]


def gradient(
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> Gradient:
    """The gradient alone, without the cost of the loss; otherwise as `loss_and_gradient`."""
    return _answer(variant, threads, (X, y, W1, b1, W2, b2, reg, sample_weight), False, True)[1]


def update(
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    learning_rate: float,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """One step of gradient descent: every parameter minus `learning_rate` times its gradient, as new arrays.

    Takes what `loss_and_gradient` takes, and `learning_rate`, finite and not negative. Because the
    gradient is an average, the same rate suits any batch size.

    Returns
    -------
    W1, b1, W2, b2 : the new parameters.
    """
    rate = _check.not_negative("learning_rate", learning_rate)
    gradient = _answer(variant, threads, (X, y, W1, b1, W2, b2, reg, sample_weight), False, True)[1]
    return _check.step(X, rate, (W1, b1, W2, b2), gradient)


def scores(X: ArrayLike, W1: ArrayLike, b1: ArrayLike, W2: ArrayLike, b2: ArrayLike) -> Array:
    """``max(0, X W1 + b1) W2 + b2``, shape (N, K); refuses what `loss_and_gradient` refuses."""
    X = _check.samples(X)
    _check.finite("X", X)  # max(0, ·) can hide an infinity
    with np.errstate(all="ignore"):
        _, z = _forward_numpy(X, *_parameters(X, W1, b1, W2, b2))
    _check.result((z,), X)
    return z


def probabilities(X: ArrayLike, W1: ArrayLike, b1: ArrayLike, W2: ArrayLike, b2: ArrayLike) -> Array:
    """softmax of the scores: the probability of each class for each sample, shape (N, K), rows sum to 1."""
    p = scores(X, W1, b1, W2, b2)
    softmax_numpy(p)
    return p


def predict(X: ArrayLike, W1: ArrayLike, b1: ArrayLike, W2: ArrayLike, b2: ArrayLike) -> NDArray[np.int64]:
    """The most probable class of each sample, shape (N,); the first of them in a tie."""
    return scores(X, W1, b1, W2, b2).argmax(axis=1)


def _parameters(X, W1, b1, W2, b2):
    W1 = _check.parameter("W1", W1, (X.shape[1], None), "DH", X)
    b1 = _check.parameter("b1", b1, (W1.shape[1],), "H", X)
    W2 = _check.parameter("W2", W2, (W1.shape[1], None), "HK", X)
    return W1, b1, W2, _check.parameter("b2", b2, (W2.shape[1],), "K", X)


def _accepted(X, y, W1, b1, W2, b2, reg, sample_weight):
    X = _check.samples(X)
    parameters = _parameters(X, W1, b1, W2, b2)
    y = _check.labels(y, X, parameters[3].size)
    return X, y, *parameters, _check.not_negative("reg", reg), _check.weights(sample_weight, X)


def _fits(X, W1, b1, W2, b2):
    return (
        type(W2) is np.ndarray
        and W2.ndim == 2
        and W2.size
        and _check.as_it_is(W1, X.dtype, (X.shape[1], W2.shape[0]))
        and _check.as_it_is(b1, X.dtype, W2.shape[:1])
        and _check.as_it_is(W2, X.dtype, W2.shape)
        and _check.as_it_is(b2, X.dtype, W2.shape[1:])
    )


_answer = functools.partial(_check.answered, _tiles.unless_interpreted(_at_once, None), _fits, _check.INT, VARIANTS, _accepted)

# ---- to the end ----


class Parameters(NamedTuple):
    """What is fitted."""

    W1: Array
    b1: Array
    W2: Array
    b2: Array


class Fit(NamedTuple):
    """What `descend` found, and how: `losses` has one loss an iteration, of the parameters before its step.

    The accuracies are those after each epoch; empty where no validation set was given.
    """

    W1: Array
    b1: Array
    W2: Array
    b2: Array
    losses: Array
    n_iter: int
    converged: bool
    train_accuracy: Array
    validation_accuracy: Array


_model = descent.Model(VARIANTS, descent.compiled_loop(__name__, _kernel), Parameters, curvature=None)


def descend(
    X: ArrayLike,
    y: ArrayLike,
    *,
    hidden: int = 100,
    std: float = 0.01,
    W1: ArrayLike | None = None,
    b1: ArrayLike | None = None,
    W2: ArrayLike | None = None,
    b2: ArrayLike | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
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
    """Gradient descent from random weights until its steps are short.

    ::

        θ ← θ - η dθ   for each θ of W1, b1, W2, b2,       η = learning_rate · learning_rate_decay^epoch

    with the averaged gradient of `loss_and_gradient` on all samples, or on `batch_size` of them at a time.

    Parameters
    ----------
    X, y, reg, sample_weight, variant, threads
        As for `loss_and_gradient`.
    hidden : int, default 100
        Number of hidden units, where neither W1 nor W2 says.
    std : float, default 0.01
        Standard deviation of the weights to start from, drawn from a normal distribution by `rng`.
    W1, b1, W2, b2 : array_like, optional
        Where to start; weights that are not given are drawn, biases are zeros.
    fit_bias : bool, default True
        False to leave the biases as they are.
    validation : tuple of X and y, optional
        Samples to measure the accuracy on after each epoch, beside that on all of X.
    start, learning_rate, learning_rate_decay, batch_size, rng, max_iter, tol, rtol, callback, progress
        As for `kernels.softmax.descend`, whose errors and warnings hold here too. The loss is not convex: no rate is
        known to be safe beforehand, and the one that `kernels.DivergenceError` names is the first of learning_rate / 2,
        / 4, ... that lowers the loss in a trial of at most 500 iterations.

    Returns
    -------
    Fit
        Named tuple ``(W1, b1, W2, b2, losses, n_iter, converged, train_accuracy, validation_accuracy)``.

    Examples
    --------
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> fit = descend(X, y, hidden=8, std=1.0, learning_rate=0.5, max_iter=1000, tol=0)
    >>> predict(X, fit.W1, fit.b1, fit.W2, fit.b2).tolist()
    [0, 1, 1, 0]
    """
    X = _check.samples(X)
    key = descent.seed(rng)
    parameters = _start(X, y, W1, b1, W2, b2, start, hidden, std, key)
    labels, s = _check.labels(y, X, parameters[3].size), _check.weights(sample_weight, X)
    measure = None if validation is None else _accuracies((X, labels), validation, parameters[3].size)
    before = [] if start is None else zip(start.train_accuracy, start.validation_accuracy, strict=True)
    plan = descent.Plan(
        learning_rate,
        learning_rate_decay,
        reg,
        batch_size,
        key,
        max_iter,
        tol,
        rtol,
        callback,
        progress,
        variant,
        threads,
        (True, fit_bias, True, fit_bias),
    )
    found = descent.run(_model, X, labels, s, parameters, plan, start, measure)
    accuracies = np.array([*before, *found.measures]).reshape(-1, 2).T
    return Fit(*found.parameters, *found.history, *accuracies)


def _start(X, y, W1, b1, W2, b2, start, hidden, std, seed):
    W1, b1, W2, b2 = descent.continued(start, ("W1", "b1", "W2", "b2"), (W1, b1, W2, b2))
    H = np.shape(W1)[-1] if np.ndim(W1) else np.shape(W2)[0] if np.ndim(W2) else descent.whole("hidden", hidden, 1)
    K = np.shape(W2)[-1] if np.ndim(W2) else descent.classes(y, X)
    rng, std = np.random.default_rng(seed), _check.not_negative("std", std)
    W1 = rng.normal(0, std, (X.shape[1], H)) if W1 is None else W1
    W2 = rng.normal(0, std, (H, K)) if W2 is None else W2
    return _parameters(X, W1, np.zeros(H) if b1 is None else b1, W2, np.zeros(K) if b2 is None else b2)


def _accuracies(training, validation, classes):
    """A function that measures the accuracy on both."""
    X_validation = _check.samples(validation[0])
    validation = X_validation, _check.labels(validation[1], X_validation, classes)
    return lambda *parameters: [(predict(X, *parameters) == y).mean() for X, y in (training, validation)]
