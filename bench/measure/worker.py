"""The process that times the cases of one family in one pass; started by `run`.

It reads a task as one line of JSON from standard input, and writes each result as one line to
standard output as soon as it is known, so that nothing is lost when the run is interrupted.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import bench_kernels
from bench.measure.plan import OURS, VISITS, Case, Plan

ROOT = Path(__file__).parents[2]


class Pass:
    """A pytest plugin that sets the cases and their order, and reports the result of each."""

    def __init__(self, task: dict[str, Any], send: Any) -> None:
        self.task, self.send = task, send

    def pytest_configure(self, config: pytest.Config) -> None:
        plan = Plan.from_json(self.task["plan"])
        cases = {case.id: case for case in plan.order(self.task["pass"], self.task["family"])}
        config.stash[bench_kernels.CASES] = [cases[id] for id in self.task["cases"]]
        config.stash[bench_kernels.CHECKED] = plan.effort.checked if self.task["check"] else 0
        config.stash[bench_kernels.KNOWN] = self.task["known"]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        report = yield
        if call.when == "call" or not report.passed:
            record = {"kind": report.outcome, "case": Case(**item.callspec.params).id}
            if report.passed:
                fixture = item.funcargs["benchmark"]
                record |= fixture.extra_info | {"median": fixture.stats.stats.median}
                record |= {"iterations": fixture.stats.iterations}
            else:
                record["why"] = report.longrepr[2] if report.skipped else call.excinfo.exconly()
            self.send(record)
        return report


def main() -> int:
    task = json.loads(sys.stdin.readline())
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error, not between the results

    def send(record: dict[str, Any]) -> None:
        print(
            json.dumps(record | {"pass": task["pass"], "family": task["family"]}),
            file=lines,
            flush=True,
        )

    if task["family"] == OURS:
        from bench.measure import machine

        threads = Plan.from_json(task["plan"]).threads
        started = machine.start()
        send(
            {"kind": "machine", "first_function": started, "ceilings": machine.ceilings(threads)}
            | machine.describe()
        )
    options = ["--benchmark-only", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--rootdir"]
    seconds = Plan.from_json(task["plan"]).effort.seconds / VISITS
    return pytest.main(
        [bench_kernels.__file__, *options, str(ROOT), f"--benchmark-max-time={seconds}"],
        [Pass(task, send)],
    )


if __name__ == "__main__":
    sys.exit(main())
