"""What a reader of the saved JSON must know about the machine, beside what pytest-benchmark writes."""

import os
import platform

import numba
import numpy as np
from threadpoolctl import threadpool_info

from kernels import _threads


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["kernels"] = {
        "versions": {"numpy": np.__version__, "numba": numba.__version__, "Python": platform.python_version()},
        "cpus_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": {
            "NumPy's BLAS": max((pool["num_threads"] for pool in threadpool_info()), default=1),
            "tiled": _threads.default_threads(),
            "loop": 1,
            "python": 1,
        },
    }
