"""The distribution of the ratios over random shapes: shares, geometric mean, quantiles, the worst.

A shape is ahead if the interval of its ratio lies wholly above 1, lost if wholly below, else level,
as is every shape after one pass, which has no interval. The best peer of a shape is the one to
which the ratio is lowest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.measure.plan import BASELINE
from bench.report.intervals import Interval
from bench.report.results import SUBJECT, Cell, Results

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STANDINGS = ("ahead", "level", "lost")


def standing(ratio: Interval) -> str:
    if ratio.sure and ratio.low > 1:
        return "ahead"
    return "lost" if ratio.sure and ratio.high < 1 else "level"


@dataclass(frozen=True)
class Distribution:
    """The ratios of SUBJECT to one other contestant, or to the best peer of each shape."""

    other: str
    shapes: list[tuple[Interval, str, Cell]]  # ratio, to whom, where; from the lowest ratio up

    @property
    def ratios(self) -> list[float]:
        return [ratio.median for ratio, _, _ in self.shapes]

    @property
    def shares(self) -> dict[str, float]:
        found = [standing(ratio) for ratio, _, _ in self.shapes]
        return {kind: found.count(kind) / len(found) for kind in STANDINGS}

    @property
    def geometric_mean(self) -> float:
        return float(np.exp(np.mean(np.log(self.ratios))))

    @property
    def quantiles(self) -> dict[float, float]:
        return {part: float(np.quantile(self.ratios, part)) for part in QUANTILES}

    @property
    def worst(self) -> list[tuple[Interval, str, Cell]]:
        return self.shapes[:10]

    def as_dict(self) -> dict[str, Any]:
        """What the JSON of the report has of it."""
        return {
            "shapes": len(self.shapes),
            **self.shares,
            "geometric_mean": self.geometric_mean,
            "quantiles": {str(part): value for part, value in self.quantiles.items()},
            "worst": [
                {"cell": cell.name, "to": to, "ratio": r.median, "low": r.low, "high": r.high}
                for r, to, cell in self.worst
            ],
        }


def distributions(results: Results) -> list[Distribution]:
    """Against the baseline, and against the best peer where there are peers."""
    peers = [name for name in results.contestants if name in results.report["peers"]]
    found = []
    for other, names in (BASELINE, [BASELINE]), ("the best peer", peers):
        shapes = []
        for cell in results.table:
            ratios = [(ratio, name) for name in names if (ratio := cell.ratio(SUBJECT, name))]
            if ratios:
                shapes.append((*min(ratios), cell))
        if shapes:
            found.append(Distribution(other, sorted(shapes, key=lambda shape: shape[0])))
    return found
