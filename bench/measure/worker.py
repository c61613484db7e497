"""One pass over the cases of one family, in a process of its own; `run` starts it.

What to do comes as one line of JSON on standard input; every timing leaves as one on standard
output as soon as it is there, so that nothing is lost when the run is interrupted.
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
    """A pytest plugin: chooses the cases and their order, and tells what came of each."""

    def __init__(self, task: dict[str, Any], tell: Any) -> None:
        self.task, self.tell = task, tell

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
            told = {"kind": report.outcome, "case": Case(**item.callspec.params).id}
            if report.passed:
                fixture = item.funcargs["benchmark"]
                told |= fixture.extra_info | {"median": fixture.stats.stats.median}
                told |= {"iterations": fixture.stats.iterations}
            else:
                told["why"] = report.longrepr[2] if report.skipped else call.excinfo.exconly()
            self.tell(told)
        return report


def main() -> int:
    task = json.loads(sys.stdin.readline())
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not to be taken for an answer

    def tell(told: dict[str, Any]) -> None:
        print(
            json.dumps(told | {"pass": task["pass"], "family": task["family"]}),
            file=lines,
            flush=True,
        )

    if task["family"] == OURS:
        from bench.measure import machine

        threads = Plan.from_json(task["plan"]).threads
        started = machine.start()
        tell(
            {"kind": "machine", "first_function": started, "ceilings": machine.ceilings(threads)}
            | machine.describe()
        )
    options = ["--benchmark-only", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--rootdir"]
    seconds = Plan.from_json(task["plan"]).effort.seconds / VISITS
    return pytest.main(
        [bench_kernels.__file__, *options, str(ROOT), f"--benchmark-max-time={seconds}"],
        [Pass(task, tell)],
    )


if __name__ == "__main__":
    sys.exit(main())
