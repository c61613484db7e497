"""`python -m bench.report.readme DIR` copies a report's tables and figure to README.md and docs."""

import re
import shutil
import statistics
import sys
from pathlib import Path

from bench.measure.plan import BASELINE, UsageError
from bench.report import claims
from bench.report.page import header, row, table
from bench.report.results import SUBJECT, Cell, Results, load

ROOT = Path(__file__).parents[2]
FIGURE, ALL_CELLS = Path("docs/figure.svg"), Path("docs/results.md")
MARKS = "<!-- table: begin (make readme) -->", "<!-- table: end -->"
PICTURE = f"![Every cell: times as fast as {BASELINE}, with intervals]"


def extremes_and_middles(results: Results) -> list[Cell]:
    """At most six rows, chosen by rule: the best cell, the worst, the middle of each problem."""
    by_ratio = sorted(
        (ratio.median, place)
        for place, cell in enumerate(results.table)
        if (ratio := cell.ratio(SUBJECT))
    )
    chosen = {by_ratio[0][1], by_ratio[-1][1]} if by_ratio else set()
    for problem in {cell.problem for cell in results.table}:
        places = [p for _, p in by_ratio if results.table[p].problem == problem]
        others = [p for p in places if p not in chosen] or places
        chosen |= {others[len(others) // 2]} if others else set()
    return [results.table[place] for place in sorted(chosen)]


def origin(results: Results) -> str:
    """The note below a table: meaning of the numbers, machine, versions, date, command."""
    machine, info = results.report["machine"], results.document["machine_info"]
    versions = [f"{name} {machine['versions'][name]}" for name in ("numpy", "numba", "Python")]
    versions += [f"{name} {version}" for name, version in results.report["peers"].items()]
    blas = sorted({pool["architecture"] for pool in machine["pools"] if pool.get("architecture")})
    return (
        f"Median time of a call for loss and gradient over {results.report['passes']} passes, and "
        f"the median of {BASELINE}'s time divided by it in each pass:\n"
        "▲ faster, ▼ slower, = no difference beyond the noise."
        f"\n{info['cpu'].get('brand_raw', 'Unknown CPU')}, "
        f"{claims.count(results.report['plan']['threads'], 'thread')} (`loop` and `python`: one), "
        f"OpenBLAS with {', '.join(blas) or 'unknown'} kernels;\n{', '.join(versions)}.\n"
        f"{results.report['started'][:10]}, `{results.report['command']}`."
    )


def against_peers(results: Results, peers: list[str]) -> str:
    """One sentence with the median and the worst ratio to each peer; empty without peers."""
    parts = []
    for peer in peers:
        ratios = [found.median for cell in results.table if (found := cell.ratio(SUBJECT, peer))]
        if ratios:
            middle, worst = statistics.median(ratios), min(ratios)
            numbers = f"{claims.number(middle, 2)}× ({claims.number(worst, 2)}×)"
            parts.append(f"{numbers} as fast as {peer}")
    sentence = f"In the middle cell (in the worst) {SUBJECT} is {', '.join(parts)}."
    return sentence if parts else ""


def short(results: Results) -> str:
    """The README's section: two sentences, a short table, the note, the figure."""
    contestants = [name for name in results.contestants if name not in ("python", "numpy")]
    rows = [row(cell, contestants) for cell in extremes_and_middles(results)]
    cells = [header(contestants), ["---"] * len(rows[0]), *rows]  # unpadded: the README is short
    peers = [name for name in results.report["peers"] if name in contestants]
    sentences = [claims.against(results, BASELINE), against_peers(results, peers)]
    about = "The best cell, the worst, and the middle one of each problem:"
    lines = [*(f"- {sentence}" for sentence in filter(None, sentences)), "", about, ""]
    lines += [*(f"| {' | '.join(texts)} |" for texts in cells), ""]
    return "\n".join([*lines, origin(results), "", f"{PICTURE}({FIGURE})"])


def all_cells(results: Results) -> str:
    """The page docs/results.md."""
    title = "# All cells\n\nWritten by `make readme`; [how to read it](benchmark.md).\n"
    sentences = [f"- {sentence}" for sentence in claims.summary(results)]
    picture = f"{PICTURE}({FIGURE.name})"
    lines = [title, *sentences, "", picture, "", table(results, "github"), "", origin(results)]
    return "\n".join(lines)


def refresh(directory: Path, root: Path) -> None:
    """Replace the README's section between the markers, docs/results.md and the figure."""
    readme, (begin, end) = root / "README.md", MARKS
    text, results = readme.read_text(), Results(load(directory))
    if begin not in text or end not in text:
        raise UsageError(
            f"{readme} has no lines {begin!r} and {end!r}: add them where the table is to stand"
        )
    new = f"{begin}\n{short(results)}\n{end}"
    readme.write_text(
        re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: new, text, flags=re.DOTALL)
    )
    (root / ALL_CELLS).parent.mkdir(exist_ok=True)
    (root / ALL_CELLS).write_text(all_cells(results) + "\n")
    shutil.copyfile(directory / "figures" / "overview.svg", root / FIGURE)


if __name__ == "__main__":
    try:
        refresh(Path(sys.argv[1]), ROOT)
    except UsageError as error:
        sys.exit(f"python -m bench.report.readme: {error}")
