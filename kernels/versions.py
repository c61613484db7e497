"""`show_versions`: a description of the machine and the installed software for bug reports."""

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

# The CPU features that are printed, if present.
WATCHED = ("sse4.2", "avx", "fma", "avx2", "avx512f", "neon", "sve")


def show_versions() -> None:
    """Print versions, processor, vectors, threads and the state of the cache, for a bug report.

    ``python -m kernels`` prints the same and checks every kernel.
    """
    for name, value in _facts():
        print(f"{name + ':':13}{value}")


def _facts() -> Iterator[tuple[str, str]]:
    yield "kernels", importlib.metadata.version("numba-gradient-kernels")
    yield "source", f"{cache.source_stamp()} in {os.path.dirname(os.path.abspath(__file__))}"
    python = f"{platform.python_version()} ({platform.python_implementation()})"
    yield "Python", f"{python}, {platform.platform()}"
    yield "NumPy", np.__version__
    compiler = ", compiler off" if config.DISABLE_JIT else ""
    yield "Numba", f"{numba.__version__}, llvmlite {llvmlite.__version__}{compiler}"
    features = llvmlite.binding.get_host_cpu_features()
    found = " ".join(name for name in WATCHED if features.get(name)) or "no vectors"
    yield "processor", f"{llvmlite.binding.get_host_cpu_name()}: {found}"
    yield "vectors", f"{8 * vectors.VECTOR_BYTES} bits"
    used, allowed = pool.POOL.default_threads(), pool.cpus()
    yield "threads", f"{used} of the {allowed} CPUs that this process may use"
    for directory, state in cache.cache_state():
        yield "cache", f"{directory}: {state}"
    for name in sorted(name for name in os.environ if name.startswith(("KERNELS_", "NUMBA_"))):
        yield "environment", f"{name}={os.environ[name]}"
