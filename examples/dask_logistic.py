"""Logistic regression on data larger than the memory of each worker, with Dask, zarr and L-BFGS.

The data are written in blocks, and read in each step. The sums of a block are computed where it is
read; what travels is the parameters, with each task, and as many sums. One worker and two give the
same bits, and a sample in memory shows what a step would cost without reading.
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

LIMIT = 400 * 2**20  # bytes of memory for each worker
REG, GTOL = 1e-3, 1e-5


def write(folder, N, D, rows):
    """Write X and y in blocks; the labels are those of a plane, with noise."""
    rng = da.random.default_rng(0)
    X = rng.normal(size=(N, D), chunks=(rows, D)).astype(np.float32)
    noise = 2 * rng.normal(size=N, chunks=rows)
    y = da.where(X @ np.linspace(-1, 1, D) + noise > 0, 1, -1).astype(np.int8)
    parts = {"X": X, "y": y}.items()
    dask.compute(*(part.to_zarr(f"{folder}/{name}.zarr", compute=False) for name, part in parts))


def fitted(folder, workers):
    """The optimum that L-BFGS finds, and seconds and largest component of each gradient."""
    steps = []
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=LIMIT, dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        X, y = (da.from_zarr(f"{folder}/{name}.zarr") for name in ("X", "y"))
        f = logistic.objective(X, y, reg=REG)

        def watched(flat):
            started = time.perf_counter()
            loss, gradient = f(flat)
            steps.append((time.perf_counter() - started, np.abs(gradient).max()))
            return loss, gradient

        options = {"gtol": GTOL, "ftol": 0}
        found = minimize(watched, f.start(), jac=True, method="L-BFGS-B", options=options)
        size = X.nbytes + y.nbytes, X.numblocks[0] * f.size * 8
    return found.x, np.array(steps), size


def on_a_sample(folder, rows, flat):
    """Seconds of a gradient of some samples in memory, in one process."""
    X, y = (np.asarray(da.from_zarr(f"{folder}/{name}.zarr")[:rows]) for name in ("X", "y"))
    f = kernels.logistic.objective(X, y, reg=REG)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        f(flat)
        took.append(time.perf_counter() - started)
    return min(took)


def main(out=Path(), N=1_200_000, D=100, rows=50_000):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, N, D, rows)
        found = {workers: fitted(folder, workers) for workers in (1, 2)}
        flat, _, (read, sent) = found[1]
        sample = on_a_sample(folder, rows, flat)
    print(
        f"{N}×{D}, {read / 2**20:.0f} MB in {-(-N // rows)} blocks, {LIMIT / 2**20:.0f} MB a worker"
    )
    figure, axes = figures.new(5, 3.6)
    for workers, (_, steps, _) in found.items():
        seconds, gradients = steps.T
        name = f"{workers} worker{'s' * (workers > 1)}"
        print(
            f"{name}: {len(steps)} gradients of {1e3 * np.median(seconds):.0f} ms, each with "
            f"{read / 2**20:.0f} MB read and twice {sent / 2**10:.0f} kB sent"
        )
        axes.loglog(np.cumsum(seconds), gradients, label=name)
    print(f"in memory, one process: {1e3 * sample * N / rows:.0f} ms, from a sample of {rows} rows")
    same = found[1][0].tobytes() == found[2][0].tobytes()
    print(f"one worker and two give the same bits: {same}")
    axes.set(
        xlabel="seconds",
        ylabel="largest component of the gradient",
        title=f"L-BFGS over Dask, {N}×{D}",
    )
    axes.legend(fontsize=8)
    figures.save(figure, "dask_logistic.png", out)
    return {"flats": [flat for flat, *_ in found.values()], "gradients": found[1][1][:, 1]}


if __name__ == "__main__":
    main(figures.folder())
