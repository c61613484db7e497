"""What the numbers of several passes tell: a median, an interval, a difference beyond noise.

The interval is made of order statistics and assumes nothing of how times are distributed. Each pass
lies below the true median with probability ½, so of n passes the number below it is binomial, and
the interval from the (k+1)-th smallest to the (k+1)-th largest misses the median only if at most k
passes lie on one side of it: its coverage is 1 - 2 P(Binomial(n, ½) ≤ k). k is the largest for
which that is at least 99%; with fewer than 8 passes not even all of them (k = 0) reach it, and the
coverage that they do reach is what is printed.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

CONFIDENCE = 0.99


class Interval(NamedTuple):
    """Median over passes, and the interval that holds the true one with probability `coverage`."""

    median: float
    low: float
    high: float
    passes: int

    @property
    def coverage(self) -> float:
        return coverage(self.passes)

    @property
    def sure(self) -> bool:
        """One pass is no interval."""
        return self.passes > 1


def trimmed(passes: int) -> int:
    """k of the module's text: how many passes may be left out on each side."""
    k = 0
    while 1 - 2 * binom.cdf(k + 1, passes, 0.5) >= CONFIDENCE:
        k += 1
    return k


def coverage(passes: int) -> float:
    return max(0.0, 1 - 2 * float(binom.cdf(trimmed(passes), passes, 0.5)))


def interval(values: Iterable[float]) -> Interval:
    ordered = np.sort(np.fromiter(values, float))
    k = trimmed(len(ordered))
    return Interval(
        float(np.median(ordered)), float(ordered[k]), float(ordered[-1 - k]), len(ordered)
    )


def ratio(slow: dict[str, float], fast: dict[str, float]) -> Interval | None:
    """slow / fast, pair by pair within a pass; None where no pass has both."""
    pairs = [slow[key] / fast[key] for key in slow if key in fast]
    return interval(pairs) if pairs else None


def spread(same: Interval) -> float:
    """How far from 1 the ratio of a variant to itself was found: 1.03 is 3% either way."""
    return math.exp(max(abs(math.log(same.low)), abs(math.log(same.high))))


def verdict(found: Interval, noise: float) -> str:
    """faster or slower where the whole interval is further from 1 than the noise; else equal.

    What was timed in one pass only has no interval: there the ratio itself must be twice as far.
    """
    beyond = noise if found.sure else 2 * noise
    if found.low > beyond:
        return "faster"
    return "slower" if found.high < 1 / beyond else "equal"
