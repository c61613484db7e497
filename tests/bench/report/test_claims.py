"""The sentences of the summary follow from the table; noise is not called a win."""

import re
import statistics

from bench.measure.plan import BASELINE
from bench.report import claims, page
from bench.report.results import Results, document
from tests.helpers import reports


def test_the_summary_follows_from_the_table(report):
    text = (report / "index.html").read_text()
    tiled = [cell for cell in reports.cells_of(text) if cell["contestant"] == "tiled"]
    assert all(cell["verdict"] == "faster" for cell in tiled)
    assert f"tiled is the fastest of our variants in {len(tiled)} of {len(tiled)} cells" in text
    middle = statistics.median(float(cell["ratio"]) for cell in tiled)
    assert f"{middle:.2g}× the speed of bare NumPy in the middle cell" in text


def test_equal_speeds_are_no_win(tmp_path):
    """Variants that are equally fast but for noise."""
    same = dict.fromkeys(reports.SPEED, 1.0)
    for seed in range(3):
        results = Results(
            document(reports.run(tmp_path / str(seed), noise=0.2, seed=seed, speed=same))
        )
        assert {cell.verdict(name) for cell in results.table for name in cell.contestants} == {
            "equal"
        }
        assert (
            "fastest of our variants in 0 of 5 cells, level within the noise in 5"
            in claims.summary(results)[0]
        )


def test_a_report_without_the_baseline(tmp_path):
    records = reports.run(tmp_path, passes=1, problems=("softmax",), peers=())
    records.lines = [
        line for line in records.lines if line.get("contestant") not in (BASELINE, "python")
    ]
    said = page.write(records, tmp_path)
    assert re.search(r"tiled is the fastest of our variants in \d of 2 cells[^;\n]*\.\n", said)
    assert "Against" not in said


def test_crossings_lie_between_the_batches(tmp_path):
    records = reports.run(tmp_path)
    for line in records.lines:
        if line.get("contestant") == "loop" and line["shape"][1] == 20:
            # Slower in proportion to N: half of tiled's speed becomes equal near 158.
            line["median"] *= line["shape"][0] / 316
    said = claims.crossings(Results(document(records)), "softmax")
    assert any(re.fullmatch(r"float64: tiled overtakes loop at N ≈ 200", one) for one in said), said
