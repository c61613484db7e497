"""Intervals of medians have the stated coverage, and verdicts allow for the noise."""

import itertools
import math

import numpy as np
import pytest

from bench.report.intervals import Interval, coverage, interval, ratio, spread, trimmed, verdict


@pytest.mark.parametrize("passes", [1, 2, 3, 7, 8, 9, 12, 15, 24])
def test_coverage_counts_the_equally_likely_sides(passes):
    """All 2^n ways of lying below or above the median; only their number where they are many."""
    k = trimmed(passes)
    if passes <= 15:
        inside = (
            sum(k < sum(below) < passes - k for below in itertools.product((0, 1), repeat=passes))
            / 2**passes
        )
    else:
        inside = sum(math.comb(passes, below) for below in range(k + 1, passes - k)) / 2**passes
    assert coverage(passes) == pytest.approx(inside)
    assert passes < 8 or coverage(passes) >= 0.99


@pytest.mark.parametrize("passes", [3, 9, 12])
def test_the_interval_covers_the_median_at_the_stated_rate(passes):
    """Log-normal times with outliers; 4 standard deviations of 4000 draws around the coverage."""
    rng = np.random.default_rng(passes)
    draws = np.exp(rng.standard_normal((4000, passes))) * rng.choice(
        [1, 1, 1, 1, 9], (4000, passes)
    )
    truth = np.median(np.exp(rng.standard_normal(10**6)) * rng.choice([1, 1, 1, 1, 9], 10**6))
    held = np.mean([found.low <= truth <= found.high for found in map(interval, draws)])
    expected = coverage(passes)
    # The truth is drawn too.
    assert abs(held - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000) + 0.002


def test_ratios_are_made_within_a_pass():
    """A drift that doubles each time from one pass to the next does not change them."""
    slow, fast = (
        {str(n): 3.0 * 2**n for n in range(9)},
        {str(n): 1.0 * 2**n for n in range(9) if n != 4},
    )
    assert ratio(slow, fast) == Interval(3.0, 3.0, 3.0, 8)
    assert ratio(slow, {"10": 1.0}) is None


def test_verdicts():
    assert spread(Interval(1.0, 0.9, 1.05, 9)) == pytest.approx(1 / 0.9)
    assert verdict(Interval(1.5, 1.2, 1.6, 9), 1.1) == "faster"
    assert verdict(Interval(1.5, 1.05, 1.6, 9), 1.1) == "equal"
    assert verdict(Interval(0.5, 0.4, 0.95, 9), 1.1) == "equal"
    assert verdict(Interval(0.5, 0.4, 0.8, 9), 1.1) == "slower"
    # One pass: from twofold beyond the noise on.
    assert verdict(Interval(2.1, 2.1, 2.1, 1), 1.1) == "equal"
    assert verdict(Interval(2.3, 2.3, 2.3, 1), 1.1) == "faster"
