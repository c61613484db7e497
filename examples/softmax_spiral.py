"""CS231n's linear softmax classifier on a spiral of three arms.

The program of https://cs231n.github.io/neural-networks-case-study/: K = 3 arms of N = 100 points, W
= 0.01 · randn, 200 steps of size 1, reg = 1e-3. The notes end at a loss of 0.79 and a training
accuracy of 49%; both depend on the spiral drawn.
"""

from pathlib import Path

import figures
import numpy as np
from matplotlib.colors import ListedColormap

from kernels import softmax

COLOURS = ListedColormap(["#4477aa", "#ddaa33", "#bb5566"])


def spiral(N=100, K=3, seed=0):
    """The notes' data: K arms of N points in the plane."""
    rng = np.random.default_rng(seed)
    radius, y = np.tile(np.linspace(0, 1, N), K), np.repeat(np.arange(K), N)
    angle = np.concatenate([np.linspace(4 * k, 4 * (k + 1), N) for k in range(K)])
    angle += 0.2 * rng.normal(size=N * K)
    return np.column_stack([radius * np.sin(angle), radius * np.cos(angle)]), y


def draw_regions(axes, X, y, predict, title):
    """Draw the predicted class at every point of the plane, and the samples on top."""
    edge = np.linspace(-1.25, 1.25, 300)
    grid = np.column_stack([side.ravel() for side in np.meshgrid(edge, edge)])
    axes.imshow(
        predict(grid).reshape(300, 300),
        extent=(-1.25, 1.25, -1.25, 1.25),
        origin="lower",
        cmap=COLOURS,
        alpha=0.35,
        vmin=0,
        vmax=2,
    )
    axes.scatter(*X.T, c=y, cmap=COLOURS, s=14, edgecolors="black", linewidths=0.4)
    axes.set(title=title, xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def descend(X, y, seed=0):
    W = 0.01 * np.random.default_rng(seed).normal(size=(2, 3))
    return softmax.descend(X, y, W=W, learning_rate=1.0, reg=1e-3, max_iter=200, tol=0)


def main(out=Path()):
    X, y = spiral()
    fit = descend(X, y)
    for iteration in range(0, 200, 10):
        print(f"iteration {iteration}: loss {fit.losses[iteration]:f}")
    accuracy = np.mean(softmax.predict(X, fit.W, fit.b) == y)
    print(f"training accuracy: {accuracy:.2f}")

    # The notes' exp(scores), without subtracting the maximum, overflows for large scores.
    large = 1000 * X @ fit.W
    with np.errstate(over="ignore", invalid="ignore"):
        unsafe = np.exp(large) / np.exp(large).sum(axis=1, keepdims=True)
    lost = np.isnan(unsafe).any(axis=1).mean()
    print(
        f"weights a thousand times larger: exp(scores) is nan for {lost:.0%} of the samples, "
        "softmax.loss is ",
        end="",
    )
    print(f"{softmax.loss(X, y, 1000 * fit.W, 1000 * fit.b):.1f}")

    figure, axes = figures.new(4, 4)
    draw_regions(
        axes,
        X,
        y,
        lambda grid: softmax.predict(grid, fit.W, fit.b),
        f"linear softmax: {accuracy:.0%} right",
    )
    figures.save(figure, "softmax_spiral.png", out)
    return {"losses": fit.losses, "accuracy": accuracy, "W": fit.W, "b": fit.b}


if __name__ == "__main__":
    main(figures.folder())
