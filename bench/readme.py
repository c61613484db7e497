"""Puts the table and the figure of a report into the README: python -m bench.readme DIR"""

import re
import shutil
import sys
from pathlib import Path

from bench import claims
from bench.page import table
from bench.plan import BASELINE, UsageError
from bench.results import Results, load

ROOT = Path(__file__).parent.parent
FIGURE = Path("bench/figure.svg")
MARKS = "<!-- table: begin (make readme) -->", "<!-- table: end -->"


def block(results: Results) -> str:
    machine, cpu = (
        results.report["machine"],
        results.document["machine_info"]["cpu"].get("brand_raw", "unknown"),
    )
    versions = [f"{name} {machine['versions'][name]}" for name in ("numpy", "numba", "Python")]
    versions += [f"{name} {version}" for name, version in results.report["peers"].items()]
    kernels = sorted(
        {pool["architecture"] for pool in machine["pools"] if pool.get("architecture")}
    )
    return "\n".join(
        [
            *(f"- {sentence}" for sentence in claims.summary(results)),
            "",
            f"![Every cell: times as fast as {BASELINE}, with intervals]({FIGURE})",
            "",
            table(results, "github"),
            "",
            f"Median time of a call for loss and gradient, and {BASELINE}'s time divided by it: "
            "▲ faster, ▼ slower,",
            f"= no difference beyond the noise. CPU: {cpu};",
            f"{results.report['plan']['threads']} threads, of which `loop` and `python` use one;",
            f"BLAS kernel {', '.join(kernels) or 'unknown'}; {', '.join(versions)}.",
            f"{results.report['started'][:10]}, `{results.report['command']}`.",
        ]
    )


def refresh(directory: Path, readme: Path) -> None:
    begin, end = MARKS
    text = readme.read_text()
    if begin not in text or end not in text:
        raise UsageError(
            f"{readme} has no lines {begin!r} and {end!r}: add them where the table is to stand"
        )
    new = f"{begin}\n{block(Results(load(directory)))}\n{end}"
    readme.write_text(
        re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: new, text, flags=re.DOTALL)
    )
    shutil.copyfile(directory / "figures" / "overview.svg", readme.parent / FIGURE)


if __name__ == "__main__":
    try:
        refresh(Path(sys.argv[1]), ROOT / "README.md")
    except UsageError as error:
        sys.exit(f"python -m bench.readme: {error}")
