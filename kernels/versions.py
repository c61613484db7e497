"""What somebody who is to understand a bug report has to know."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator

import llvmlite
import llvmlite.binding
import numba
import numpy as np
from numba import config

from .engine import cache, pool, vectors

# Features that a vector's width may depend on.
WATCHED = ("sse4.2", "avx", "fma", "avx2", "avx512f", "neon", "sve")


def show_versions() -> None:
    """Print what a bug report should contain: versions, processor, threads, state of the cache.

    ``python -m kernels`` prints the same, and checks every kernel.
    """
    for name, value in _facts():
        print(f"{name + ':':13}{value}")


def _facts() -> Iterator[tuple[str, str]]:
    yield "kernels", importlib.metadata.version("numba-gradient-kernels")
    yield "source", f"{cache.source_stamp()} in {os.path.dirname(os.path.abspath(__file__))}"
    yield (
        "Python",
        f"{platform.python_version()} ({platform.python_implementation()}), {platform.platform()}",
    )
    yield "NumPy", np.__version__
    compiler = ", compiler off" if config.DISABLE_JIT else ""
    yield "Numba", f"{numba.__version__}, llvmlite {llvmlite.__version__}{compiler}"
    features = llvmlite.binding.get_host_cpu_features()
    found = " ".join(name for name in WATCHED if features.get(name)) or "no vectors"
    yield "processor", f"{llvmlite.binding.get_host_cpu_name()}: {found}"
    yield (
        "vectors",
        f"{8 * vectors.VECTOR_BYTES} bits, multiply-add {'in one' if vectors.FUSED else 'in two'}",
    )
    yield (
        "threads",
        f"{pool.POOL.default_threads()} of the {pool.cpus()} CPUs that this process may use",
    )
    for directory, state in cache.cache_state():
        yield "cache", f"{directory}: {state}"
    for name in sorted(name for name in os.environ if name.startswith(("KERNELS_", "NUMBA_"))):
        yield "environment", f"{name}={os.environ[name]}"
