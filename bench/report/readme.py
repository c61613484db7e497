"""`python -m bench.report.readme DIR` copies a report's tables and figure to README.md and docs.

A report of the table gives the README's table, one of random shapes the sentences above it.
"""

import re
import shutil
import sys
from pathlib import Path

from bench.measure.plan import BASELINE, EFFORTS, UsageError
from bench.report import claims
from bench.report.distribution import distributions
from bench.report.page import header, over_shapes, row, table
from bench.report.results import SUBJECT, Cell, Results, load

ROOT = Path(__file__).parents[2]
FIGURE, ALL_CELLS = Path("docs/figure.svg"), Path("docs/results.md")
MARKS = "<!-- table: begin (make readme) -->", "<!-- table: end -->"
PICTURE = f"![Every cell: times as fast as {BASELINE}, with intervals]"
RANDOM_FIGURE, RANDOM_SHAPES = Path("docs/random.svg"), Path("docs/random.md")
RANDOM_MARKS = "<!-- random: begin -->", "<!-- random: end -->"
RANDOM_PICTURE = "![Every random shape: times as fast against the work in a call]"
FEWEST = EFFORTS["default"].fewest  # passes: with fewer an interval means little


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


def headline(results: Results) -> str:
    """The README's sentences about random shapes."""
    sentences = [f"- {claims.over_shapes(one)}" for one in distributions(results)]
    return "\n".join([*sentences, "", f"[All random shapes]({RANDOM_SHAPES})."])


def random_shapes(results: Results) -> str:
    """The page docs/random.md."""
    plan = results.report["plan"]
    title = "# Random shapes\n\nWritten by `make readme`; [how to read it](benchmark.md).\n"
    sentences = [f"- {sentence}" for sentence in claims.summary(results)]
    seed = f"Seed {plan['draw_seed']}, measured source {results.report['revision']}."
    tables = [over_shapes(results, "github"), "", table(results, "github")]
    picture = f"{RANDOM_PICTURE}({RANDOM_FIGURE.name})"
    return "\n".join([title, *sentences, "", picture, "", *tables, "", origin(results), seed])


def short(results: Results) -> str:
    """The README's section: a short table, the note, the figure."""
    contestants = [name for name in results.contestants if name not in ("python", "numpy")]
    rows = [row(cell, contestants) for cell in extremes_and_middles(results)]
    cells = [header(contestants), ["---"] * len(rows[0]), *rows]  # unpadded: the README is short
    about = "Of the named cells the best, the worst, and the middle one of each problem:"
    lines = [about, "", *(f"| {' | '.join(texts)} |" for texts in cells), ""]
    return "\n".join([*lines, origin(results), "", f"{PICTURE}({FIGURE})"])


def all_cells(results: Results) -> str:
    """The page docs/results.md."""
    title = "# All cells\n\nWritten by `make readme`; [how to read it](benchmark.md).\n"
    sentences = [f"- {sentence}" for sentence in claims.summary(results)]
    picture = f"{PICTURE}({FIGURE.name})"
    lines = [title, *sentences, "", picture, "", table(results, "github"), "", origin(results)]
    return "\n".join(lines)


def refresh(directory: Path, root: Path) -> None:
    """Replace the README's section between the markers, the page of docs/ and the figure."""
    readme, results = root / "README.md", Results(load(directory))
    passes = results.report["passes"]
    if passes < FEWEST:
        raise UsageError(
            f"{directory} has {passes} passes: publish a report of {FEWEST} or more, "
            "made without --quick"
        )
    if results.random:
        (begin, end), new = RANDOM_MARKS, headline(results)
        page, content, figure = RANDOM_SHAPES, random_shapes(results), RANDOM_FIGURE
    else:
        (begin, end), new = MARKS, short(results)
        page, content, figure = ALL_CELLS, all_cells(results), FIGURE
    text = readme.read_text()
    if begin not in text or end not in text:
        raise UsageError(
            f"{readme} has no lines {begin!r} and {end!r}: add them where the report is to stand"
        )
    new = f"{begin}\n{new}\n{end}"
    readme.write_text(
        re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: new, text, flags=re.DOTALL)
    )
    (root / page).parent.mkdir(exist_ok=True)
    (root / page).write_text(content + "\n")
    source = "random.svg" if results.random else "overview.svg"
    shutil.copyfile(directory / "figures" / source, root / figure)


if __name__ == "__main__":
    try:
        refresh(Path(sys.argv[1]), ROOT)
    except UsageError as error:
        sys.exit(f"python -m bench.report.readme: {error}")
