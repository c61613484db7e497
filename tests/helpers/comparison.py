"""Comparisons of results: with the oracle, with one another within its bounds, and bit for bit."""

from typing import Any

import numpy as np

from .cases import PROBLEMS
from .oracle import Bounded, loss_and_gradient


def assert_within(bounded: Bounded, got: Any, what: str) -> None:
    """A value has the shape of the oracle's and differs from it by at most the bound."""
    error = np.abs(got - bounded.value)
    assert np.shape(got) == np.shape(bounded.value), what
    assert (error <= bounded.bound).all(), (
        f"{what}: error {error.max()} is {np.max(error / bounded.bound):.3g} times its bound"
    )


def assert_equal_to_oracle(
    problem: str, variant: str, *batch: Any, reg: float = 0.0, sample_weight: Any = None
) -> None:
    """Loss and gradient, together and each alone, are within the oracle's bounds."""
    module = PROBLEMS[problem]
    settings = {"reg": reg, "sample_weight": sample_weight, "variant": variant}
    expected_loss, expected = loss_and_gradient(
        problem, *batch, reg=reg, sample_weight=sample_weight
    )
    loss, gradient = module.loss_and_gradient(*batch, **settings)
    assert isinstance(gradient, module.Gradient)
    assert isinstance(loss, float)
    assert_within(expected_loss, loss, "loss")
    given = [part for part in gradient if part is not None]
    assert len(given) == len(expected) == sum(p is not None for p in batch[2:])
    for bounded, part, name in zip(expected, given, gradient._fields, strict=False):
        assert_within(bounded, part, f"d{name}")
        assert isinstance(part, float) or part.dtype == np.asarray(batch[0]).dtype
    # alone they are the same numbers
    assert module.loss(*batch, **settings) == loss
    for one, both in zip(module.gradient(*batch, **settings), gradient, strict=True):
        assert one is both is None or np.array_equal(one, both)


def assert_averages(
    problem: str, batch: Any, answer: Any, reg: float = 0.0, s: Any = None, slack: float = 1
) -> None:
    """An averaged loss and gradient are within `slack` times the oracle's bounds."""
    expected_loss, expected = loss_and_gradient(problem, *batch, reg=reg, sample_weight=s)
    loss, gradient = answer
    assert isinstance(loss, float)
    assert type(gradient) is PROBLEMS[problem].Gradient
    assert_within(expected_loss._replace(bound=slack * expected_loss.bound), loss, "loss")
    assert [part is None for part in gradient] == [p is None for p in batch[2:]]
    parts = [part for part in gradient if part is not None]
    for bounded, part in zip(expected, parts, strict=True):
        assert_within(bounded._replace(bound=slack * bounded.bound), part, "gradient")


def assert_same(problem: str, one: Any, other: Any, batch: Any, **settings: Any) -> None:
    """Two gradients of the same batch differ by at most the sum of both rounding bounds."""
    bounds = loss_and_gradient(problem, *batch, **settings)[1]
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None]
    for (a, b), bounded in zip(pairs, bounds, strict=True):
        assert (np.abs(a - b) <= 2 * bounded.bound).all()


def bits(answer: Any) -> bytes:
    """The bytes of all numbers of an answer: a number, an array, None, or a tuple of them."""
    if answer is None:
        return b""
    if isinstance(answer, tuple):
        return b"".join(map(bits, answer))
    return np.asarray(answer).tobytes()
