"""What a run measures, and in which order."""

import itertools
import math
from collections import Counter

from bench import draw, problems
from bench.measure.plan import BASELINE, CONTROL, VISITS, Plan
from tests.helpers import reports


def test_each_pass_is_shuffled_in_its_own_way_and_can_be_repeated():
    plan = reports.plan(preset="default", dtypes=problems.DTYPES)
    whole = plan.in_order("kernels")
    orders = [plan.order(number, "kernels") for number in range(2, 6)]
    assert sorted(case.id for case in plan.order(1, "kernels")) == sorted(case.id for case in whole)
    for order in orders:
        assert Counter(order) == {
            case: 1 if case.problem in plan.sweep else VISITS for case in whole
        }
        cells = [case[:2] for case in order]
        # A cell's contestants together.
        assert len(list(itertools.groupby(cells))) == len(set(cells))
    assert len({tuple(order) for order in orders}) == len(orders)
    assert Plan.from_json(plan.to_json()).order(3, "kernels") == orders[1]
    assert all(
        (case.problem, case.dtype, CONTROL) in orders[0]
        for case in whole
        if case.problem in plan.table
    )


def test_random_shapes_stand_in_place_of_the_table():
    plan = reports.plan(shapes=10, draw_seed=5, variants=("tiled",), dtypes=problems.DTYPES)
    assert plan.cells() == draw.draw(10, 5, (), problems.DTYPES) == plan.cells("scikit-learn")
    assert plan.sweep == []
    order = plan.order(2, "kernels")
    assert {case.contestant for case in order} == {BASELINE, "tiled", CONTROL}
    assert len(order) == 10 * 3 * VISITS
    assert plan.effort.allowance == math.inf  # no shape is timed in fewer passes
    assert Plan.from_json(plan.to_json()) == plan


def test_variants_and_problems_can_be_chosen():
    plan = reports.plan(problems=("linear-synthetic-100000x1000",), variants=("numpy", "tiled"))
    assert [str(problem) for problem in plan.table] == [
        "linear-synthetic-100000x1000"
    ]  # though not in this preset
    assert plan.contestants(plan.table[0]) == [BASELINE, "numpy", "tiled", CONTROL]
    assert {problem.name for problem in plan.sweep} == {"linear"}
    assert plan.contestants(plan.sweep[0], "scikit-learn") == []
