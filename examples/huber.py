"""Huber regression, a problem defined outside the package: linear regression that bears outliers.

::

    loss      ℓ = ½ r² if |r| <= 1, else |r| - ½,   r = x w + b - y
    residual  ∂ℓ/∂z = min(1, max(-1, r))
    second    ∂²ℓ/∂z² = 1 if |r| <= 1, else 0

Reference: Huber, Robust Estimation of a Location Parameter, 1964.
"""

from pathlib import Path

import figures
import numpy as np
from numba import njit
from scipy.optimize import minimize

import kernels
from kernels import linear


@njit
def sums_loop(X, y, s, w, b):
    loss, weight, dw, db = 0.0, 0.0, np.zeros_like(w), 0.0
    for n in range(len(X)):
        z = b
        for d in range(len(w)):
            z += X[n, d] * w[d]
        size = abs(z - y[n])
        slope = min(1.0, max(-1.0, z - y[n]))
        loss += s[n] * (0.5 * size * size if size <= 1 else size - 0.5)
        weight += s[n]
        for d in range(len(w)):
            dw[d] += s[n] * slope * X[n, d]
        db += s[n] * slope
    return loss, weight, dw, db


def sums_numpy(X, y, s, w, b):
    r = X @ w + b - y
    slope = np.clip(r, -1, 1)
    losses = slope * (r - slope / 2)
    return (s * losses).sum(dtype=float), s.sum(dtype=float), (s * slope) @ X, (s * slope).sum()


@njit
def residual(z, y):
    slope = min(1.0, max(-1.0, z - y))
    return slope * (z - y - slope / 2), slope


@njit
def second_derivative(z, y):
    return (abs(z - y) <= 1) * 1.0


Huber = kernels.Problem(
    "huber",
    parameters={"w": "D", "b": ""},
    loop=sums_loop,
    numpy=sums_numpy,
    residual=residual,
    curvature=1.0,
    second_derivative=second_derivative,
    doc=__doc__,
)


def data(N=60):
    """A line with noise; a tenth of the samples, on the right, are far below it."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 10, N))
    y = 2 * x + 1 + rng.normal(size=N)
    y[rng.choice(np.arange(N // 2, N), N // 10, replace=False)] -= 25
    return x[:, None], y


def main(out=Path()):
    X, y = data()
    f = Huber.objective(X, y)
    found = minimize(f, f.start(), jac=True, hessp=f.hessp, method="trust-ncg", tol=1e-9)
    fits = {"squares": linear.descend(X, y, gtol=1e-9), "Huber": Huber.descend(X, y, gtol=1e-9)}
    for name, fit in fits.items():
        print(f"{name:8} y = {fit.w[0]:.3f} x + {fit.b:.3f}, {fit.n_iter} steps of descent")
    w, b = f.unpack(found.x)
    print(f"Huber    y = {w[0]:.3f} x + {b:.3f}, {found.nit} iterations of trust-ncg")
    figure, axes = figures.new(5, 3.6)
    axes.scatter(X, y, s=8, color="#777777")
    for (name, fit), color in zip(fits.items(), ("#bb5566", "#4477aa"), strict=True):
        axes.plot([0, 10], [fit.b, fit.b + 10 * fit.w[0]], color=color, label=name)
    axes.set(xlabel="x", ylabel="y", title="a line with outliers")
    axes.legend(fontsize=8)
    figures.save(figure, "huber.png", out)
    return {"X": X, "y": y, "newton": found.x, "descent": fits["Huber"]}


if __name__ == "__main__":
    main(figures.folder())
