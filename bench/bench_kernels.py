"""pytest-benchmark over the table: one test for each problem, size, dtype and contestant.

    pytest bench --benchmark-only --benchmark-json=results.json

Timed is the call for loss and gradient, on arrays that were already checked, after it was compiled and its result compared with
NumPy's. `python -m bench` runs this file too, pass by pass, see `run`.
"""

import math
import time
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from bench.agreement import agree, batch, error, first
from bench.peers import PEERS
from bench.plan import CONTROL, Case, Plan
from bench.problems import DTYPES, REG, Problem
from kernels._compile import directories

# What a pass of `python -m bench` sets: cases, how many multiplications the oracle may do, and the times of the last pass.
CASES, CHECKED, KNOWN = pytest.StashKey[list[Case]](), pytest.StashKey[int](), pytest.StashKey[dict[str, float]]()
ROUND = 50e-6  # seconds: a round of a shorter call is of several calls
WARM, SLOW = 0.02, 0.1  # seconds: such a call needs no warming up; such a one no three rounds, for their median
Call = Callable[[], tuple[float, Any]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = metafunc.config.stash.get(CASES, None)
    if cases is None:
        problems = Plan("default", (), DTYPES, (), (), 1, 0).table
        cases = [Case(problem, dtype, v) for problem in problems for dtype in DTYPES for v in problem.variants]
    metafunc.parametrize(("problem", "dtype", "contestant"), cases, ids=[case.id for case in cases])


def test_gradient(benchmark: Any, pytestconfig: pytest.Config, problem: Problem, dtype: str, contestant: str) -> None:
    case, seconds = Case(problem, dtype, contestant), float(pytestconfig.getoption("benchmark_max_time"))
    arrays = batch(problem, dtype)
    start, entries = time.perf_counter(), cached()
    call, first_call = prepared(case, arrays)
    compiled = cached() > entries
    if call is None:
        pytest.skip(f"{contestant} has no such gradient")
    benchmark.group = f"{problem} {dtype}"
    once = pytestconfig.stash.get(KNOWN, {}).get(case.id)
    if once is None or once < WARM:
        called = time.perf_counter()
        result = call()
        once = once or time.perf_counter() - called
        agree(*case, result[1])
    if once < WARM:
        once = min(once, *timeit.repeat(call, number=1, repeat=3))
    iterations = max(1, math.ceil(ROUND / once))
    rounds = max(3 if once < SLOW else 1, math.ceil(seconds / (iterations * once)))
    result = benchmark.pedantic(call, rounds=rounds, iterations=iterations)
    agree(*case, result[1])
    benchmark.extra_info.update(
        problem=problem.name,
        data=problem.data.__name__,
        size=problem.size,
        shape=problem.shape,
        order=problem.order,
        dtype=dtype,
        contestant=contestant,
        first_call=first_call,
        compiled=compiled,
        spent=time.perf_counter() - start,
    )
    if checked := pytestconfig.stash.get(CHECKED, 0):
        benchmark.extra_info.update(error(problem, dtype, lambda part: prepared(case, part)[0], checked))


def prepared(case: Case, arrays: tuple[Any, ...]) -> tuple[Call | None, float]:
    """What is to be timed, and how long it took to compile it or to load it from disk."""
    start = time.perf_counter()
    if case.contestant in PEERS:
        call = PEERS[case.contestant].prepare(case.problem, arrays, REG)
        if call is not None:
            call()
        return call, time.perf_counter() - start
    variant = case.problem.module.VARIANTS["tiled" if case.contestant == CONTROL else case.contestant]
    variant(*first(case.problem, case.dtype, 8), REG, None, True, True)  # the same types, and no work to speak of
    return lambda: variant(*arrays, REG, None, True, True), time.perf_counter() - start


def cached() -> int:
    """How many compiled functions are kept on disk: more after a call that compiled."""
    return sum(len(list(directory.glob("*.nbc"))) for directory in directories())
