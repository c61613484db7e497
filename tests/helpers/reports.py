"""Synthetic runs for the tests of the report: the records of a worker, at chosen speeds."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from bench import problems
from bench.measure.plan import BASELINE, CONTROL, Plan
from bench.measure.run import Records
from bench.report.results import document

SPEED = {
    BASELINE: 1.0,
    "python": 0.01,
    "numpy": 0.9,
    "loop": 2.0,
    "tiled": 4.0,
    CONTROL: 4.0,
    "scikit-learn": 0.8,
}

AIRFOIL = next(p for p in problems.PROBLEMS if p.data is problems.airfoil)


def plan(**changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "preset": "quick",
        "problems": (),
        "dtypes": ("float64",),
        "peers": ("scikit-learn",),
    }
    settings |= {"variants": ("python", "numpy", "loop", "tiled"), "threads": 1, "seed": 3}
    return Plan(**settings | changes)


def run(
    directory: Path,
    passes: int = 9,
    noise: float = 0.01,
    seed: int = 0,
    speed: Any = None,
    **changes: Any,
) -> Records:
    """A finished run: each time is 1 ms / speed, times a drift of the pass, times its noise."""
    speed, rng = SPEED | (speed or {}), np.random.default_rng(seed)
    records = Records(directory, plan(**changes), "python -m bench")
    for number, family in itertools.product(range(1, passes + 1), records.plan.families):
        drift = rng.uniform(1, 2)
        if family == "kernels":
            records.add(machine(number))
        for case in records.plan.order(number, family):
            seconds = 1e-3 / speed[case.contestant] * drift * np.exp(noise * rng.standard_normal())
            records.add(timing(case, number, family, seconds))
    records.add({"kind": "finished"})
    return records


def timing(case: Any, number: int, family: str, seconds: float) -> dict[str, Any]:
    problem = case.problem
    return {
        "kind": "passed", "case": case.id, "pass": number, "family": family, "median": seconds,
        "iterations": 2, "spent": 3 * seconds, "first_call": 2.0 / number, "compiled": number == 1,
        "error": 1.5, "error_rows": 100, "problem": problem.name, "data": problem.data.__name__,
        "size": problem.size, "shape": list(problem.shape),
        "order": problem.order, "dtype": case.dtype, "contestant": case.contestant,
    }  # fmt: skip


def machine(number: int) -> dict[str, Any]:
    pool = {
        "internal_api": "openblas",
        "version": "0.3",
        "architecture": "Haswell",
        "num_threads": 1,
        "filepath": "libblas.so",
    }
    return {
        "kind": "machine", "pass": number, "family": "kernels", "first_function": 0.3,
        "cpus_allowed": 2, "caches": {}, "threads": {"tiled": 1}, "pools": [pool],
        "ceilings": {"read": 4e10, "float64": 1e11, "float32": 2e11},
        "versions": {"numpy": "2.0", "numba": "0.61", "Python": "3.11"},
    }  # fmt: skip


def benchmarks(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "benchmark.json").read_text())[
        "benchmarks"
    ]
    return found


def cells_of(text):
    """The attributes of each cell of the page's table."""
    return [
        dict(re.findall(r'data-(\w+)="([^"]*)"', tag))
        for tag in re.findall(r"<td data-cell=[^>]*>", text)
    ]


def measured(directory, **changes):
    found = document(run(directory, **changes))
    (directory / "benchmark.json").write_text(json.dumps(found))
    return directory
