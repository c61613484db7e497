"""Why a descent did not converge, or diverged, in a sentence with what to do."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .settings import Batch, Batches, Settings

Array = NDArray[Any]
MOST_NUMBERS, MOST_FEATURES = 2**20, 500  # of X that are read; for a condition number
FAR = 10.0  # scales, rates and conditions that differ by more are named


def separated(z: Array, y: Array) -> bool:
    """Whether the scores z classify every sample correctly, so that larger weights do better.

    z is (N,) for labels of -1 and +1, or (N, K) for labels 0..K-1.
    """
    if z.ndim == 1:
        return bool((y * z > 0).all())
    own = z[np.arange(len(y)), y]
    z[np.arange(len(y)), y] = -np.inf
    return bool((own > z.max(axis=1)).all())


class Features:
    """Scales and condition of the features, from some of the samples."""

    def __init__(self, batches: Batches, fit_bias: bool) -> None:
        X, rows = batches.all[0], batches.rows
        step = -(-len(rows) * X.shape[1] // MOST_NUMBERS)
        A = X[rows[::step]].astype(np.float64)
        self.exponent = math.frexp(float(np.abs(A).max()))[1]  # divided out: no square overflows
        A, self.fit_bias = np.ldexp(A, -self.exponent), fit_bias
        self.A, self.mean, self.deviation = A, A.mean(axis=0), A.std(axis=0)
        self.size = np.sqrt((A * A).mean(axis=0))
        self.constant = self.deviation <= 1e-10 * self.size  # to rounding

    def scales_advice(self, least: float) -> str:
        """Advice to standardise, if the features' root mean squares differ by more than `least`."""
        size = np.where(self.size > 0, self.size, np.nan)
        if np.isnan(size).all() or np.nanmax(size) <= least * np.nanmin(size):
            return ""
        low, high = int(np.nanargmin(size)), int(np.nanargmax(size))
        in_units = [f"{np.ldexp(size[d], self.exponent):.3g}" for d in (high, low)]
        return (
            f"the features' scales differ {size[high] / size[low]:.3g}-fold (column {high}: "
            f"{in_units[0]}, column {low}: {in_units[1]}): {self.standardise()}"
        )

    def standardise(self) -> str:
        formula = "pass (X - np.mean(X, axis=0)) / np.std(X, axis=0) as X"
        if self.constant.any():
            columns = np.flatnonzero(self.constant).tolist()
            return (
                f"leave out the constant columns, X = np.delete(X, {columns}, axis=1), and "
                f"standardise the others, {formula}"
            )
        return f"standardise them, {formula}"

    def condition_advice(self, curvature: float, reg: float, penalty="a larger reg") -> str:
        """What to do about a condition number of the loss that makes descent slow."""
        if self.A.shape[1] > MOST_FEATURES:
            return ""
        varied, ridge = ~self.constant, reg / curvature
        one = np.ldexp(np.ones((len(self.A), int(self.fit_bias))), -self.exponent)
        before = condition(np.hstack([self.A, one]), np.ldexp(ridge, -2 * self.exponent))
        if before <= FAR**3:
            return ""
        centred = (self.A - self.mean)[:, varied] / self.deviation[varied]
        after = condition(centred, ridge)
        text = f"the condition number of the data is {before:.2g}"
        if after * FAR < before:
            return f"{text}, and {after:.2g} if the features are standardised: {self.standardise()}"
        return (
            f"{text}, since some features nearly follow from others: leave those out, pass "
            f"{penalty}, or take a second-order method"
        )


def condition(A: Array, penalty: float) -> float:
    """The largest eigenvalue of AᵀA / N over the smallest that is not 0 to rounding."""
    values = np.linalg.svd(A, compute_uv=False) ** 2 / max(1, len(A))
    values = values[values > 1e-28 * values.max(initial=0.0)] + penalty
    return float(values[0] / values[-1]) if len(values) else 1.0


def features_advice(
    batch: Batch, fit_bias: bool, curvature: float, reg: float, penalty: str
) -> str:
    """What to do about the features' scales or else their condition; `penalty` is a larger one."""
    with np.errstate(all="ignore"):
        features = Features(Batches(batch, Settings()), fit_bias)
        return features.scales_advice(FAR) or features.condition_advice(curvature, reg, penalty)


def why_not_converged(descent: Any) -> str:
    """What keeps a descent from converging, or what to do in general."""
    if descent.model.loop is None:
        return (
            "raise max_iter, or pass what objective returns to scipy.optimize.minimize, which "
            "needs fewer passes over the data"
        )
    with np.errstate(all="ignore"):
        features = Features(descent.batches, descent.settings.fit_bias)
        reasons = [*separation(descent), *slowness(descent, features)]
        if not reasons:
            reasons = [*conditioning(descent, features)] or [*rounding(descent)]
    return "; ".join(reasons) or "raise max_iter, or continue from this result with start="


def separation(descent: Any) -> Iterator[str]:
    """Classes that the parameters separate, so that no finite ones are the best."""
    (X, y, *_), scores, rows = descent.batches.all, descent.model.scores, descent.batches.rows
    of_labels = isinstance(y, np.ndarray) and y.ndim == 1  # other targets have a finite optimum
    if scores is None or descent.settings.reg > 0 or not of_labels:
        return
    size = max(1, MOST_NUMBERS // X.shape[1])
    blocks = (rows[start : start + size] for start in range(0, len(rows), size))
    if all(separated(scores(X[at], descent.parameters), y[at]) for at in blocks):
        yield (
            "these parameters classify every sample correctly, and larger ones have a lower loss: "
            "there is no finite optimum: pass reg=0.001 or another penalty"
        )


def slowness(descent: Any, features: Features) -> Iterator[str]:
    """A learning rate that is small, for this data or for a feature."""
    settings, model = descent.settings, descent.model
    decay = settings.learning_rate_decay ** (max(descent.i - 1, 0) // descent.batches.per_epoch)
    if decay < 1 / FAR:
        yield (
            f"learning_rate_decay={settings.learning_rate_decay:g} has made the rate "
            f"{descent.rate * decay:.3g}: pass learning_rate_decay=1.0"
        )
    if model.curvature is not None and descent.rate * FAR < descent.safe[0]:
        yield (
            f"learning_rate={descent.rate:g} is small, {descent.safe[0]:.4g} is safe: "
            "pass learning_rate=None"
        )
    advice = features.scales_advice(FAR)
    if advice:
        yield advice


def conditioning(descent: Any, features: Features) -> Iterator[str]:
    """A loss that is far more curved in one direction than in another."""
    curvature = descent.model.curvature
    if curvature is not None:
        advice = features.condition_advice(curvature, descent.settings.reg)
        if advice:
            yield advice


def rounding(descent: Any) -> Iterator[str]:
    """A gradient that the dtype cannot make smaller."""
    dtype, size = descent.batches.all[0].dtype, math.hypot(*map(np.linalg.norm, descent.parameters))
    at_rest = descent.step <= 8 * np.finfo(dtype).eps * size
    if descent.settings.gtol > 0 and (at_rest or descent.norm <= 4 * descent.rounding()):
        wider = "pass np.asarray(X, dtype=np.float64) as X, or " if dtype == np.float32 else ""
        yield (
            f"rounding in {dtype} keeps the gradient from becoming smaller: {wider}pass "
            f"gtol={2 * descent.norm:.0e} or larger"
        )
