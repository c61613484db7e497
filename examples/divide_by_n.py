"""Why divide by N? The largest learning rate that converges, with the mean and with the sum.

Both are found by bisection, running linear regression on N samples at one rate after another. With
the mean of the gradients the rate hardly changes with N; with the sum it is N times smaller, and
must be tuned again for every batch size.
"""

from pathlib import Path

import figures
import numpy as np

from kernels import DivergenceError, linear


def descends(X, y, learning_rate):
    try:
        losses = linear.descend(X, y, learning_rate=learning_rate, tol=0, max_iter=2000).losses
    except DivergenceError:
        return False
    return losses[-1] < losses[0]


def largest_rate(descends, low=1e-6, high=1e3, steps=20):
    """Bisection on a logarithmic scale."""
    for _ in range(steps):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if descends(middle) else (low, middle)
    return low


def main(out=Path(), largest=8192):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(largest, 5))
    y = X @ [1.0, -2.0, 3.0, 0.5, 0.0] + 0.1 * rng.normal(size=largest)
    sizes = 2 ** np.arange(3, int(np.log2(largest)) + 1)
    mean, total, bound = [], [], []
    print("     N   mean      sum        2 / largest eigenvalue of XᵀX/N")
    for N in sizes:
        batch = X[:N], y[:N]
        mean.append(largest_rate(lambda rate, batch=batch: descends(*batch, rate)))
        # The sum is N times the mean, so its step at a rate is the mean's step at N times the rate.
        total.append(largest_rate(lambda rate, batch=batch, N=N: descends(*batch, N * rate)))
        ones = np.column_stack([batch[0], np.ones(N)])
        bound.append(2 / np.linalg.eigvalsh(ones.T @ ones / N)[-1])
        print(f"{N:6}   {mean[-1]:.4f}   {total[-1]:.3e}   {bound[-1]:.4f}")

    figure, axes = figures.new(5, 3.8)
    axes.loglog(sizes, mean, "o-", color="#4477aa", label="mean of the gradients")
    axes.loglog(sizes, total, "s-", color="#bb5566", label="sum of the gradients")
    axes.loglog(sizes, bound, "k:", label="2 / largest eigenvalue of XᵀX/N")
    axes.set(
        xlabel="batch size N",
        ylabel="largest learning rate that converges",
        xticks=sizes[::2],
        xticklabels=sizes[::2],
    )
    axes.minorticks_off()
    axes.legend(fontsize=8)
    figures.save(figure, "divide_by_n.png", out)
    return {
        "sizes": sizes,
        "mean": np.array(mean),
        "sum": np.array(total),
        "bound": np.array(bound),
    }


if __name__ == "__main__":
    main(figures.folder())
