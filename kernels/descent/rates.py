"""How large a learning rate can be, and the advice to give where it was too large."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.average import average
from .settings import Batches, Settings

Array = NDArray[Any]
SAFE = 0.95  # of 2 / curvature, where descent stops converging: power iteration may lack a little


def largest_eigenvalue(X: Array, s: Array, fit_bias: bool) -> float:
    """Of X̃ᵀ diag(s) X̃ / Σ s by power iteration; X̃ is X with a column of ones for a bias."""
    rng = np.random.default_rng(0)
    v, c = np.asarray(rng.normal(size=X.shape[1]), X.dtype), float(fit_bias)
    weight = s.sum(dtype=np.float64) if s.size else len(X)
    size = float(np.abs(X).max()) or 1.0  # divided out, so that no square overflows
    old, value = 0.0, math.inf
    for _ in range(1000):
        length = math.hypot(float(np.linalg.norm(v)), c)
        v, c = v / X.dtype.type(length), c / length
        u = (X @ v + X.dtype.type(c * fit_bias)) / X.dtype.type(size)
        r = s * u if s.size else u
        # Rayleigh's quotient: never above the eigenvalue
        value = average(float(np.vdot(u, r)), weight, 0.0, 0.0) * size * size
        if abs(value - old) <= 1e-6 * value:
            break
        old, v, c = value, r @ X, float(r.sum()) * fit_bias
    return value


def safe_rate(batches: Batches, settings: Settings, curvature: float) -> tuple[float, float]:
    """SAFE · 2 / L and λ, where L = curvature · λ + reg bounds the curvature of the loss.

    With scores X̃ θ the second derivative of the averaged loss is X̃ᵀ diag(s c) X̃ / Σ s + reg, c_n
    being that of a sample's loss by its score: 1 for ½ r², at most 1/4 for log(1 + exp(-m)), at
    most 1/2 for cross-entropy (Böhning, Multinomial logistic regression algorithm, 1992). So L is
    at most curvature · λ + reg with λ the largest eigenvalue of X̃ᵀ diag(s) X̃ / Σ s, and descent
    converges at any rate below 2 / L (Nesterov, Introductory Lectures on Convex Optimization, 2004,
    section 2.1.5). For linear regression without a penalty L is exact: above 2 / L it diverges.

    On batches of B of N samples λ_B = (N (B - 1) λ + (N - B) max_n ‖x̃_n‖²) / (B (N - 1)) takes its
    place, the expected smoothness of Gower et al., SGD: General Analysis and Improved Rates, 2019,
    proposition 3.8.
    """
    X, _, s, _ = batches.all
    with np.errstate(all="ignore"):
        eigenvalue = largest_eigenvalue(X, s, settings.fit_bias)
        if not batches.full_batch:
            rows, B = batches.rows, batches.size
            N = len(rows)
            squares = np.einsum("nd,nd->n", X, X, dtype=np.float64)[rows]
            longest = float(squares.max()) + settings.fit_bias
            eigenvalue = (N * (B - 1) * eigenvalue + (N - B) * longest) / (B * (N - 1))
        bound = curvature * eigenvalue + settings.reg
    return (SAFE * 2 / bound if bound > 0 else math.inf), eigenvalue


def scales_advice(X: Array) -> str:
    """Advice to standardise, if the features' root mean squares differ more than a hundredfold."""
    squares = np.einsum("nd,nd->d", X, X, dtype=np.float64)
    size = np.sqrt(average(squares, len(X), 0.0, 0.0))
    if not size.any() or size.max() <= 100 * size[size > 0].min():
        return ""
    low, high = int(np.where(size > 0, size, np.inf).argmin()), int(size.argmax())
    return (
        f" The features' scales differ {size[high] / size[low]:.0f}-fold (column {high}: "
        f"{size[high]:.3g}, column {low}: {size[low]:.3g}): standardise them, "
        "(X - X.mean(axis=0)) / X.std(axis=0), and a far larger rate will do."
    )
