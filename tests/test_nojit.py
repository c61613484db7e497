"""With Numba's compiler off, every variant runs and agrees with the oracle."""

from tests.helpers.interpreter import run_program

PROGRAM = """
import numba, numpy as np
from tests.helpers.cases import PROBLEMS, random_batch
from tests.helpers.comparison import assert_equal_to_oracle

assert numba.config.DISABLE_JIT
for problem, module in PROBLEMS.items():
    assert not hasattr(module.loss_and_gradient_loop, "py_func")
    assert not hasattr(module.sums_loop, "py_func")
    for shape in (1, 1, 2, 1), (9, 4, 3, 5):
        batch = random_batch(problem, np.random.default_rng(0), shape)
        settings = {"reg": 0.1, "sample_weight": np.arange(1.0, shape[0] + 1)}
        for variant in module.VARIANTS:
            assert_equal_to_oracle(problem, variant, *batch, **settings)
print("agreed")
"""


def test_without_the_compiler():
    done = run_program(PROGRAM, NUMBA_DISABLE_JIT="1")
    assert done.stdout.strip() == "agreed", done.stderr
