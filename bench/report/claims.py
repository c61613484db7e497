"""The sentences of a report's summary and the texts of its table, computed from `Results`."""

import math
import statistics
from itertools import combinations, pairwise

from bench.measure.plan import BASELINE
from bench.peers import PEERS
from bench.report.distribution import Distribution, distributions
from bench.report.intervals import Interval, coverage
from bench.report.results import SUBJECT, Cell, Results

MARKS = {"faster": "▲", "slower": "▼", "equal": "="}


def duration(seconds: float) -> str:
    """Seconds with three significant digits and a unit."""
    for unit, size in ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def percent(part: float) -> str:
    return f"{100 * part:.2g}%" if part < 0.1 else f"{100 * part:.0f}%"


def number(value: float, digits: int = 3) -> str:
    """Rounded to so many significant digits, or to a whole number if that has more."""
    return f"{value:.{digits}g}" if value < 10**digits - 0.5 else f"{value:.0f}"


def times(found: Interval) -> str:
    return f"{number(found.median)}×"


def ends(found: Interval) -> str:
    return f"{number(found.low)}–{number(found.high)}"


def cell_text(cell: Cell, contestant: str) -> str:
    """A table entry such as 12 ms ▲ 2.5×; empty if the contestant was not timed."""
    if contestant not in cell.timings:
        return ""
    text, found = duration(cell.timings[contestant].time.median), cell.ratio(contestant)
    if contestant == BASELINE or found is None:
        return text
    return f"{text} {MARKS[cell.verdict(contestant) or 'equal']} {times(found)}"


def name(cell: Cell) -> str:
    return f"{cell.problem} {cell.data} {cell.size} {cell.dtype}"


def count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def summary(results: Results) -> list[str]:
    """The sentences at the top of the report."""
    if results.random:
        sentences = [over_shapes(one) for one in distributions(results)]
    else:
        sentences = [against_rivals(results)]
        sentences += [against(results, other) for other in (BASELINE, *PEERS)]
    sentences += [of_ceilings(results), of_noise(results)]
    sentences += [of_others(results), of_passes(results)]
    return [sentence for sentence in sentences if sentence]


def over_shapes(found: Distribution) -> str:
    ahead, level, lost = map(percent, found.shares.values())
    return (
        f"Of {count(len(found.shapes), 'random shape')} {SUBJECT} is ahead of {found.other} in "
        f"{ahead}, level in {level}, behind in {lost}; geometric mean "
        f"{number(found.geometric_mean)}×, 5% quantile {number(found.quantiles[0.05])}×."
    )


def against_rivals(results: Results) -> str:
    found = [
        (cell, standing)
        for cell in results.table
        if (standing := results.standing(cell, results.rivals))
    ]
    if not found:
        return ""
    cells = {
        kind: sum(standing == kind for _, standing in found)
        for kind in ("fastest", "tied", "beaten")
    }
    of_cells = f"{cells['fastest']} of {count(len(found), 'cell')}"
    text = f"{SUBJECT} is the fastest of our variants in {of_cells}"
    if cells["tied"]:
        text += f", level within the noise in {cells['tied']}"
    if cells["beaten"]:
        text += f", beaten in {cells['beaten']}"
    return f"{text}."


def against(results: Results, other: str) -> str:
    ratios = [
        (found.median, cell) for cell in results.table if (found := cell.ratio(SUBJECT, other))
    ]
    if not ratios:
        return ""
    verdicts = [cell.verdict(SUBJECT, other) for _, cell in ratios]
    number = {verdict: verdicts.count(verdict) for verdict in MARKS}
    of_cells = f"{number['faster']} of {count(len(ratios), 'cell')}, level in {number['equal']}"
    text = f"Against {other} {SUBJECT} is faster in {of_cells}"
    return f"{text}, slower in {number['slower']}; {middle_and_worst(ratios, other)}."


def middle_and_worst(ratios: list[tuple[float, Cell]], other: str) -> str:
    worst, where = min(ratios, key=lambda pair: pair[0])
    middle = statistics.median(ratio for ratio, _ in ratios)
    in_worst = f"{number(worst, 2)}× in the worst ({name(where)})"
    return f"{number(middle, 2)}× the speed of {other} in the middle cell, {in_worst}"


def of_ceilings(results: Results) -> str:
    reached = [part for cell in results.table if (part := results.reached(cell, SUBJECT))]
    if not reached:
        return ""
    read, f64, f32 = (results.ceilings[key].median / 1e9 for key in ("read", "float64", "float32"))
    return (
        f"With {count(results.report['plan']['threads'], 'thread')} this machine reads "
        f"{read:.0f} GB/s from memory and does {f64:.0f} GFLOP/s in float64, {f32:.0f} in float32; "
        f"of what that allows, {SUBJECT} reaches {percent(statistics.median(reached))} in the "
        f"middle cell and {percent(max(reached))} in the best."
    )


def of_noise(results: Results) -> str:
    found = [cell for cell in results.table if cell.same and cell.same.sure]
    if not found:
        return (
            "One pass only: there is no interval, and no measure of the noise. "
            "Only a difference of more than a factor of two counts."
        )
    widest = max(max(cell.same.high - 1, 1 - cell.same.low) for cell in found if cell.same)
    holds = sum(cell.same.low <= 1 <= cell.same.high for cell in found if cell.same)
    return (
        f"Noise of this run: {SUBJECT}, timed twice in each pass, differs from itself by "
        f"{percent(results.typical - 1)} in the middle cell, {percent(widest)} in the worst; "
        f"the interval holds 1 in {holds} of {count(len(found), 'cell')}. "
        "No difference within the noise is called a win."
    )


def of_others(results: Results) -> str:
    """A warning if other processes used more than 5% of the CPUs, else nothing."""
    part = results.report["others"]
    if part is None or not part > 0.05:
        return ""
    return (
        f"Other processes used {percent(part)} of the CPUs during the run, which makes "
        "whatever uses several threads, the peers above all, appear too slow. "
        "Measure again on an idle machine."
    )


def of_passes(results: Results) -> str:
    passes = results.report["passes"]
    text = f"Medians over {passes} pass{'es' if passes != 1 else ''} in shuffled order"
    if passes > 1:
        held = f"{100 * coverage(passes):.1f}%"
        text += f"; the interval of a ratio contains its true median in {held} of such runs"
    return text + (
        "."
        if results.report["finished"]
        else ". The run was interrupted: this is what was measured until then."
    )


def crossings(results: Results, problem: str) -> list[str]:
    """Where curves of the sweep cross, interpolated between neighbouring batch sizes."""
    sentences = []
    cells = [cell for cell in results.sweep if cell.problem == problem]
    for dtype in dict.fromkeys(cell.dtype for cell in cells):
        mine = [cell for cell in cells if cell.dtype == dtype]
        for one, other in combinations(results.contestants, 2):
            points = [
                (cell.shape[0], ratio.median) for cell in mine if (ratio := cell.ratio(other, one))
            ]
            for (n, before), (m, after) in pairwise(points):
                if (before < 1) != (after < 1):
                    part = math.log(before) / (math.log(before) - math.log(after))
                    at = math.exp(math.log(n) + part * (math.log(m) - math.log(n)))
                    winner, loser = (other, one) if after > 1 else (one, other)
                    N = f"{float(f'{at:.1g}'):,.0f}".replace(",", " ")
                    sentences.append(f"{dtype}: {winner} overtakes {loser} at N ≈ {N}")
    return sentences
