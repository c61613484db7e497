"""Linear regression of NASA's airfoil self-noise by gradient descent, and a common sign error.

Descent on the squared error (residual = prediction - target) and ascent on the Gaussian
log-likelihood (residual = target - prediction) take the same path. The sign of one with the
residual of the other diverges.
"""

from pathlib import Path

import figures
import numpy as np

from kernels import linear

NAMES = ["frequency", "angle", "chord", "velocity", "thickness"]


def data():
    """The data of bench/data (CC BY 4.0, see its README), every column standardised."""
    table = np.loadtxt(Path(__file__).parents[1] / "bench" / "data" / "airfoil_self_noise.dat")
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    return table[:, :-1], table[:, -1]


def log_likelihood(mean_squared_error, N):
    """Log-likelihood of N residuals under a normal distribution with their own variance."""
    return -N / 2 * (np.log(2 * np.pi * mean_squared_error) + 1)


def climb(X, y, learning_rate, iterations, sign=1):
    """Gradient ascent on the log-likelihood; sign=-1 is the mistake."""
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(iterations):
        residual = y - (X @ w + b)
        w = w + sign * learning_rate * residual @ X / len(y)
        b = b + sign * learning_rate * residual.mean()
    return w, b


def main(out=Path()):
    X, y = data()
    fit = linear.descend(X, y, learning_rate=0.5, tol=1e-10)
    for iteration in (0, 1, 2, 5, 10, 20, 50, 100, fit.n_iter - 1):
        loss = fit.losses[iteration]
        print(
            f"iteration {iteration}: loss {loss:.6f}, "
            f"log-likelihood {log_likelihood(2 * loss, len(y)):.2f}"
        )
    r_squared = 1 - 2 * fit.losses[-1] / y.var()
    print(f"converged after {fit.n_iter} iterations: R² = {r_squared:.4f}, b = {fit.b:.1e}")
    print("weights: " + ", ".join(f"{name} {w:.4f}" for name, w in zip(NAMES, fit.w, strict=True)))
    climbed, _ = climb(X, y, 0.5, fit.n_iter)
    print(
        "ascent on the log-likelihood instead: "
        f"weights differ by {np.abs(climbed - fit.w).max():.1e}"
    )
    lost, _ = climb(X, y, 0.5, 50, sign=-1)
    print(
        "with the sign of one and the residual of the other: "
        f"after 50 steps the largest weight is {np.abs(lost).max():.1e}"
    )

    figure, axes = figures.new(8, 3.4, ncols=2)
    axes[0].loglog(np.arange(1, fit.n_iter + 1), fit.losses - fit.losses[-1] + 1e-17, color="black")
    axes[0].set(
        xlabel="iteration",
        ylabel="loss above its minimum",
        title=f"R² = {r_squared:.4f}",
        ylim=(1e-16, 1),
    )
    axes[1].barh(NAMES, fit.w, color="#4477aa")
    axes[1].invert_yaxis()
    axes[1].axvline(0, color="black", linewidth=0.8)
    axes[1].set(xlabel="weight, in standard deviations of the noise")
    figures.save(figure, "airfoil.png", out)
    return {
        "fit": fit,
        "r_squared": r_squared,
        "log_likelihood": log_likelihood(2 * fit.losses[-1], len(y)),
        "climbed": climbed,
    }


if __name__ == "__main__":
    main(figures.folder())
