"""The ceilings of the machine, and its description."""

import os
import random

import numpy as np

from bench.measure import machine


def test_the_ceilings_do_the_work_that_they_count():
    """s = s / 2 + 1/2 ends at 1 in every chain; a sum of ones is their number."""
    for dtype in np.float32, np.float64:
        assert machine.compute(dtype(0), dtype(0.5), 200) == machine.CHAINS
    assert machine.read(np.ones(1000 + random.randrange(10))) >= 1000


def test_the_machine_is_described():
    found = machine.describe()
    assert found["versions"]["numpy"] == np.__version__
    assert any(pool["user_api"] == "blas" and pool["num_threads"] >= 1 for pool in found["pools"])
    assert os.sep not in "".join(pool["filepath"] for pool in found["pools"])
