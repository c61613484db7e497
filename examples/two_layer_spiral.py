"""CS231n's two-layer network on the spiral of softmax_spiral.py, beside the linear classifier.

The program of https://cs231n.github.io/neural-networks-case-study/: H = 100 ReLU units, weights
0.01 · randn, 10,000 steps of size 1, reg = 1e-3. The notes end at a training accuracy of 98%.
"""

import time
from pathlib import Path

import figures
import numpy as np
from softmax_spiral import descend as descend_linear
from softmax_spiral import draw_regions, spiral

from kernels import softmax, two_layer


def main(out=Path(), max_iter=10_000):
    X, y = spiral()
    started = time.perf_counter()
    fit = two_layer.descend(
        X, y, hidden=100, std=0.01, learning_rate=1.0, reg=1e-3, max_iter=max_iter, tol=0
    )
    seconds = time.perf_counter() - started
    for iteration in range(0, max_iter, max_iter // 10):
        print(f"iteration {iteration}: loss {fit.losses[iteration]:f}")
    parameters = fit.W1, fit.b1, fit.W2, fit.b2
    accuracy = np.mean(two_layer.predict(X, *parameters) == y)
    print(
        f"training accuracy: {accuracy:.2f} "
        f"({max_iter} steps in {seconds:.1f} s, compiling or loading included)"
    )

    linear = descend_linear(X, y)
    figure, axes = figures.new(8, 4, ncols=2)
    linear_accuracy = np.mean(softmax.predict(X, linear.W, linear.b) == y)
    draw_regions(
        axes[0],
        X,
        y,
        lambda grid: softmax.predict(grid, linear.W, linear.b),
        f"linear softmax: {linear_accuracy:.0%} right",
    )
    draw_regions(
        axes[1],
        X,
        y,
        lambda grid: two_layer.predict(grid, *parameters),
        f"two layers, H = 100: {accuracy:.0%} right",
    )
    figures.save(figure, "two_layer_spiral.png", out)
    return {"losses": fit.losses, "accuracy": accuracy, "parameters": parameters}


if __name__ == "__main__":
    main(figures.folder())
