"""Two reports side by side: what became slower from A to B, beyond the noise of both?

Judged is the speed of our variants relative to bare NumPy's, pair by pair within the passes of each
run: the machine's own drift from one run to the other, or the step to another machine, is in both.
Bare NumPy is the same code in both, since its file is frozen; it, the interpreted loop and the
peers are shown, and not judged. From 8 passes on an interval misses the true median in at most 1%
of runs, so that of B / A, of the ends of both, in at most 2%: a slowdown counts only where all of
it lies beyond the larger noise of the two cells.
"""

from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from bench.measure.plan import BASELINE, UsageError
from bench.report.claims import duration, ends, percent, times
from bench.report.intervals import Interval, verdict
from bench.report.results import SUBJECT, Cell, Results, load


class Change(NamedTuple):
    """A contestant in a cell of both reports."""

    cell: str
    contestant: str
    before: float
    after: float
    time: Interval  # A's time / B's: above 1 is faster
    relative: Interval | None  # the same of the speed relative to bare NumPy
    noise: float
    verdict: str  # faster, slower, equal; or "" where it is not judged


def quotient(a: Interval, b: Interval) -> Interval:
    """a / b of two runs, whose passes are no pairs: from end to end."""
    return Interval(a.median / b.median, a.low / b.high, a.high / b.low, min(a.passes, b.passes))


def changes(a: Results, b: Results) -> list[Change]:
    """Of everything that is in both."""
    found = []
    later = {cell.name: cell for cell in b.table + b.sweep}
    judged = {SUBJECT, *a.rivals} - {"python"}
    for cell in a.table + a.sweep:
        if cell.name in later:
            other = later[cell.name]
            names = [name for name in cell.contestants if name in other.timings]
            found += [change(cell, other, name, name in judged) for name in names]
    return found


def change(a: Cell, b: Cell, name: str, judged: bool) -> Change:
    before, after = a.timings[name].time, b.timings[name].time
    speeds, relative = (a.ratio(name), b.ratio(name)), None
    if name != BASELINE and speeds[0] and speeds[1]:
        relative = quotient(speeds[1], speeds[0])
    noise, time = max(a.noise, b.noise), quotient(before, after)
    said = verdict(relative or time, noise) if judged else ""
    return Change(a.name, name, before.median, after.median, time, relative, noise, said)


def row(one: Change) -> list[str]:
    relative = f"{times(one.relative)} [{ends(one.relative)}]" if one.relative else ""
    said = {"faster": "▲ faster", "slower": "▼ slower", "equal": "=", "": ""}[one.verdict]
    time = f"{times(one.time)} [{ends(one.time)}]"
    return [
        one.cell,
        one.contestant,
        duration(one.before),
        duration(one.after),
        time,
        relative,
        f"±{percent(one.noise - 1)}",
        said,
    ]


def show(a: Path, b: Path) -> int:
    """Print both side by side; 1 if anything became slower beyond noise."""
    before, after = Results(load(a)), Results(load(b))
    found = changes(before, after)
    if not found:
        raise UsageError(
            f"{a} and {b} have no cell in common: measure the same --problems and --dtypes in both"
        )
    header = ["cell", "variant", "A", "B", "A / B", f"the same, to {BASELINE}", "noise", ""]
    print(tabulate([row(one) for one in found], header, disable_numparse=True))
    for name, results in ("A", before), ("B", after):
        report = results.report
        cpu = results.document["machine_info"]["cpu"].get("brand_raw", "unknown CPU")
        print(
            f"\n{name}: {report['started']}, {cpu}, {report['plan']['threads']} threads, "
            f"{report['passes']} passes",
            end="",
        )
    slower = [one for one in found if one.verdict == "slower"]
    faster = sum(one.verdict == "faster" for one in found)
    print(
        f"\n\n{len(slower)} slower and {faster} faster beyond noise, "
        f"of {sum(bool(one.verdict) for one in found)} judged."
    )
    return 1 if slower else 0
