"""CS231n's softmax_loss_naive, with X as features × samples, compared with every variant.

The older notes store W as (C, D) and X as (D, N): pass W.T, and X.T, which is not copied by the
tiled variant. With small weights all classes are about equally probable, so the initial loss must
be about log C, which the notes advise to check first.
"""

import time
from pathlib import Path

import figures
import numpy as np
from sklearn.datasets import load_digits

from kernels import softmax


def softmax_loss_naive(W, X, y, reg):
    """A solution of the assignment: W (C, D), X (D, N), loops, the gradient of W alone."""
    C, N = len(W), X.shape[1]
    loss, dW = 0.0, np.zeros_like(W)
    for n in range(N):
        scores = W @ X[:, n]
        scores -= scores.max()
        p = np.exp(scores) / np.exp(scores).sum()
        loss -= np.log(p[y[n]])
        for c in range(C):
            dW[c] += (p[c] - (c == y[n])) * X[:, n]
    # A common mistake is to forget one of the two divisions by N.
    return loss / N + 0.5 * reg * (W * W).sum(), dW / N + reg * W


def main(out=Path(), reg=1e-3):
    X, y = load_digits(return_X_y=True)
    X = np.ascontiguousarray(X.T / 16)  # (D, N) = (64, 1797)
    C = 10
    W = 0.001 * np.random.default_rng(0).normal(size=(C, len(X)))
    loss, dW = softmax_loss_naive(W, X, y, reg)
    print(f"initial loss {loss:.4f}, log C = {np.log(C):.4f}")
    worst = {}
    for variant in softmax.VARIANTS:
        if variant == "python":  # slow: fewer samples
            some = slice(0, 100)
            _, expected = softmax_loss_naive(W, X[:, some], y[some], reg)
        else:
            some, expected = slice(None), dW
        softmax.gradient(X.T[some], y[some], W.T, reg=reg, variant=variant)
        started = time.perf_counter()
        gradient = softmax.gradient(X.T[some], y[some], W.T, reg=reg, variant=variant)
        milliseconds = 1e3 * (time.perf_counter() - started)
        worst[variant] = np.abs(gradient.W.T - expected).max() / np.abs(expected).max()
        print(
            f"{variant:7} {milliseconds:8.3f} ms on {len(y[some]):4} samples, "
            f"gradient within {worst[variant]:.1e}"
        )

    fit = softmax.descend(
        X.T, y, W=W.T, learning_rate=0.5, reg=reg, max_iter=500, tol=0, fit_bias=False
    )
    accuracy = np.mean(softmax.predict(X.T, fit.W) == y)
    print(f"after 500 steps: loss {fit.losses[-1]:.4f}, training accuracy {accuracy:.3f}")

    figure, axes = figures.new(7, 3.2, nrows=2, ncols=5)
    for c, panel in enumerate(axes.flat):
        template, limit = fit.W[:, c].reshape(8, 8), np.abs(fit.W).max()
        panel.imshow(template, cmap="RdBu_r", vmin=-limit, vmax=limit)
        panel.set_title(f"weights of {c}", fontsize=9)
        panel.set_axis_off()
    figures.save(figure, "softmax_naive.png", out)
    return {
        "loss": loss,
        "dW": dW,
        "worst": worst,
        "accuracy": accuracy,
        "W": W,
        "X": X,
        "y": y,
        "fit": fit,
    }


if __name__ == "__main__":
    main(figures.folder())
