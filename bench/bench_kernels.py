"""Timings by pytest-benchmark: one test for each problem, size, dtype and contestant.

    pytest bench --benchmark-only --benchmark-json=results.json

Our variants are timed by the public `loss_and_gradient`, validation included, once it is compiled.
A test fails if the gradient differs from that of the `numpy` variant in float64. Run by itself, the
file times the default table once, without peers; `measure.worker` runs it with the cases of a pass.
"""

import math
import time
import timeit
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import pytest

from bench import bare_numpy
from bench.measure.agreement import agree, batch, error, first
from bench.measure.plan import BASELINE, CONTROL, Case, Plan
from bench.peers import PEERS
from bench.problems import DTYPES, REG, Problem
from kernels.engine.cache import directories

# Set by `measure.worker`: the cases, the multiplications allowed for the long-double reference (0:
# compute no errors), and the latest time of each case.
CASES, CHECKED = pytest.StashKey[list[Case]](), pytest.StashKey[int]()
KNOWN = pytest.StashKey[dict[str, float]]()
ROUND = 50e-6  # seconds: a round repeats shorter calls
WARM = 0.02  # seconds: longer calls are timed without a warm-up call
NAP, PATIENCE = 0.02, 1.0  # seconds: between two looks at the processor time, and in all
Call = Callable[[], tuple[float, Any]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = metafunc.config.stash.get(CASES, None)
    if cases is None:
        problems = Plan("default", (), DTYPES, (), (), 1, 0).table
        cases = [
            Case(problem, dtype, v)
            for problem in problems
            for dtype in DTYPES
            for v in (BASELINE, *problem.variants)
        ]
    visits: Counter[str] = Counter()
    ids = []
    for case in cases:
        visits[case.id] += 1
        ids.append(case.id if visits[case.id] == 1 else f"{case.id}-{visits[case.id]}")
    metafunc.parametrize(("problem", "dtype", "contestant"), cases, ids=ids)


def test_gradient(
    benchmark: Any, pytestconfig: pytest.Config, problem: Problem, dtype: str, contestant: str
) -> None:
    case, known = Case(problem, dtype, contestant), pytestconfig.stash.get(KNOWN, {})
    arrays, calls = cell(problem, dtype)
    start, entries = time.perf_counter(), cached()
    if contestant not in calls:
        calls[contestant] = prepared(case, arrays)
    first_call, compiled, call = time.perf_counter() - start, cached() > entries, calls[contestant]
    if call is None:
        pytest.skip(f"{contestant} has no such gradient")
    benchmark.group = f"{problem} {dtype}"
    start, once = time.perf_counter(), known.get(case.id)
    if once is None or once < WARM:
        called = time.perf_counter()
        result = call()
        once = once or time.perf_counter() - called
        agree(*case, result[1])
    if case.id not in known and once < WARM:
        once = min(once, *timeit.repeat(call, number=1, repeat=3))
    iterations = max(1, math.ceil(ROUND / once))
    rounds = max(
        1, math.ceil(float(pytestconfig.getoption("benchmark_max_time")) / (iterations * once))
    )
    settle()
    warmup = int(once < WARM)  # the nap has cooled the caches
    result = benchmark.pedantic(call, rounds=rounds, iterations=iterations, warmup_rounds=warmup)
    agree(*case, result[1])
    benchmark.extra_info.update(
        case=case.id,
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
        benchmark.extra_info.update(
            error(problem, dtype, lambda part: prepared(case, part), checked)
        )


def settle() -> None:
    """Wait until no thread of this process runs.

    The threads of OpenBLAS busy-wait for a tenth of a second after their last call, and would take
    a CPU from the contestant that is timed next.
    """
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        used = time.process_time()
        time.sleep(NAP)
        if time.process_time() - used < NAP / 10:
            return


@lru_cache(maxsize=1)
def cell(problem: Problem, dtype: str) -> tuple[tuple[Any, ...], dict[str, Call | None]]:
    """The arguments of all contestants, and a dict for the calls prepared with them."""
    return batch(problem, dtype), {}


def prepared(case: Case, arrays: tuple[Any, ...]) -> Call | None:
    """The call to be timed, already compiled or loaded from disk; None if a peer has none."""
    if case.contestant in PEERS:
        call = PEERS[case.contestant].prepare(case.problem, arrays, REG)
        if call is not None:
            call()
        return call
    if case.contestant == BASELINE:
        return partial(getattr(bare_numpy, case.problem.name), *arrays, REG)
    variant = "tiled" if case.contestant == CONTROL else case.contestant
    public = partial(case.problem.module.loss_and_gradient, reg=REG, variant=variant)
    call = partial(public, *arrays)
    if variant == "tiled":  # which pass is compiled depends on the sizes
        call()
    else:
        public(*first(case.problem, case.dtype, 8))  # the same types, with little work
    return call


def cached() -> int:
    """The number of compiled functions on disk, which grows when a call compiles."""
    return sum(len(list(directory.glob("*.nbc"))) for directory in directories())
