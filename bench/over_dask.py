"""Time a step of logistic regression over Dask on this machine: `python -m bench.over_dask 1 2`.

A cluster of each number of workers has blocks of 100 features in memory. A step is loss and
gradient by `kernels.dask`; by dask-glm, as its L-BFGS computes them, where that is installed; and
by the blocks' own sums, one after the other on all workers at once: the work without Dask.
"""

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import dask.config
import numpy as np
from dask.base import compute
from distributed import Client, LocalCluster, wait

import kernels
import kernels.dask

D, REPEATS = 100, 9
BLOCKS = (8, 1000), (16, 80_000)  # how many, and rows of each


def step_of_dask_glm(client: Client, X: Any, y: Any) -> Callable[[Any], Any]:
    """Loss and gradient as `dask_glm.algorithms.lbfgs` computes them; y is 0 or 1."""
    from dask_glm.families import Logistic
    from dask_glm.utils import scatter_array

    def step(beta: Any) -> Any:
        beta = scatter_array(beta, client)
        with dask.config.set({"optimization.fuse.ave-width": 0}):
            return compute(
                Logistic.pointwise_loss(beta, X, y), Logistic.pointwise_gradient(beta, X, y)
            )

    return step


def median(step: Callable[[Any], Any], flat: Any) -> float:
    """Median seconds of a step, after three that are not counted."""
    took = []
    for _ in range(3 + REPEATS):
        flat, started = flat + 1e-3, time.perf_counter()
        step(flat)
        took.append(time.perf_counter() - started)
    return statistics.median(took[3:])


def own(blocks: int, rows: int) -> float:
    """Median seconds of the sums of as many blocks, on one thread."""
    rng, w, took = np.random.default_rng(0), np.zeros(D), []
    pairs = [(rng.normal(size=(rows, D)), np.ones(rows)) for _ in range(blocks)]
    for _ in range(REPEATS):
        started = time.perf_counter()
        for X, y in pairs:
            kernels.logistic.sums(X, y, w, 0.0, threads=1)
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def main() -> None:
    glm = importlib.util.find_spec("dask_glm") is not None
    print("workers  blocks of MB   own ms  kernels.dask ms  dask-glm ms  (medians)")
    for workers in map(int, sys.argv[1:]):
        options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(**options) as cluster, Client(cluster) as client:
            for blocks, rows in BLOCKS:
                parts = [
                    da.random.default_rng(n).normal(size=(rows, D), chunks=(rows, D))
                    for n in range(blocks)
                ]
                X = da.concatenate(parts)
                X, y, of_glm = client.persist(
                    [X, da.where(X[:, 0] > 0, 1.0, -1.0), da.where(X[:, 0] > 0, 1.0, 0.0)]
                )
                wait([X, y, of_glm])
                f = kernels.dask.logistic.objective(X, y, fit_bias=False)
                steps: list[Any] = [f, *([step_of_dask_glm(client, X, of_glm)] if glm else [])]
                medians = [1e3 * median(step, f.start()) for step in steps]
                work = max(client.run(own, -(-blocks // workers), rows).values())
                columns = "".join(f"{ms:16.1f}" for ms in medians)
                size = rows * D * 8 / 1e6
                print(
                    f"{workers:7}  {blocks:6} of {size:4.1f} {1e3 * work:8.1f} {columns}",
                    flush=True,
                )
                del X, y, of_glm, f, steps


if __name__ == "__main__":
    main()
