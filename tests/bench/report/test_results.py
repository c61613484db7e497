"""The JSON of a report, from which every ratio of the page follows."""

import statistics

import pytest

from bench.measure.plan import BASELINE, CONTROL
from bench.report.intervals import trimmed
from tests.helpers import reports
from tests.helpers.interpreter import run_python


def test_every_ratio_of_the_page_follows_from_the_json(report):
    """Recomputed here from the medians of the passes alone."""
    passes = {
        (found["group"], found["extra_info"]["contestant"]): found["extra_info"]["passes"]
        for found in reports.benchmarks(report)
    }
    cells = reports.cells_of((report / "index.html").read_text())
    table = {key for key in passes if key[1] != CONTROL and "x20" not in key[0]}
    assert {(cell["cell"], cell["contestant"]) for cell in cells} == table
    for cell in cells:
        times, baseline = passes[cell["cell"], cell["contestant"]], passes[cell["cell"], BASELINE]
        ratios = sorted(baseline[number] / times[number] for number in times)
        k = trimmed(len(ratios))
        assert float(cell["seconds"]) == pytest.approx(statistics.median(times.values()))
        assert float(cell["ratio"]) == pytest.approx(statistics.median(ratios))
        assert (float(cell["low"]), float(cell["high"])) == pytest.approx(
            (ratios[k], ratios[-1 - k])
        )


def test_pytest_benchmark_can_compare_it(report):
    arguments = ["compare", report / "benchmark.json", "--columns=median,rounds"]
    done = run_python("-m", "pytest_benchmark", *arguments, cwd=report)
    assert done.returncode == 0, done.stderr
    assert "softmax-spiral-300x2x3-float64-tiled" in done.stdout
