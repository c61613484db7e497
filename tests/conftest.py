"""What holds for every test."""

import os

import pytest

# The assertions of shared helpers are explained as those of tests are.
pytest.register_assert_rewrite("tests.helpers")

# Programs that a test starts are not pytest-xdist's: the benchmark refuses to time under it.
os.environ.pop("PYTEST_XDIST_WORKER", None)


@pytest.fixture
def woken(monkeypatch):
    """How many helpers of the pool each call woke, on a machine on which none is ever kept off."""
    from kernels.engine import pool

    POOL = pool.POOL
    monkeypatch.setattr(pool, "REST", 0)
    monkeypatch.setattr(POOL, "rested", 0.0)
    numbers, wake = [], POOL.wake
    monkeypatch.setattr(POOL, "wake", lambda helpers: numbers.append(helpers) or wake(helpers))
    return numbers
