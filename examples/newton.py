"""Newton's method without a Hessian: trust-ncg with `hessp`, and L-BFGS, on an ill-conditioned fit.

A step of Newton's method solves H p = -gradient. SciPy's trust-ncg does so by conjugate gradients,
which need no more of the Hessian than its product with a vector: one pass over X each, like a
gradient. L-BFGS has to learn the curvature from its last ten gradients.
"""

from pathlib import Path

import figures
import numpy as np
from scipy.optimize import minimize

from kernels import logistic

REG, GTOL = 1e-6, 1e-6


def data(N):
    """Two classes by 40 features, whose covariance has the condition number 10⁶."""
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    X = rng.normal(size=(N, 40)) * np.geomspace(1, 1e-3, 40) @ turned
    z = X @ turned.T @ (rng.normal(size=40) * np.geomspace(1, 1e2, 40))
    return X, np.where(z > rng.logistic(size=N), 1, -1)


class Watched:
    """An objective that counts its passes over the data; the gradient's size after each."""

    def __init__(self, f):
        self.f, self.passes, self.sizes = f, [], []
        self.count = 0

    def __call__(self, flat):
        loss, gradient = self.f(flat)
        self.count += 1
        self.passes.append(self.count)
        self.sizes.append(np.abs(gradient).max())
        return loss, gradient

    def hessp(self, flat, p):
        self.count += 1
        return self.f.hessp(flat, p)


def main(out=Path(), N=20_000):
    X, y = data(N)
    f = logistic.objective(X, y, reg=REG)
    newton, lbfgs = Watched(f), Watched(f)
    found = {
        "trust-ncg with hessp": minimize(
            newton, f.start(), jac=True, hessp=newton.hessp, method="trust-ncg", tol=GTOL
        ),
        "L-BFGS": minimize(
            lbfgs,
            f.start(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 10_000, "maxfun": 10_000, "gtol": GTOL, "ftol": 0},
        ),
    }
    figure, axes = figures.new(5, 3.6)
    for (name, result), watched, color in zip(
        found.items(), (newton, lbfgs), ("#4477aa", "#bb5566"), strict=True
    ):
        size = np.abs(f(result.x)[1]).max()
        print(f"{name:20} {watched.count:5} passes over X, gradient {size:.1e}")
        axes.semilogy(watched.passes, watched.sizes, color=color, label=name)
    axes.set(
        xlabel="passes over X, for gradients and Hessian-vector products",
        ylabel="largest component of the gradient",
        title=f"logistic regression, {N}×40, condition 10⁶",
    )
    axes.legend(fontsize=8)
    figures.save(figure, "newton.png", out)
    return {"X": X, "y": y, "passes": (newton.count, lbfgs.count)} | {
        name.partition(" ")[0]: result.x for name, result in found.items()
    }


if __name__ == "__main__":
    main(figures.folder())
