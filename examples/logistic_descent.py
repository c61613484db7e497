"""Logistic regression with two features by gradient descent, and a false convergence.

An exercise of a well-known course (205 samples, no bias, learning rate 0.1, reg 0 and 10, at most
10,000 iterations, AUC of the training set), on synthetic data. A common mistake is to update the
weights in place and compare them with another name of the same array: the step seems to be 0.
"""

from pathlib import Path

import figures
import numpy as np
from sklearn.metrics import roc_auc_score

from kernels import logistic


def data(N=205, seed=0):
    """Two overlapping classes with correlated features of different scales."""
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], N)
    X = rng.normal(size=(N, 2)) @ [[1.0, 0.6], [0.0, 1.4]] + y[:, None] * [0.9, 0.4]
    return X, y


def converged_at_once(X, y, learning_rate=0.1, tol=1e-5):
    """The mistake: `old` is the array that is updated in place."""
    w, iteration, step = np.zeros(2), 0, np.inf
    while step > tol and iteration < 10_000:
        old = w
        w -= learning_rate * logistic.gradient(X, y, w).w
        step, iteration = np.linalg.norm(w - old), iteration + 1
    return w, iteration


def main(out=Path()):
    X, y = data()
    found = {}
    for reg in (0.0, 10.0):
        fit = logistic.descend(
            X, y, learning_rate=0.1, reg=reg, tol=1e-5, max_iter=10_000, fit_bias=False
        )
        auc = roc_auc_score(y, logistic.probabilities(X, fit.w))
        print(f"reg {reg:g}: w = {fit.w.round(6)}, {fit.n_iter} iterations, AUC {auc:.3f}")
        found[reg] = fit, auc
    wrong, iterations = converged_at_once(X, y)
    print(f"old and new weights the same array: w = {wrong.round(6)}, {iterations} iteration")

    figure, axes = figures.new(8, 3.6, ncols=2)
    for label, colour in ((-1, "#4477aa"), (1, "#bb5566")):
        axes[0].scatter(*X[y == label].T, s=12, color=colour, label=f"y = {label:+d}")
    edge = np.array([-4.5, 4.5])
    for (reg, (fit, _)), style in zip(found.items(), ("-", "--"), strict=True):
        axes[0].plot(edge, -edge * fit.w[0] / fit.w[1], "k" + style, label=f"reg {reg:g}: x·w = 0")
        axes[1].plot(
            fit.losses, style, color="black", label=f"reg {reg:g}, {fit.n_iter} iterations"
        )
    axes[0].set(xlim=edge, ylim=(-7, 5), xlabel="$x_1$", ylabel="$x_2$")
    axes[1].set(xscale="log", xlabel="iteration + 1", ylabel="loss")
    axes[0].legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    axes[1].legend(fontsize=8)
    figures.save(figure, "logistic_descent.png", out)
    return {
        reg: {"w": fit.w, "n_iter": fit.n_iter, "auc": auc} for reg, (fit, auc) in found.items()
    } | {"wrong": wrong}


if __name__ == "__main__":
    main(figures.folder())
