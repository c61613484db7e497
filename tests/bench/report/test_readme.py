"""The tables and the figure that a report puts into the README and the docs."""

import pytest

from bench.measure.plan import UsageError
from bench.report import readme
from bench.report.results import SUBJECT, Results, load


def test_the_readme_takes_table_and_figure(report, tmp_path):
    target = tmp_path / "README.md"
    target.write_text("above\n{}\nformer table\n{}\nbelow\n".format(*readme.MARKS))
    readme.refresh(report, tmp_path)
    text, everything = target.read_text(), (tmp_path / readme.ALL_CELLS).read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "former table" not in text
    for expected in ("▲ ", "Haswell kernels", "](docs/figure.svg)", "Against bare NumPy"):
        assert expected in text
    results = Results(load(report))
    assert sum(line.startswith("| ") for line in text.splitlines()) <= 7
    for cell in results.table:
        assert any(cell.size in line and cell.dtype in line for line in everything.splitlines())
    for expected in ("tiled is the fastest", "](figure.svg)"):
        assert expected in everything
    ratios = [ratio.median for cell in results.table if (ratio := cell.ratio(SUBJECT))]
    shown = [cell.ratio(SUBJECT).median for cell in readme.extremes_and_middles(results)]
    assert (min(shown), max(shown)) == (min(ratios), max(ratios))
    assert "<svg" in (tmp_path / readme.FIGURE).read_text()
    target.write_text("nothing of it")
    with pytest.raises(UsageError, match="has no lines"):
        readme.refresh(report, tmp_path)
