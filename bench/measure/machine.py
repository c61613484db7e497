"""Description of the machine and software; measurement of memory bandwidth and FLOP rate."""

import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from threadpoolctl import threadpool_info

from kernels.engine.pool import POOL, cpus
from kernels.engine.vectors import VECTOR_BYTES, VectorBuilder

READ_BYTES = 2**29  # more than the L3 cache of most processors
CHAINS = 12  # independent multiply-adds; two units with a latency of four need 8


def describe() -> dict[str, Any]:
    """What pytest-benchmark's own `machine_info` does not contain."""
    pools = [pool | {"filepath": Path(pool["filepath"]).name} for pool in threadpool_info()]
    blas = max((pool["num_threads"] for pool in pools if pool["user_api"] == "blas"), default=1)
    return {
        "versions": {name: found for name in PACKAGES if (found := installed(name))}
        | {"Python": platform.python_version()},
        "cpus_allowed": cpus(),
        "caches": caches(),
        "threads": {"NumPy's BLAS": blas, "tiled": POOL.default_threads(), "loop": 1, "python": 1},
        "pools": pools,
    }


PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "pytest-benchmark",
    "scikit-learn",
    "torch",
    "jax",
    "scikit-learn-intelex",
)


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def caches() -> dict[str, str]:
    """Cache sizes of the first CPU, as reported by Linux; empty on other systems."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (index / name).read_text().strip() for name in ("level", "type", "size")
        )
        found[f"L{level}" + {"Data": "d", "Instruction": "i"}.get(kind, "")] = size
    return found


@intrinsic
def multiply_adds(typingctx, like, factor, n):
    """The sum of CHAINS independent chains of n vectors each, s = s * factor + factor."""

    def generate(context, builder, signature, args):
        vectors = VectorBuilder(builder, like)
        factor = vectors.splat(args[1])
        sums = vectors.loop(
            args[2],
            1,
            [vectors.zero()] * CHAINS,
            lambda j, sums: [vectors.multiply_add(one, factor, factor) for one in sums],
        )
        total = sums[0]
        for one in sums[1:]:
            total = builder.fadd(total, one)
        return builder.extract_element(total, vectors.intp(0))

    return like(like, like, types.intp), generate


@numba.njit(nogil=True, cache=True)
def compute(like, factor, n):
    return multiply_adds(like, factor, n)


@numba.njit(nogil=True, cache=True, fastmath={"reassoc"})
def read(numbers):
    total = 0.0
    for i in range(len(numbers)):
        total += numbers[i]
    return total


def ceilings(threads: int) -> dict[str, float]:
    """Bytes/s read from memory and FLOP/s in each dtype, by `threads` threads, best of 5 rounds."""
    with ThreadPoolExecutor(threads) as pool:

        def best(tasks: list[Callable[[], Any]], rounds: int) -> float:
            list(pool.map(lambda task: task(), tasks))
            times = []
            for _ in range(rounds):
                start = time.perf_counter()
                list(pool.map(lambda task: task(), tasks))
                times.append(time.perf_counter() - start)
            return min(times)

        numbers = np.ones(READ_BYTES // 8)
        found = {
            "read": numbers.nbytes
            / best([partial(read, part) for part in np.array_split(numbers, threads)], 5)
        }
        for dtype in np.float64, np.float32:
            like, n = dtype(0), 1_000_000
            lanes = VECTOR_BYTES // like.itemsize
            seconds = best([partial(compute, like, dtype(0.5), n)] * threads, 5)
            found[np.dtype(dtype).name] = 2 * CHAINS * lanes * n * threads / seconds
    return found


def start() -> float:
    """Seconds that Numba takes to compile the first function of a process, here a trivial one."""
    started = time.perf_counter()
    numba.njit(lambda x: x + 1)(1)
    return time.perf_counter() - started
