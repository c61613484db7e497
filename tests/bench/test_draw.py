"""Random shapes: their limits, their distribution, and the seed that repeats them."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from bench import draw, problems

COUNT = 4000


@pytest.fixture
def seed():
    """A new one each time; pytest shows it where a test fails."""
    return random.randrange(2**32)


def drawn(seed, count=COUNT, names=(), dtypes=problems.DTYPES):
    return draw.draw(count, seed, names, dtypes)


def test_every_shape_keeps_the_limits(seed):
    for problem, dtype in drawn(seed):
        N, D, *layers = problem.shape
        assert 1 <= N <= 10**6
        assert 1 <= D <= 20_000
        if layers:
            assert 2 <= layers[-1] <= 1000
        if problem.name == "two_layer":
            assert 4 <= layers[0] <= 1024
        assert N * D * np.dtype(dtype).itemsize <= 160e6
        assert N * max(layers, default=1) <= 10**8
        assert problems.flop(problem.shape) <= 20e9


def test_problems_dtypes_and_orders_take_turns(seed):
    cells = drawn(seed)
    assert [problem.name for problem, _ in cells[:5]] == [*draw.NAMES, draw.NAMES[0]]
    shares = Counter((problem.name, problem.order, dtype) for problem, dtype in cells)
    assert shares == {
        (name, order, dtype): COUNT / 4 / 2 * share
        for name in draw.NAMES
        for dtype in problems.DTYPES
        for order, share in (("C", 3 / 4), ("F", 1 / 4))
    }
    assert {(p.name, d) for p, d in drawn(seed, 50, ("linear",), ("float32",))} == {
        ("linear", "float32")
    }


def test_sizes_are_log_uniform_where_no_limit_binds(monkeypatch, seed):
    """The distribution function of each size; chance exceeds Massart's bound once in 10⁹ tests."""
    monkeypatch.setattr(draw, "LARGEST_X", math.inf)
    monkeypatch.setattr(draw, "MOST_SCORES", math.inf)
    monkeypatch.setattr(draw, "MOST_WORK", math.inf)
    shapes = [problem.shape for problem, _ in drawn(seed, names=("two_layer",))]
    for sizes, (low, high) in zip(
        zip(*shapes, strict=True), draw.SIZES[draw.two_layer], strict=True
    ):
        values, counts = np.unique(sizes, return_counts=True)
        expected = np.log((values + 1) / low) / math.log((high + 1) / low)
        furthest = np.abs(np.cumsum(counts) / COUNT - expected).max()
        assert furthest < math.sqrt(math.log(2e9) / (2 * COUNT))


def test_the_seed_repeats_the_shapes(seed):
    assert drawn(seed) == drawn(seed)
    assert drawn(seed, 10) == drawn(seed)[:10]
    assert drawn(seed, 10) != drawn(seed + 1, 10)
    few = drawn(seed, 1000, ("logistic",))
    assert len(set(few)) == len(few)


def test_the_work_is_counted_product_by_product():
    """X W and Xᵀ r have 2·N·D·K each; the second layer has h W2, hᵀ r and r W2ᵀ."""
    assert problems.flop((2, 3)) == 2 * 2 * 2 * 3
    assert problems.flop((2, 3, 5)) == 2 * 2 * 2 * 3 * 5
    assert problems.flop((2, 3, 4, 5)) == 2 * (2 * 2 * 3 * 4) + 3 * (2 * 2 * 4 * 5)


def test_the_data_of_a_random_shape():
    problem = problems.Problem(problems.softmax, draw.random, (30, 4, 7), order="F")
    assert str(problem) == "softmax-random-30x4x7-F"
    X, y, W, b = problem.batch("float32")
    assert (X.shape, X.dtype, W.shape, b.shape) == ((30, 4), np.float32, (4, 7), (7,))
    assert X.flags["F_CONTIGUOUS"]
    assert set(y) <= set(range(7))
