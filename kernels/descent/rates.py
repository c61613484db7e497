"""The largest learning rate at which descent converges, from the data's second moments."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.average import average
from .settings import Batches, Settings

Array = NDArray[Any]
SAFE = 0.95  # of 2 / curvature, where descent stops converging: power iteration may lack a little
FEW = 64  # features: up to as many, second moments are cheaper than power iteration
BLOCK = 2**18  # numbers of X that are converted to float64 at a time


class Moments:
    """Second moments of X̃, which is X with a column of ones for a bias, over the samples' weights.

    X̃ is divided by 2^exponent, about as large as its largest number, so that no square leaves
    float64.
    """

    def __init__(self, batches: Batches, fit_bias: bool) -> None:
        (self.X, _, self.s, _), self.rows, self.fit_bias = batches.all, batches.rows, fit_bias
        largest = max((float(np.abs(X).max()) for _, X in self.taken()), default=0.0)
        self.exponent = math.frexp(max(largest, float(fit_bias)) or 1.0)[1]
        self.weight = float(sum(s.sum() for _, s in self.blocks()))

    def taken(self) -> Iterator[tuple[Array, Array]]:
        size = max(1, BLOCK // self.X.shape[1])
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            yield rows, self.X[rows]

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """X̃ in float64 and the weights, a block of samples at a time."""
        for rows, X in self.taken():
            block = np.ones((len(X), X.shape[1] + self.fit_bias))
            block[:, : X.shape[1]] = X
            weights = self.s[rows].astype(np.float64) if self.s.size else np.ones(len(rows))
            yield np.ldexp(block, -self.exponent, out=block), weights

    def gram(self) -> Array:
        """X̃ᵀ diag(s) X̃ / Σ s."""
        total: Any = sum((X.T * s) @ X for X, s in self.blocks())
        return average(total, self.weight, 0.0, 0.0)

    def longest(self) -> float:
        """The largest squared length of a row."""
        return max(float(np.einsum("nd,nd->n", X, X).max()) for X, _ in self.blocks())

    def largest_eigenvalue(self) -> float:
        """Of `gram`: by power iteration, unless there are few features."""
        D = self.X.shape[1] + self.fit_bias
        if D <= FEW:
            return float(np.linalg.eigvalsh(self.gram())[-1])
        v, old, value = np.random.default_rng(0).normal(size=D), 0.0, math.inf
        for _ in range(1000):
            v /= np.linalg.norm(v)
            product: Any = sum(X.T @ (s * (X @ v)) for X, s in self.blocks())
            # Rayleigh's quotient: never above the eigenvalue
            value = float(average(v @ product, self.weight, 0.0, 0.0))
            if abs(value - old) <= 1e-5 * value:
                break
            old, v = value, product
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

    The rate is rounded down to four digits, which the number of threads of a BLAS does not change.
    """
    with np.errstate(all="ignore"):
        moments = Moments(batches, settings.fit_bias)
        eigenvalue = moments.largest_eigenvalue()
        if not batches.full_batch:
            N, B = len(batches.rows), batches.size
            longest = moments.longest()
            eigenvalue = (N * (B - 1) * eigenvalue + (N - B) * longest) / (B * (N - 1))
        # in units of 4^exponent, unless the penalty alone counts in them
        unit = 2 * moments.exponent
        bound = curvature * eigenvalue + float(np.ldexp(settings.reg, -unit))
        rate = float(np.ldexp(SAFE * 2 / bound, -unit)) if 0 < bound < math.inf else math.inf
        if bound == math.inf:
            rate = SAFE * 2 / settings.reg
        largest = float(np.finfo(batches.all[0].dtype).max)
        return min(rounded_down(rate), largest), float(np.ldexp(eigenvalue, unit))


def rounded_down(rate: float) -> float:
    """The rate, with four significant digits that are not above it."""
    if not 0 < rate < math.inf:
        return rate
    digits, exponent = f"{rate:.16e}".split("e")
    return float(f"{digits[:5]}e{exponent}")
