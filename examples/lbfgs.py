"""SciPy's L-BFGS on this package's objective, compared with scikit-learn's LogisticRegression.

`objective` returns what `scipy.optimize.minimize(jac=True)` takes. Both minimise the same loss
(reg = 1 / (C N)) with SciPy's L-BFGS until no component of the gradient is larger than 1e-6; they
differ in the code that computes the gradient.
"""

import time
from pathlib import Path

import figures
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from kernels import logistic

REG, GTOL = 1e-3, 1e-6


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), 2 * y - 1


def synthetic(N):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 30))
    return X, np.where(X @ rng.normal(size=30) + 2 * rng.normal(size=N) > 0, 1, -1)


def minimised(f):
    options = {"maxiter": 1000, "gtol": GTOL, "ftol": 64 * np.finfo(float).eps}
    return minimize(f, np.zeros(31), jac=True, method="L-BFGS-B", options=options).x


def ours(X, y):
    return minimised(logistic.objective(X, y, reg=REG))


def theirs(X, y):
    fit = LogisticRegression(C=1 / (REG * len(y)), tol=GTOL, max_iter=1000).fit(X, y)
    return np.append(fit.coef_[0], fit.intercept_[0])


def timed(solve, X, y, repeats=5):
    """The solution, and the median time in milliseconds."""
    took = []
    for _ in range(repeats):
        started = time.perf_counter()
        solution = solve(X, y)
        took.append(1e3 * (time.perf_counter() - started))
    return solution, float(np.median(took))


def main(out=Path(), N=100_000):
    found = {}
    for name, (X, y) in {"breast cancer": breast_cancer(), "synthetic": synthetic(N)}.items():
        ours(X, y)  # the first call compiles or loads
        f = logistic.objective(X, y, reg=REG)
        print(f"{name}, {X.shape[0]}×{X.shape[1]}:")
        for who, solve in {"L-BFGS on kernels": ours, "scikit-learn": theirs}.items():
            solution, ms = timed(solve, X, y)
            print(f"  {who:18} {ms:8.1f} ms, gradient {np.abs(f(solution)[1]).max():.1e}")
            found.setdefault(name, {"X": X, "y": y})[solve.__name__] = solution
        differ = np.abs(found[name]["ours"] - found[name]["theirs"]).max()
        print(f"  weights differ by {differ:.1e}, the largest is {np.abs(solution).max():.2f}")

    X, y = breast_cancer()
    f, path, slow = logistic.objective(X, y, reg=REG), [], []

    def watched(flat):
        loss, gradient = f(flat)
        path.append(np.abs(gradient).max())
        return loss, gradient

    def watch(iteration, loss, params):
        slow.append(np.abs(f(f.pack(*params))[1]).max())

    minimised(watched)
    logistic.descend(X, y, learning_rate=0.5, reg=REG, max_iter=1000, tol=0, callback=watch)
    figure, axes = figures.new(5, 3.6)
    axes.loglog(np.arange(1, len(path) + 1), path, color="#4477aa", label="L-BFGS")
    axes.loglog(np.arange(1, len(slow) + 1), slow, color="#bb5566", label="descent, rate 0.5")
    axes.set(
        xlabel="gradients computed",
        ylabel="largest component of the gradient",
        title="breast cancer, 569×30",
    )
    axes.legend(fontsize=8)
    figures.save(figure, "lbfgs.png", out)
    return found


if __name__ == "__main__":
    main(figures.folder())
