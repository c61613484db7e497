"""pytest-benchmark over the table: one test for each problem, size, dtype and variant.

    pytest bench --benchmark-only --benchmark-json=results.json

What is timed is the variant itself, on arrays that were already checked, after it was compiled.
"""

import pytest

from bench.problems import DTYPES, PROBLEMS, REG, Problem, agreed_batch

CASES = [(problem, dtype, variant) for problem in PROBLEMS for dtype in DTYPES for variant in problem.variants]


@pytest.mark.parametrize(("problem", "dtype", "variant"), CASES, ids=["-".join(map(str, case)) for case in CASES])
def test_gradient(benchmark, problem: Problem, dtype: str, variant: str) -> None:
    batch = agreed_batch(problem, dtype)
    benchmark.group = f"{problem} {dtype}"
    benchmark.extra_info.update(
        problem=problem.name, data=problem.data.__name__, size=problem.size, dtype=dtype, variant=variant
    )
    benchmark(problem.module.VARIANTS[variant], *batch, REG, None, False, True)
