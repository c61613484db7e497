"""Logistic regression with labels -1 and +1.

    margin    m = y (x·w + b)                    X: (N, D), w: (D,), b: a number
    loss      log(1 + exp(-m))                   y: (N,), each -1 or +1
    residual  r = ∂loss/∂(x·w + b) = -y / (1 + exp(m))
    gradient  dw = x r,   db = r

of one sample; over a batch the average, Σ s_n (...)_n / Σ s_n, plus ½ reg ‖w‖² (the bias is not
penalised). Formula: Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.2 and exercise 7.6.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import _check, _tiles, descent
from kernels._compile import compiled, given, part
from kernels._math import log1p_exp_and_sigmoid, sigmoid

Array = NDArray[Any]


class Gradient(NamedTuple):
    """Averaged gradient: `w` of shape (D,), `b` a number, or None where no bias was given."""

    w: Array
    b: float | None


@compiled
def loss_and_gradient_loop(X, y, w, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """One sample at a time, line by line as in the formula."""
    N, D = X.shape
    loss, total, db = 0.0, 0.0, 0.0
    dw = np.zeros(D, X.dtype)
    for n in range(N):
        z = 0.0 if b is None else b
        for d in range(D):
            z += X[n, d] * w[d]
        m = y[n] * z
        e = math.exp(-abs(m)) + 0.0 * m  # at most 1, whatever the margin; nan if it overflowed: a loss of 0 would not show it
        s = 1.0 if sample_weight is None else sample_weight[n]
        total += s
        if want_loss:
            loss += s * (max(0.0, -m) + math.log1p(e))
        if want_gradient:
            r = -s * y[n] * (e if m >= 0 else 1.0) / (1.0 + e)
            db += r
            for d in range(D):
                dw[d] += X[n, d] * r
    loss /= total
    for d in range(D):
        loss += 0.5 * reg * w[d] * w[d]
        dw[d] = dw[d] / total + reg * w[d]
    return float(loss), Gradient(dw, given(b, float(db / total)))


@compiled
def loss_loop(X, y, w, b, reg=0.0, sample_weight=None):
    """The loss of `loss_and_gradient_loop` alone."""
    return loss_and_gradient_loop(X, y, w, b, reg, sample_weight, True, False)[0]


@compiled
def gradient_loop(X, y, w, b, reg=0.0, sample_weight=None):
    """The gradient of `loss_and_gradient_loop` alone."""
    return loss_and_gradient_loop(X, y, w, b, reg, sample_weight, False, True)[1]


def loss_and_gradient_numpy(X, y, w, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """The same as `loss_and_gradient_loop`, vectorised."""
    m = X @ w
    if b is not None:
        m += b
    _check.show_overflow(m)
    m *= y
    e = np.exp(-np.abs(m))
    loss = 0.5 * float(np.vdot(reg * w, w))
    if want_loss:
        losses = np.log1p(e)
        losses -= np.minimum(m, 0)
        loss += float(np.average(losses.astype(np.float64), weights=sample_weight))
    if not want_gradient:
        return loss, None
    total = len(y) if sample_weight is None else sample_weight.sum()
    r = np.where(m >= 0, e, 1)
    e += 1
    r /= e
    r *= y
    if sample_weight is not None:
        r *= sample_weight
    dw = r @ X
    dw /= -total
    dw += reg * w
    return loss, Gradient(dw, None if b is None else -float(r.sum() / total))


@part(fastmath={"reassoc", "contract"})
def residual_tiled(S, n, y, s, scratch, extra, partial, want_loss, want_gradient):
    """Overwrite the scores S (1, n) of n samples by their residuals; the sum of their losses, and labels that are neither."""
    z, losses, loss, wrong, zero = S[0], scratch[0], 0.0, 0, S.dtype.type(0)
    for i in range(n):
        wrong += y[i] * y[i] != 1
    if want_loss:
        for i in range(n):
            overflow = zero * z[i]  # 0, or nan if it overflowed: as a loss of 0 it would not be seen
            losses[i], p = log1p_exp_and_sigmoid(-y[i] * z[i])
            losses[i] += overflow
            z[i] = overflow - s[i] * y[i] * p
        for i in range(n):  # in float64, so apart: it would halve the vectors of float32
            loss += s[i] * losses[i]
    else:
        for i in range(n):
            z[i] = zero * z[i] - s[i] * y[i] * sigmoid(-y[i] * z[i])
    return loss, wrong


_kernel = _tiles.one_layer(residual_tiled, 1, None)
_whole = _kernel.function


@compiled
def loss_and_gradient_tiled(X, y, w, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True):
    """The same as `loss_and_gradient_loop`, a tile of samples at a time, on this thread."""
    bias, column = _tiles.as_vector(b, X), np.ascontiguousarray(w).reshape(-1, 1)
    loss, dw, db = _tiles.alone(_whole, X, y, column, bias, reg, sample_weight, want_loss, want_gradient)
    return loss, Gradient(dw.reshape(-1), given(b, _tiles.first(db)))


@compiled
def loss_tiled(X, y, w, b, reg=0.0, sample_weight=None):
    """The loss of `loss_and_gradient_tiled` alone."""
    return loss_and_gradient_tiled(X, y, w, b, reg, sample_weight, True, False)[0]


@compiled
def gradient_tiled(X, y, w, b, reg=0.0, sample_weight=None):
    """The gradient of `loss_and_gradient_tiled` alone."""
    return loss_and_gradient_tiled(X, y, w, b, reg, sample_weight, False, True)[1]


def _at_once(X, y, w, b, reg, sample_weight, want_loss, want_gradient, threads):
    """`loss_and_gradient_tiled` on as many threads as are worth it, and how much was wrong with what was passed."""
    bias, w = _tiles.one_number(b, X), w.reshape(-1, 1)
    loss, dw, db, bad = _tiles.run_one_layer(_kernel, 1, X, y, w, bias, reg, sample_weight, want_loss, want_gradient, threads)
    return loss, Gradient(dw.reshape(-1), None if b is None else float(db[0])), bad


def variant_tiled(X, y, w, b, reg=0.0, sample_weight=None, want_loss=True, want_gradient=True, threads=None):
    return _at_once(X, y, w, b, reg, sample_weight, want_loss, want_gradient, threads)[:2]


# One signature: (X, y, w, b, reg, sample_weight, want_loss, want_gradient) -> (loss, Gradient), for what `_accepted` gives.
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
    w: ArrayLike,
    b: float | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> tuple[float, Gradient]:
    """Average logistic loss of the margins y (X w + b) and its gradient.

    ::

        loss = Σ_n s_n log(1 + exp(-m_n)) / Σ_n s_n + ½ reg Σ w²,      m_n = y_n (x_n·w + b)
        dw   = Σ_n s_n r_n x_n / Σ_n s_n + reg w,                      r_n = -y_n / (1 + exp(m_n))
        db   = Σ_n s_n r_n / Σ_n s_n

    Parameters
    ----------
    X : array_like, shape (N, D)
        Samples. float32 or float64, in which the arithmetic runs; integers and bools become float64.
        Any memory order, never modified.
    y : array_like, shape (N,)
        Labels, each -1 or +1. For labels 0 and 1 pass ``2*y - 1``.
    w : array_like, shape (D,)
        Weights.
    b : float, optional
        Bias; None for none. Not penalised.
    reg : float, default 0.0
        Strength of the penalty ½ reg ‖w‖².
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
        Named tuple ``(w, b)``; ``b`` is None where no bias was given.

    Raises
    ------
    ValueError
        For a nan or infinity, a shape or length that does not fit, an empty batch, a label other than
        -1 and +1, negative or all-zero weights, an unknown variant.
    TypeError
        For complex numbers, strings, objects, sparse or masked arrays.
    FloatingPointError
        For finite input with a result, or a score on the way, too large for its dtype.

    References
    ----------
    Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.2.

    Examples
    --------
    >>> loss, (dw, db) = loss_and_gradient([[1.0, 2.0]], [1], [0.0, 0.0], 0.0)
    >>> round(loss, 6), dw.tolist(), db
    (0.693147, [-0.5, -1.0], -0.5)
    """
    return _answer(variant, threads, (X, y, w, b, reg, sample_weight), True, True)


def loss(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    b: float | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> float:
    """The loss alone; parameters and errors are those of `loss_and_gradient`."""
    return _answer(variant, threads, (X, y, w, b, reg, sample_weight), True, False)[0]


def gradient(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    b: float | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> Gradient:
    """The gradient alone, without the cost of the loss; otherwise as `loss_and_gradient`."""
    return _answer(variant, threads, (X, y, w, b, reg, sample_weight), False, True)[1]


def update(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    b: float | None = None,
    *,
    learning_rate: float,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
) -> tuple[Array, float | None]:
    """One step of gradient descent: ``w - learning_rate dw, b - learning_rate db``, new.

    Takes what `loss_and_gradient` takes, and `learning_rate`, finite and not negative. Because the
    gradient is an average, the same rate suits any batch size.

    Returns
    -------
    w, b : the new parameters (None for `b` where none was given).
    """
    rate = _check.not_negative("learning_rate", learning_rate)
    gradient = _answer(variant, threads, (X, y, w, b, reg, sample_weight), False, True)[1]
    return _check.step(X, rate, (w, b), gradient)


def scores(X: ArrayLike, w: ArrayLike, b: float | None = None) -> Array:
    """``X w + b``, shape (N,): positive where +1 is the more probable label."""
    X = _check.samples(X)
    w, b = _parameters(X, w, b)
    with np.errstate(all="ignore"):
        z = X @ w
        if b is not None:
            z += b
    _check.result((z,), X)
    return z


def probabilities(X: ArrayLike, w: ArrayLike, b: float | None = None) -> Array:
    """Probability of the label +1 for each sample, 1 / (1 + exp(-(X w + b))), shape (N,)."""
    z = scores(X, w, b)
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def predict(X: ArrayLike, w: ArrayLike, b: float | None = None) -> NDArray[np.int64]:
    """The more probable label of each sample, +1 or -1, shape (N,); -1 in a tie, as scikit-learn."""
    return np.where(scores(X, w, b) > 0, 1, -1)


def _parameters(X, w, b):
    return _check.parameter("w", w, (X.shape[1],), "D", X), _check.intercept(b, X)


def _accepted(X, y, w, b, reg, sample_weight):
    X = _check.samples(X)
    w, b = _parameters(X, w, b)
    return X, _check.signs(y, X), w, b, _check.not_negative("reg", reg), _check.weights(sample_weight, X)


def _fits(X, w, b):
    return _check.as_it_is(w, X.dtype, X.shape[1:]) and (b is None or isinstance(b, float))


_answer = functools.partial(_check.answered, _tiles.unless_interpreted(_at_once, None), _fits, None, VARIANTS, _accepted)

# ---- to the end ----


class Parameters(NamedTuple):
    """What is fitted; `b` is None where there is no bias."""

    w: Array
    b: float | None


class Fit(NamedTuple):
    """What `descend` found, and how: `losses` has one loss an iteration, of the parameters before its step."""

    w: Array
    b: float | None
    losses: Array
    n_iter: int
    converged: bool


_model = descent.Model(
    VARIANTS,
    descent.compiled_loop(__name__, _kernel),
    lambda w, b: Parameters(w.reshape(-1), float(b[0]) if b.size else None),
    curvature=1 / 4,
)


def descend(
    X: ArrayLike,
    y: ArrayLike,
    *,
    w: ArrayLike | None = None,
    b: float | None = None,
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
    """Gradient descent from w and b until its steps are short.

    ::

        w ← w - η dw,   b ← b - η db,       η = learning_rate · learning_rate_decay^epoch

    with the averaged gradient of `loss_and_gradient` on all samples, or on `batch_size` of them at a time.

    Parameters
    ----------
    X, y, reg, sample_weight, variant, threads
        As for `loss_and_gradient`.
    w, b : array_like and float, optional
        Where to start; zeros if not given.
    start, fit_bias, learning_rate, learning_rate_decay, batch_size, rng, max_iter, tol, rtol, callback, progress
        As for `kernels.softmax.descend`, whose errors and warnings hold here too.

    Returns
    -------
    Fit
        Named tuple ``(w, b, losses, n_iter, converged)``; `b` is None with ``fit_bias=False``.

    Examples
    --------
    >>> fit = descend([[0.0], [1.0], [2.0], [3.0]], [-1, 1, -1, 1], learning_rate=0.5)
    >>> fit.converged, fit.w.round(3).tolist(), round(fit.b, 3)
    (True, [0.908], -1.362)
    """
    X = _check.samples(X)
    w, b = _start(X, w, b, start, fit_bias)
    labels, s = _check.signs(y, X), _check.weights(sample_weight, X)
    plan = descent.Plan(
        learning_rate, learning_rate_decay, reg, batch_size, rng, max_iter, tol, rtol, callback, progress, variant, threads
    )
    found = descent.run(_model, X, labels, s, (w, b), plan, start)
    return Fit(*found.parameters, *found.history)


def _start(X, w, b, start, fit_bias):
    w, b = descent.continued(start, ("w", "b"), (w, b))
    w, b = _parameters(X, np.zeros(X.shape[1]) if w is None else w, b)
    return w.reshape(-1, 1), descent.bias(b, fit_bias, 0.0)
