"""What somebody who is to understand a bug report has to know."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator

import llvmlite
import llvmlite.binding
import numba
import numpy as np
from numba.core import config

from kernels import _blocks, _compile, _threads

WATCHED = ("sse4.2", "avx", "fma", "avx2", "avx512f", "neon", "sve")  # features that a vector's width may depend on


def show_versions() -> None:
    """Print versions, processor, vector width, threads and the state of the cache: what a bug report should contain.

    ``python -m kernels`` prints the same, and checks every kernel.
    """
    for name, value in _facts():
        print(f"{name + ':':13}{value}")


def _facts() -> Iterator[tuple[str, str]]:
    yield "kernels", importlib.metadata.version("numba-gradient-kernels")
    yield "source", f"{_compile.source_stamp()} in {os.path.dirname(os.path.abspath(__file__))}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}), {platform.platform()}"
    yield "NumPy", np.__version__
    yield "Numba", f"{numba.__version__}, llvmlite {llvmlite.__version__}{', compiler off' if config.DISABLE_JIT else ''}"
    features = llvmlite.binding.get_host_cpu_features()
    yield (
        "processor",
        f"{llvmlite.binding.get_host_cpu_name()}: {' '.join(f for f in WATCHED if features.get(f)) or 'no vectors'}",
    )
    yield "vectors", f"{8 * _blocks.VECTOR_BYTES} bits, multiply-add {'in one' if _blocks.FUSED else 'in two'}"
    yield "threads", f"{_threads.default_threads()} of the {_threads.cpus()} CPUs that this process may use"
    for directory, state in _compile.cache_state():
        yield "cache", f"{directory}: {state}"
    for name in sorted(name for name in os.environ if name.startswith(("KERNELS_", "NUMBA_"))):
        yield "environment", f"{name}={os.environ[name]}"
