"""From pytest-benchmark's JSON to a table: a row for each problem, size and dtype, a column for each variant.

python -m bench.report results.json [--into README.md]
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from tabulate import tabulate

MARKS = "<!-- table: begin (make readme) -->", "<!-- table: end -->"


def rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and cells. A cell is the median time, and how many times faster than NumPy that is."""
    times: dict[tuple[str, ...], dict[str, float]] = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        row = info["problem"], info["data"], info["size"], info["dtype"]
        times.setdefault(row, {})[info["variant"]] = benchmark["stats"]["median"]
    variants = list(dict.fromkeys(variant for row in times.values() for variant in row))
    table = [[*row, *(cell(found, variant) for variant in variants)] for row, found in times.items()]
    return ["gradient", "data", "size", "dtype", *variants], table


def cell(times: dict[str, float], variant: str) -> str:
    if variant not in times:
        return ""
    text = duration(times[variant])
    return text if variant == "numpy" or "numpy" not in times else f"{text} ({times['numpy'] / times[variant]:.3g}×)"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def footnotes(results: dict[str, Any]) -> str:
    machine = results["machine_info"]
    ours = machine["kernels"]
    versions = ", ".join(f"{name} {version}" for name, version in ours["versions"].items())
    threads = ", ".join(f"{name} {count}" for name, count in ours["threads"].items())
    return (
        "Median time of one gradient; in brackets NumPy's time divided by it: above 1× is faster than NumPy, below is slower.\n"
        f"CPU: {machine['cpu'].get('brand_raw', 'unknown')}, {ours['cpus_allowed']} CPUs allowed. Threads: {threads}.\n"
        f"{versions}, {machine['system']}. Measured {results['datetime'][:10]}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what pytest wrote with --benchmark-json")
    parser.add_argument("--into", type=Path, help="a Markdown file whose table, between its markers, is replaced")
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    header, table = rows(results)
    if arguments.into is None:
        print("\n" + tabulate(table, header, disable_numparse=True) + "\n\n" + footnotes(results))
        print(f"\nsaved: {arguments.results}")
        return
    begin, end = MARKS
    block = tabulate(table, header, tablefmt="github", disable_numparse=True) + "\n\n" + footnotes(results)
    text = arguments.into.read_text()
    if begin not in text or end not in text:
        parser.error(f"{arguments.into} has no lines {begin!r} and {end!r}: add them where the table is to stand")
    text = re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: f"{begin}\n{block}\n{end}", text, flags=re.DOTALL)
    arguments.into.write_text(text)


if __name__ == "__main__":
    main()
