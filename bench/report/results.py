"""The JSON of a report, made of the timings of a run, and the results computed from it.

The JSON has pytest-benchmark's format, one benchmark for each contestant of each cell. Its
statistics are over passes: `stats.data` has the median of each pass, `extra_info.passes` the same
by pass number, so that ratios can be computed within a pass. Data of the run as a whole (ceilings,
compile times, the machine) are under `report`, which pytest-benchmark ignores.
"""

import json
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest_benchmark
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
from pytest_benchmark.stats import Stats
from pytest_benchmark.utils import get_commit_info

from bench.measure.plan import BASELINE, CONTROL, Plan, UsageError
from bench.measure.run import Records
from bench.peers import PEERS
from bench.problems import flop
from bench.report.intervals import Interval, interval, ratio, spread, verdict

SUBJECT = "tiled"  # the variant that the summary is about
PER_CELL = ("problem", "data", "size", "shape", "order", "dtype")


def document(records: Records) -> dict[str, Any]:
    """The records of a run in pytest-benchmark's JSON format."""
    plan = Plan.from_json(records.lines[0]["plan"])
    swept = {str(problem) for problem in plan.sweep}
    cases: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in records.of("passed"):
        cases[line["case"]].append(line)
    places = {
        case.id: (number, case)
        for number, case in enumerate(c for f in plan.families for c in plan.in_order(f))
    }
    benchmarks = []
    for id in sorted(cases, key=lambda id: places[id][0]):
        lines, case = cases[id], places[id][1]
        stats = Stats()
        passes: dict[str, list[float]] = defaultdict(list)
        for line in lines:
            passes[str(line["pass"])].append(line["median"])
        medians = {number: statistics.median(visits) for number, visits in passes.items()}
        for median in medians.values():
            stats.update(median)
        name = f"test_gradient[{id}]"
        checked = next((line for line in lines if "error" in line), {})
        benchmarks.append(
            {
                "group": f"{case.problem} {case.dtype}",
                "name": name,
                "fullname": f"bench/bench_kernels.py::{name}",
                "params": {
                    "problem": str(case.problem),
                    "dtype": case.dtype,
                    "contestant": case.contestant,
                },
                "param": id,
                "extra_info": {key: lines[0][key] for key in (*PER_CELL, "contestant")}
                | {"part": "sweep" if str(case.problem) in swept else "table"}
                | {"passes": medians}
                | {key: checked[key] for key in ("error", "error_rows") if key in checked},
                "options": {"max_time": plan.effort.seconds, "timer": "perf_counter"},
                "stats": stats.as_dict()
                | {"data": stats.data, "iterations": max(line["iterations"] for line in lines)},
            }
        )
    machines, others = records.of("machine"), records.of("others")
    peers = {name: PEERS[name].version() for name in plan.peers}
    return {
        "machine_info": pytest_benchmark_generate_machine_info(),
        "commit_info": get_commit_info(),
        "benchmarks": benchmarks,
        "datetime": datetime.now(timezone.utc).isoformat(),
        "version": pytest_benchmark.__version__,
        "report": {
            **{key: records.lines[0][key] for key in ("command", "environment", "started")},
            "revision": records.lines[0].get("revision"),
            "plan": json.loads(records.lines[0]["plan"]),
            "passes": max((line["pass"] for line in records.of("passed")), default=0),
            "finished": records.finished,
            "failed": [line["why"] for line in records.of("failed")],
            "machine": {
                key: machines[-1][key]
                for key in ("versions", "cpus_allowed", "caches", "threads", "pools")
            }
            if machines
            else {},
            "peers": peers,
            "others": sum(line["seconds"] for line in others) / sum(line["of"] for line in others)
            if others
            else None,
            "ceilings": {
                key: [line["ceilings"][key] for line in machines]
                for key in ("read", "float64", "float32")
            },
            "first_function": [line["first_function"] for line in machines],
            "first_calls": first_calls(records.of("passed")),
        },
    }


def first_calls(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds of each compiled variant's first call, compiled (cold) or loaded from disk (warm)."""
    found: dict[tuple[str, ...], dict[str, dict[int, float]]] = defaultdict(
        lambda: {"cold": {}, "warm": {}}
    )
    for line in lines:
        if line["contestant"] in ("loop", "tiled", CONTROL):
            key = (
                line["problem"],
                line["dtype"],
                "tiled" if line["contestant"] == CONTROL else line["contestant"],
            )
            times = found[key]["cold" if line["compiled"] else "warm"]
            # Of the calls of one process, the first takes longest.
            times[line["pass"]] = max(times.get(line["pass"], 0), line["first_call"])
    return [
        dict(zip(("problem", "dtype", "variant"), key, strict=True))
        | {"cold": max(times["cold"].values(), default=None)}
        | {
            "warm": [
                seconds
                for number, seconds in sorted(times["warm"].items())
                if number not in times["cold"]
            ]
        }
        for key, times in sorted(found.items())
    ]


def load(path: Path) -> dict[str, Any]:
    """Read the JSON of a report, given its directory or the file."""
    file = path / "benchmark.json" if path.is_dir() else path
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        if "report" not in found:
            raise UsageError(
                f"{file} was not written by `python -m bench`: "
                "make a report with it, and compare that"
            )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} holds no report that can be read ({error}): "
            "give the DIR of a `python -m bench --out DIR`"
        ) from None
    return found


@dataclass
class Timing:
    """The times of a contestant in a cell, by pass, and its error."""

    passes: dict[str, float]
    error: float | None
    error_rows: int | None

    @cached_property
    def time(self) -> Interval:
        return interval(self.passes.values())


@dataclass
class Cell:
    """A row of the table, with the timings of all contestants."""

    name: str
    problem: str
    data: str
    size: str
    shape: list[int]
    order: str
    dtype: str
    part: str
    timings: dict[str, Timing] = field(default_factory=dict)
    typical: float = 1.0  # median noise of the run's cells

    @property
    def contestants(self) -> list[str]:
        return [name for name in self.timings if name != CONTROL]

    @property
    def least(self) -> float:
        return min(self.timings[name].time.median for name in self.contestants)

    def ratio(self, contestant: str, to: str = BASELINE) -> Interval | None:
        """The speed of a contestant relative to `to`."""
        if contestant not in self.timings or to not in self.timings:
            return None
        return ratio(self.timings[to].passes, self.timings[contestant].passes)

    @cached_property
    def same(self) -> Interval | None:
        """The A/A ratio: `tiled` was timed twice in each pass."""
        return self.ratio(CONTROL, SUBJECT)

    @property
    def noise(self) -> float:
        """The spread of the A/A ratio in this cell or in the median cell, whichever is larger."""
        return max(self.typical, spread(self.same) if self.same and self.same.sure else 1.0)

    def verdict(self, contestant: str, to: str = BASELINE) -> str | None:
        found = self.ratio(contestant, to)
        return verdict(found, self.noise) if found else None

    @property
    def flop(self) -> float:
        return flop(self.shape)

    @property
    def bytes(self) -> float:
        """Bytes of X and y, each read once."""
        N, D = self.shape[:2]
        size = 8 if self.dtype == "float64" else 4
        return N * (D * size + (8 if self.problem in ("softmax", "two_layer") else size))


class Results:
    """The cells of a report, with ratios, noise and verdicts."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document, self.report = document, document["report"]
        cells: dict[str, Cell] = {}
        for benchmark in document["benchmarks"]:
            info, name = benchmark["extra_info"], benchmark["group"]
            cell = cells.setdefault(
                name, Cell(name, part=info["part"], **{key: info[key] for key in PER_CELL})
            )
            cell.timings[info["contestant"]] = Timing(
                info["passes"], info.get("error"), info.get("error_rows")
            )
        order = list(dict.fromkeys(cell.problem for cell in cells.values()))
        grouped = sorted(cells.values(), key=lambda cell: order.index(cell.problem))
        self.table = [cell for cell in grouped if cell.part == "table"]
        self.sweep = [cell for cell in grouped if cell.part == "sweep"]
        spreads = [spread(cell.same) for cell in self.table if cell.same and cell.same.sure]
        self.typical = statistics.median(spreads) if spreads else 1.0
        for cell in cells.values():
            cell.typical = self.typical
        self.ceilings = {key: interval(values) for key, values in self.report["ceilings"].items()}

    @property
    def random(self) -> bool:
        """Whether the table is of random shapes."""
        return bool(self.report["plan"].get("shapes"))

    @property
    def problems(self) -> list[str]:
        return list(dict.fromkeys(cell.problem for cell in self.table + self.sweep))

    @property
    def contestants(self) -> list[str]:
        """The contestants in the order of the table's columns."""
        order = [BASELINE, "python", "numpy", "loop", "tiled", *PEERS]
        found = {name for cell in self.table + self.sweep for name in cell.contestants}
        return sorted(
            found, key=lambda name: (order.index(name) if name in order else len(order), name)
        )

    @property
    def rivals(self) -> list[str]:
        """Our variants except SUBJECT."""
        return [name for name in self.contestants if name not in (BASELINE, SUBJECT, *PEERS)]

    def ceiling(self, cell: Cell) -> float:
        """A lower bound in seconds on the gradient of a cell whose data come from memory."""
        return max(
            cell.flop / self.ceilings[cell.dtype].median, cell.bytes / self.ceilings["read"].median
        )

    def reached(self, cell: Cell, contestant: str) -> float | None:
        """The ceiling divided by a contestant's time; None if it was not timed."""
        return (
            self.ceiling(cell) / cell.timings[contestant].time.median
            if contestant in cell.timings
            else None
        )

    def standing(self, cell: Cell, rivals: list[str]) -> str | None:
        """fastest if SUBJECT is faster than every rival, beaten if slower than one, else tied."""
        found = {cell.verdict(SUBJECT, rival) for rival in rivals} - {None}
        if not found:
            return None
        return "beaten" if "slower" in found else "fastest" if found == {"faster"} else "tied"
