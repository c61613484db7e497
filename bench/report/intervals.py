"""Statistics over passes: median, confidence interval of the median, difference beyond the noise.

The interval consists of order statistics, which requires no assumption about the distribution of
the times. Each pass lies below the true median with probability ½, so the number of n passes below
it is binomial. The interval from the (k+1)-th smallest to the (k+1)-th largest value misses the
median only if at most k passes lie on one side of it: its coverage is 1 - 2 P(Binomial(n, ½) ≤ k).
k is the largest for which that is at least 99%. With fewer than 8 passes the coverage is lower even
for the whole range (k = 0); the report states the coverage.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

CONFIDENCE = 0.99


class Interval(NamedTuple):
    """Median over passes, and its confidence interval, whose probability is `coverage`."""

    median: float
    low: float
    high: float
    passes: int

    @property
    def coverage(self) -> float:
        return coverage(self.passes)

    @property
    def sure(self) -> bool:
        """Whether there is an interval: one pass has none."""
        return self.passes > 1


def trimmed(passes: int) -> int:
    """The k of the module's docstring: how many values are left out on each side."""
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
    """slow / fast, computed within each pass; None if no pass has both."""
    pairs = [slow[key] / fast[key] for key in slow if key in fast]
    return interval(pairs) if pairs else None


def spread(same: Interval) -> float:
    """Distance from 1, as a factor, of the further end of an A/A interval: 1.03 means 3%."""
    return math.exp(max(abs(math.log(same.low)), abs(math.log(same.high))))


def verdict(found: Interval, noise: float) -> str:
    """faster or slower if the whole interval is further from 1 than the noise, else equal.

    With one pass there is no interval; the ratio itself must then exceed twice the noise.
    """
    beyond = noise if found.sure else 2 * noise
    if found.low > beyond:
        return "faster"
    return "slower" if found.high < 1 / beyond else "equal"
