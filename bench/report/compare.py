"""Comparison of two reports: which variants became slower from A to B, beyond the noise of both?

Verdicts are on the speed of our variants relative to bare NumPy, computed within the passes of each
run, so that a drift of the machine between the runs, or a change of machine, affects both sides.
Bare NumPy is the same code in both reports, since its file is frozen. Bare NumPy, the interpreted
loop and the peers are shown without a verdict. With 8 passes or more an interval misses the true
median in at most 1% of runs, and the interval of B / A, formed from the ends of both, in at most
2%. A slowdown counts only if the whole interval lies beyond the larger noise of the two cells.
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
    time: Interval  # A's time / B's: above 1 means that B is faster
    relative: Interval | None  # B's speed / A's, each relative to bare NumPy
    noise: float
    verdict: str  # faster, slower, equal; "" if there is none


def quotient(a: Interval, b: Interval) -> Interval:
    """a / b of two runs, whose passes cannot be paired: bounds from the opposite ends."""
    return Interval(a.median / b.median, a.low / b.high, a.high / b.low, min(a.passes, b.passes))


def changes(a: Results, b: Results) -> list[Change]:
    """The changes of all contestants and cells that are in both reports."""
    found = []
    later = {cell.name: cell for cell in b.table + b.sweep}
    with_verdict = {SUBJECT, *a.rivals} - {"python"}
    for cell in a.table + a.sweep:
        if cell.name in later:
            other = later[cell.name]
            names = [name for name in cell.contestants if name in other.timings]
            found += [change(cell, other, name, name in with_verdict) for name in names]
    return found


def change(a: Cell, b: Cell, name: str, judged: bool) -> Change:
    before, after = a.timings[name].time, b.timings[name].time
    speeds, relative = (a.ratio(name), b.ratio(name)), None
    if name != BASELINE and speeds[0] and speeds[1]:
        relative = quotient(speeds[1], speeds[0])
    noise, time = max(a.noise, b.noise), quotient(before, after)
    found = verdict(relative or time, noise) if judged else ""
    return Change(a.name, name, before.median, after.median, time, relative, noise, found)


def row(one: Change) -> list[str]:
    relative = f"{times(one.relative)} [{ends(one.relative)}]" if one.relative else ""
    marked = {"faster": "▲ faster", "slower": "▼ slower", "equal": "=", "": ""}[one.verdict]
    time = f"{times(one.time)} [{ends(one.time)}]"
    return [
        one.cell,
        one.contestant,
        duration(one.before),
        duration(one.after),
        time,
        relative,
        f"±{percent(one.noise - 1)}",
        marked,
    ]


def show(a: Path, b: Path) -> int:
    """Print the comparison; return 1 if any variant became slower beyond the noise, else 0."""
    before, after = Results(load(a)), Results(load(b))
    found = changes(before, after)
    if not found:
        raise UsageError(
            f"{a} and {b} have no cell in common: measure the same --problems and --dtypes in both"
        )
    header = ["cell", "variant", "A", "B", "A / B", f"relative to {BASELINE}", "noise", ""]
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
        f"\n\n{len(slower)} slower and {faster} faster beyond the noise, "
        f"of {sum(bool(one.verdict) for one in found)} compared."
    )
    return 1 if slower else 0
