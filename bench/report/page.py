"""Writes the report: the JSON, a CSV, the figures, and an HTML page with tables and figures."""

import base64
import csv
import json
from pathlib import Path
from typing import Any

import jinja2
from tabulate import tabulate

from bench.measure.plan import BASELINE, CONTROL, UsageError
from bench.measure.run import Records
from bench.report import claims, figures
from bench.report.distribution import QUANTILES, STANDINGS, distributions, standing
from bench.report.intervals import interval
from bench.report.results import SUBJECT, Cell, Results, document

COLUMNS = ["part", "gradient", "data", "size", "order", "dtype", "contestant"]
COLUMNS += [
    "passes",
    "seconds",
    "seconds_low",
    "seconds_high",
    "ratio_to_bare_numpy",
    "ratio_low",
    "ratio_high",
    "verdict",
]
COLUMNS += ["noise", "gflop_per_second", "part_of_ceiling", "error_units", "error_rows"]


def write(records: Records, directory: Path) -> str:
    """Write all files of the report; return the text to print."""
    found = document(records)
    results = Results(found)
    if results.random:
        found["report"]["random"] = {one.other: one.as_dict() for one in distributions(results)}
    try:
        (directory / "benchmark.json").write_text(json.dumps(found, indent=1) + "\n")
        write_csv(results, directory / "results.csv")
        write_page(results, directory)
    except OSError as error:
        raise UsageError(
            f"--out {directory}: cannot write there ({error.strerror}); "
            "name a directory that you may write to"
        ) from None
    summary = "\n".join(claims.summary(results))
    tables = over_shapes(results) if results.random else table(results)
    return "\n\n".join([tables, summary, f"The report: {directory / 'index.html'}"])


def header(contestants: list[str]) -> list[str]:
    return ["gradient", "data", "size", "dtype", *contestants]


def row(cell: Cell, contestants: list[str]) -> list[str]:
    texts = (claims.cell_text(cell, name) for name in contestants)
    return [cell.problem, cell.data, cell.size, cell.dtype, *texts]


def table(results: Results, kind: str = "simple") -> str:
    rows = [row(cell, results.contestants) for cell in results.table]
    names = header(results.contestants)
    return tabulate(rows, names, tablefmt=kind, disable_numparse=True)


def over_shapes(results: Results, kind: str = "simple") -> str:
    """The distribution over random shapes, and the ten worst of them, as tables."""
    found = distributions(results)
    heads = ["against", "shapes", *STANDINGS, "geometric mean", *map(claims.percent, QUANTILES)]
    rows = [
        [one.other, len(one.shapes), *map(claims.percent, one.shares.values())]
        + [f"{claims.number(r)}×" for r in (one.geometric_mean, *one.quantiles.values())]
        for one in found
    ]
    texts = [tabulate(rows, heads, tablefmt=kind, disable_numparse=True)]
    for one in found:
        worst = [
            [claims.name(cell), to, claims.times(ratio), claims.ends(ratio), standing(ratio)]
            for ratio, to, cell in one.worst
        ]
        heads = [f"worst against {one.other}", "against", "ratio", "interval", ""]
        texts.append(tabulate(worst, heads, tablefmt=kind, disable_numparse=True))
    return "\n\n".join(texts)


def write_csv(results: Results, path: Path) -> None:
    """One line for each contestant of each cell, including the sweep and the control."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for cell in results.table + results.sweep:
            for name, timing in cell.timings.items():
                time, ratio = timing.time, cell.ratio(name)
                writer.writerow(
                    [cell.part, cell.problem, cell.data, cell.size, cell.order, cell.dtype, name]
                    + [time.passes, time.median, time.low, time.high]
                    + (
                        [ratio.median, ratio.low, ratio.high, cell.verdict(name)]
                        if ratio
                        else [""] * 4
                    )
                    + [
                        cell.noise,
                        cell.flop / time.median / 1e9,
                        results.reached(cell, name),
                        timing.error,
                        timing.error_rows,
                    ]
                )


def shade(ratio: float, verdict: str | None) -> str:
    """The CSS class of a ratio: a deeper colour for a ratio further from 1."""
    if verdict not in ("faster", "slower"):
        return "level"
    far = max(ratio, 1 / ratio)
    return f"{verdict}-{1 + (far >= 2) + (far >= 5)}"


def write_page(results: Results, directory: Path) -> None:
    (directory / "figures").mkdir(exist_ok=True)
    pictures = {}
    for name, (title, picture) in figures.all_of(results).items():
        files = figures.rendered(picture)
        for kind, content in files.items():
            (directory / "figures" / f"{name}.{kind}").write_bytes(content)
        pictures[name] = (
            title,
            "data:image/svg+xml;base64," + base64.b64encode(files["svg"]).decode(),
        )
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("bench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(claims=claims, shade=shade, interval=interval)
    templates.globals.update(over_shapes=over_shapes)
    names: dict[str, Any] = {"BASELINE": BASELINE, "CONTROL": CONTROL, "SUBJECT": SUBJECT}
    page = templates.get_template("report.html").render(
        results=results, report=results.report, pictures=pictures, **names
    )
    (directory / "index.html").write_text(page, encoding="utf-8")
