"""Runs a plan in passes, each family of a pass in its own process.

Every timing is written to disk immediately, so that a run can be interrupted and resumed.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.measure.plan import Plan, UsageError
from bench.measure.progress import progress
from kernels.engine.cache import source_stamp

ROOT = Path(__file__).parents[2]
COMPILED = "compiled"  # directory of compiled code, inside that of the report
PINNED = ("KERNELS", "OPENBLAS", "OMP", "MKL", "BLIS", "NUMBA")  # each with _NUM_THREADS
SLOW = 0.1  # seconds: calls that take longer get one visit in a pass
REPORTED = (  # prefixes of the environment variables that affect the times
    *PINNED,
    "VECLIB",
    "GOTO",
    "NPY",
    "KMP",
    "GOMP",
    "XLA",
    "JAX",
    "TORCH",
    "ONEDNN",
    "DNNL",
    "MALLOC",
    "LD_PRELOAD",
)


class Records:
    """All records of a run, one line of JSON each: settings, timings, failures, the machine."""

    def __init__(self, directory: Path, plan: Plan, command: str) -> None:
        """Resume an unfinished run of the same plan, code and environment, or start a new one."""
        self.path, self.plan = directory / "timings.jsonl", plan
        head: dict[str, Any] = {
            "kind": "run",
            "command": command,
            "plan": plan.to_json(),
            "environment": environment(),
        }
        head |= {"source": source_stamp(), "revision": revision()}
        head |= {"started": time.strftime("%Y-%m-%d %H:%M %Z")}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.lines = list(self._read())
            self.resumed = self._unfinished(head)
            if self.resumed:
                self.plan = Plan.from_json(self.lines[0]["plan"])
            else:
                self.lines = []
                self.path.write_text("")
                # Compile times are measured, so no code may be on disk.
                shutil.rmtree(directory / COMPILED, ignore_errors=True)
                self.add(head)
        except OSError as error:
            raise UsageError(
                f"--out {directory}: cannot write there ({error.strerror}); "
                "name a directory that you may write to"
            ) from None

    def _unfinished(self, head: dict[str, Any]) -> bool:
        if not self.lines or self.lines[0]["kind"] != "run" or self.finished:
            return False
        before = self.lines[0]
        same_plan = replace(Plan.from_json(before["plan"]), seed=self.plan.seed) == self.plan
        return same_plan and all(before[key] == head[key] for key in ("source", "environment"))

    def _read(self) -> Iterator[dict[str, Any]]:
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError):  # truncated by a crash
                    yield json.loads(line)

    @property
    def finished(self) -> bool:
        return bool(self.of("finished"))

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with self.path.open("a") as file:
            print(json.dumps(line), file=file)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["kind"] == kind]


def revision() -> str:
    """The commit of this tree; outside Git a hash of the sources. Both are hexadecimal."""
    if (ROOT / ".git").exists():  # an archive inside another repository has none
        command = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return source_stamp()


def environment() -> dict[str, str]:
    """The environment variables that affect the times, as set by the user."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(REPORTED)}


def used_by_others() -> float | None:
    """CPU seconds used by other processes, from Linux's counters; None on other systems."""
    if not Path("/proc/stat").exists():
        return None
    user, nice, system, _, _, interrupts, soft, stolen, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    ticks = user + nice + system + interrupts + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def run(records: Records) -> bool:
    """Measure what is missing; return True if the run finished, False after Ctrl-C."""
    plan, started = records.plan, time.monotonic()
    effort = plan.effort
    longest = 0.0
    with progress(effort.budget) as bar:
        try:
            for number in range(1, effort.passes + 1):
                start = time.monotonic()
                if number > effort.fewest and start - started + longest > effort.budget:
                    break
                families = plan.families
                random.Random(f"{plan.seed} {number}").shuffle(families)
                for family in families:
                    bar.set_description(
                        f"pass {number} of {effort.fewest} to {effort.passes}, {family}"
                    )
                    one_pass(plan, records, number, family, bar)
                if number > 1:  # the first compiles and checks
                    longest = max(longest, time.monotonic() - start)
        except KeyboardInterrupt:
            return False
    records.add({"kind": "finished"})
    return True


def one_pass(plan: Plan, records: Records, number: int, family: str, bar: Any) -> None:
    """Time what is missing of a family in one pass, in a new process."""
    spent: dict[str, float] = defaultdict(float)
    known: dict[str, float] = {}
    closed, done = set(), Counter[str]()
    for line in records.lines:
        if line["kind"] == "passed":
            spent[line["case"]] += line["spent"]
            known[line["case"]] = line["median"]
            done[line["case"]] += line["pass"] == number
        if line["kind"] in ("skipped", "failed"):
            closed.add(line["case"])
    closed |= {case for case, seconds in spent.items() if seconds > plan.effort.allowance}
    cases, visits = [], Counter[str]()
    for id in (case.id for case in plan.order(number, family)):
        visits[id] += 1
        if (
            id not in closed
            and visits[id] > done[id]
            and (visits[id] == 1 or known.get(id, 0) < SLOW)
        ):
            cases.append(id)
    if not cases:
        return
    task = {
        "plan": plan.to_json(),
        "pass": number,
        "family": family,
        "cases": cases,
        "known": known,
        "check": number == 1,
    }
    started, before = time.monotonic(), used_by_others()
    with tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", "bench.measure.worker"]
        pinned = {f"{name}_NUM_THREADS": str(plan.threads) for name in PINNED}
        if plan.preset != "quick":  # do not load code that an earlier run compiled
            pinned["NUMBA_CACHE_DIR"] = str(records.path.resolve().parent / COMPILED)
        worker = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | pinned,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            print(json.dumps(task), file=worker.stdin, flush=True)
            for answer in worker.stdout:
                record = json.loads(answer)
                records.add(record)
                if record["kind"] == "failed":
                    bar.write(f"not timed: {record['why']}")
        except BaseException:
            worker.terminate()
            raise
        finally:
            worker.wait()
        after, elapsed = used_by_others(), time.monotonic() - started
        if before is not None and after is not None:
            records.add(
                {"kind": "others", "seconds": after - before, "of": elapsed * (os.cpu_count() or 1)}
            )
        recorded = {
            line["case"] for line in records.lines if line.get("pass") == number and "case" in line
        }
        if not set(cases) <= recorded:
            errors.seek(0)
            raise UsageError(
                f"the process that measures {family} stopped (exit status {worker.returncode}):\n"
                f"{errors.read()[-2000:]}"
            )
