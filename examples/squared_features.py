"""Linear regression of y = x² on [x, x²], x = 1..5: diverges on raw features, not on standardised.

With the raw features the largest eigenvalue of XᵀX/N is about 200, so learning rates above 0.01 are
too large: each step multiplies the error by about the same factor, and a loop without a check
prints growing losses, then inf, then nan.
"""

from pathlib import Path

import figures
import numpy as np

from kernels import DivergenceError, linear


def main(out=Path()):
    x = np.arange(1.0, 6.0)
    X, y = np.column_stack([x, x**2]), x**2
    try:
        linear.descend(X, y, learning_rate=0.1)
    except DivergenceError as error:
        raw = error
    print(f"raw, learning_rate 0.1: {raw}\n")

    standardised = (X - X.mean(axis=0)) / X.std(axis=0)
    fit = linear.descend(standardised, y, learning_rate=0.5, tol=1e-9)
    safe = linear.descend(X, y, learning_rate=raw.safe_learning_rate, tol=1e-9, max_iter=100_000)
    for name, found in (
        ("standardised, learning_rate 0.5", fit),
        (f"raw, learning_rate {raw.safe_learning_rate:.4g}", safe),
    ):
        print(
            f"{name}: converged after {found.n_iter} iterations, "
            f"mean squared error {2 * found.losses[-1]:.3g}"
        )
    w = fit.w / X.std(axis=0)  # undoing the standardisation
    print(f"in the raw features: w = {w.round(6)}, b = {fit.b - X.mean(axis=0) @ w:.6f}")

    figure, axes = figures.new(5, 3.6)
    for losses, label, style in (
        (raw.losses, "raw, rate 0.1: stopped by DivergenceError", "-"),
        (safe.losses, f"raw, the rate it names, {raw.safe_learning_rate:.3g}", "--"),
        (fit.losses, "standardised, rate 0.5", ":"),
    ):
        axes.loglog(np.arange(1, len(losses) + 1), 2 * losses, style, color="black", label=label)
    axes.set(xlabel="iteration", ylabel="mean squared error", ylim=(1e-18, 1e30))
    axes.legend(fontsize=8)
    figures.save(figure, "squared_features.png", out)
    return {
        "error": raw,
        "standardised": fit,
        "safe": safe,
        "w": w,
        "b": fit.b - X.mean(axis=0) @ w,
    }


if __name__ == "__main__":
    main(figures.folder())
