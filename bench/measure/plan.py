"""The plan of a run: what is measured, and in which order.

cell        one problem, data set, size and dtype: a row of the table
contestant  what is timed in a cell: the baseline, one of our variants, the control, or a peer
family      the contestants that share a process: the baseline and ours, or one peer
pass        one run over all cells, in new processes and a new order
visit       one timing of a contestant in a pass
sweep       cells of one problem that differ in N alone
"""

import json
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from bench.draw import draw
from bench.problems import PRESETS, PROBLEMS, SWEEP, Problem

OURS = "kernels"  # the family of our variants, the control and the baseline
VISITS = 3  # of each contestant in a pass, interleaved; their median is its time in that pass
BASELINE = "bare NumPy"  # the numerator of all ratios
CONTROL = "tiled again"  # a second timing of `tiled`, from which the noise follows


@dataclass(frozen=True)
class Effort:
    """The limits of a preset."""

    passes: int  # maximum number of passes
    seconds: float  # per contestant, cell and pass
    allowance: float  # seconds per contestant and cell in all; slower ones get fewer passes
    budget: float  # seconds for the run; after the `fewest` passes none starts that would exceed it
    longest: int  # largest N of the sweep
    checked: int  # multiplications per cell of the long-double reference
    fewest: int = 8  # minimum number of passes, whatever the budget: enough for an interval


EFFORTS = {
    "quick": Effort(
        passes=3, seconds=0.01, allowance=1.0, budget=60, longest=10**4, checked=10**6, fewest=2
    ),
    "default": Effort(
        passes=12, seconds=0.02, allowance=4.0, budget=600, longest=1_000_000, checked=2_000_000
    ),
    "full": Effort(
        passes=24, seconds=0.1, allowance=60.0, budget=3600, longest=1_000_000, checked=50_000_000
    ),
}


class Case(NamedTuple):
    """One timing: a contestant in a cell of the table."""

    problem: Problem
    dtype: str
    contestant: str

    @property
    def id(self) -> str:
        return f"{self.problem}-{self.dtype}-{self.contestant.replace(' ', '_')}"


class UsageError(Exception):
    """A request that cannot be carried out; the message says why and what to do instead."""


@dataclass(frozen=True)
class Plan:
    preset: str
    problems: tuple[str, ...]  # names of problems or of rows of the table; empty for all
    dtypes: tuple[str, ...]
    variants: tuple[str, ...]
    peers: tuple[str, ...]
    threads: int
    seed: int  # of the orders
    shapes: int = 0  # number of random shapes, measured in place of the table; 0: the table
    draw_seed: int = 0  # of the random shapes

    @property
    def effort(self) -> Effort:
        """The limits of the preset; every random shape gets all passes, in a budget of its own.

        Half of the preset's budget is for compiling and for starting processes, as much again for
        each 50 shapes.
        """
        effort = EFFORTS[self.preset]
        if not self.shapes:
            return effort
        budget = effort.budget * (0.5 + self.shapes / 100)
        return replace(effort, allowance=math.inf, checked=0, budget=budget)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        found: Any = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in json.loads(text).items()
        }
        return cls(**found)

    @property
    def drawn(self) -> list[tuple[Problem, str]]:
        """The random shapes, each in its dtype."""
        return draw(self.shapes, self.draw_seed, self.problems, self.dtypes)

    @property
    def table(self) -> list[Problem]:
        if self.shapes:
            return [problem for problem, _ in self.drawn]
        presets = PRESETS[: PRESETS.index(self.preset) + 1]
        rows = [
            problem
            for problem in PROBLEMS
            if problem.preset in presets or str(problem) in self.problems
        ]
        return [
            problem
            for problem in rows
            if not self.problems or {problem.name, str(problem)} & set(self.problems)
        ]

    @property
    def sweep(self) -> list[Problem]:
        """The rows of the sweep whose problems are in the table; random shapes have none."""
        if self.shapes:
            return []
        names = {problem.name for problem in self.table}
        return [
            problem
            for problem in SWEEP
            if problem.name in names and problem.shape[0] <= self.effort.longest
        ]

    @property
    def families(self) -> list[str]:
        return [OURS, *self.peers]

    def contestants(self, problem: Problem, family: str = OURS) -> list[str]:
        if family != OURS:
            return [] if problem in self.sweep else [family]
        variants = [variant for variant in problem.variants if variant in self.variants]
        control = [CONTROL] if "tiled" in variants and problem not in self.sweep else []
        return [BASELINE, *variants, *control]

    def cells(self, family: str = OURS) -> list[tuple[Problem, str]]:
        """Cells in the order of the table, then the sweep: in one dtype only, except in `full`."""
        if self.shapes:
            return self.drawn
        swept = self.dtypes if self.preset == "full" else self.dtypes[:1]
        cells = [(problem, dtype) for problem in self.table for dtype in self.dtypes]
        if family == OURS:
            cells += [(problem, dtype) for problem in self.sweep for dtype in swept]
        return cells

    def in_order(self, family: str) -> list[Case]:
        """The cases of a family in the order of the table."""
        return [
            Case(*cell, contestant)
            for cell in self.cells(family)
            for contestant in self.contestants(cell[0], family)
        ]

    def order(self, number: int, family: str) -> list[Case]:
        """The cases of one pass, shuffled within groups.

        Cells with the same X stay together, and so do the contestants of a cell. Each contestant
        has VISITS visits, but one in the sweep and in the first pass, which compiles.
        """
        shuffle = random.Random(f"{self.seed} {number} {family}").shuffle
        groups: dict[object, list[tuple[Problem, str]]] = {}
        for problem, dtype in self.cells(family):
            groups.setdefault((problem.data, problem.shape[:2]), []).append((problem, dtype))
        cases = []
        for group in shuffled(groups.values(), shuffle):
            for problem, dtype in shuffled(group, shuffle):
                for _ in range(1 if number == 1 or problem in self.sweep else VISITS):
                    cases += [
                        Case(problem, dtype, c)
                        for c in shuffled(self.contestants(problem, family), shuffle)
                    ]
        return cases


def shuffled(items: Iterable[Any], shuffle: Callable[[list[Any]], None]) -> list[Any]:
    items = list(items)
    shuffle(items)
    return items
