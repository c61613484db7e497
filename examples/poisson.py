"""Poisson regression, a problem defined outside the package: counts y whose mean is exp(x w + b).

::

    loss      ℓ = exp(z) - y z,   z = x w + b         X: (N, D), y: (N,), w: (D,), b: a number
    residual  r = ∂ℓ/∂z = exp(z) - y
    gradient  ∂ℓ/∂w = r x,   ∂ℓ/∂b = r
    second    ∂²ℓ/∂z² = exp(z)
"""

import numpy as np
from numba import njit

import kernels
from kernels.vmath import exp


@njit
def sums_loop(X, y, s, w, b):
    loss, weight, dw, db = 0.0, 0.0, np.zeros_like(w), 0.0
    for n in range(len(X)):
        z = b
        for d in range(len(w)):
            z += X[n, d] * w[d]
        r = np.exp(z) - y[n]
        loss += s[n] * (np.exp(z) - y[n] * z)
        weight += s[n]
        for d in range(len(w)):
            dw[d] += s[n] * r * X[n, d]
        db += s[n] * r
    return loss, weight, dw, db


def sums_numpy(X, y, s, w, b):
    z = X @ w + b
    r, losses = np.exp(z) - y, np.exp(z) - y * z
    return (s * losses).sum(dtype=float), s.sum(dtype=float), (s * r) @ X, (s * r).sum()


@njit
def residual(z, y):
    mean = exp(z)
    return mean - y * z, mean - y


@njit
def second_derivative(z, y):
    return exp(z)


def counts(y):
    """Raise ValueError for negative targets."""
    if (y < 0).any():
        raise ValueError(f"y[{y.argmin()}] is {y.min()}: a count is not negative")


declaration = {"parameters": {"w": "D", "b": ""}, "y": counts, "predict": np.exp, "doc": __doc__}
declaration |= {"loop": sums_loop, "numpy": sums_numpy, "residual": residual}
Poisson = kernels.Problem("poisson", second_derivative=second_derivative, **declaration)

if __name__ == "__main__":
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 3))
    y = rng.poisson(np.exp(X @ [0.5, -0.2, 0.1] + 1))
    fit = Poisson.descend(X, y, learning_rate=0.1)
    print(f"descent: {fit.n_iter} iterations, w = {fit.w.round(3)}, b = {fit.b:.3f}")
    f = Poisson.objective(X, y)
    found = minimize(f, f.start(), jac=True, hessp=f.hessp, method="trust-ncg")
    w, b = f.unpack(found.x)
    print(f"Newton:  {found.nit} iterations, w = {w.round(3)}, b = {b:.3f}")
