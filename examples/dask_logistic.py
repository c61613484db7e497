"""Logistic regression on files larger than the memory of each worker, with Dask and L-BFGS.

A block is read from the files where its sums are computed, in each step; what travels is the
parameters, with each task, and as many sums. One worker and two give the same bits, and a sample in
memory shows what a step would cost without Dask.
"""

import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import figures
import numpy as np
from dask.distributed import Client, LocalCluster
from scipy.optimize import minimize

import kernels
from kernels.dask import logistic

LIMIT = 512 * 2**20  # bytes of memory for each worker
REG, GTOL = 1e-3, 1e-4


def write(folder, N, D, rows):
    """Write X.npy and y.npy, some rows at a time; the labels are those of a plane, with noise."""
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(f"{folder}/X.npy", "w+", np.float32, (N, D))
    y = np.lib.format.open_memmap(f"{folder}/y.npy", "w+", np.float32, (N,))
    for start in range(0, N, rows):
        at = slice(start, min(start + rows, N))
        X[at] = rng.standard_normal(X[at].shape, np.float32)
        z = X[at] @ np.linspace(-1, 1, D) + rng.logistic(scale=2, size=len(y[at]))
        y[at] = np.where(z > 0, 1, -1)


def part(path, start, rows):
    """Some rows of a file, mapped: their pages are read when they are used."""
    return np.load(path, mmap_mode="r")[start : start + rows]


def lazy(path, rows):
    """The array in a file, in blocks of some rows."""
    shape, load = np.load(path, mmap_mode="r").shape, dask.delayed(part, pure=True)
    blocks = [
        da.from_delayed(
            load(path, start, rows), (min(rows, shape[0] - start), *shape[1:]), np.float32
        )
        for start in range(0, shape[0], rows)
    ]
    return da.concatenate(blocks)


def fitted(folder, rows, workers):
    """The optimum that L-BFGS finds, and seconds and largest component of each gradient."""
    steps = []
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=LIMIT, dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        f = logistic.objective(*(lazy(f"{folder}/{name}.npy", rows) for name in "Xy"), reg=REG)
        f(f.start())  # compiles, if this is the first time

        def watched(flat):
            started = time.perf_counter()
            loss, gradient = f(flat)
            steps.append((time.perf_counter() - started, np.abs(gradient).max()))
            return loss, gradient

        options = {"gtol": GTOL, "ftol": 0}
        found = minimize(watched, f.start(), jac=True, method="L-BFGS-B", options=options)
    return found.x, np.array(steps)


def on_a_sample(folder, rows, flat):
    """Seconds of a gradient of some samples in memory, in one process."""
    X, y = (np.array(part(f"{folder}/{name}.npy", 0, rows)) for name in "Xy")
    f = kernels.logistic.objective(X, y, reg=REG, threads=1)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        f(flat)
        took.append(time.perf_counter() - started)
    return min(took)


def main(out=Path(), N=1_600_000, D=100, rows=200_000):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, N, D, rows)
        found = {workers: fitted(folder, rows, workers) for workers in (1, 2)}
        sample = on_a_sample(folder, rows, found[1][0])
    blocks, size = -(-N // rows), 4 * N * (D + 1) / 1e6
    print(f"{N}×{D} float32, {size:.0f} MB in {blocks} blocks; {LIMIT / 1e6:.0f} MB a worker")
    figure, axes = figures.new(5, 3.6)
    for workers, (_, steps) in found.items():
        seconds, gradients = steps.T
        name = f"{workers} worker{'s' * (workers > 1)}"
        print(
            f"{name}: {len(steps)} gradients, the median in {1e3 * np.median(seconds):.0f} ms; "
            f"{size:.0f} MB read, {8e-3 * blocks * (D + 1):.0f} kB sent there and as many back"
        )
        axes.semilogy(np.cumsum(seconds), gradients, label=name)
    print(f"one process in memory, from a sample of {rows}: {1e3 * sample * N / rows:.0f} ms")
    same = found[1][0].tobytes() == found[2][0].tobytes()
    print(f"one worker and two give the same bits: {same}")
    axes.set(
        xlabel="seconds",
        ylabel="largest component of the gradient",
        title=f"L-BFGS over Dask, {N}×{D}",
    )
    axes.legend(fontsize=8)
    figures.save(figure, "dask_logistic.png", out)
    return {workers: flat for workers, (flat, _) in found.items()}


if __name__ == "__main__":
    main(figures.folder())
