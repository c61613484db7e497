"""The tables and the figure that a report puts into the README and the docs."""

import pytest

from bench.measure.plan import UsageError
from bench.report import page, readme
from bench.report.results import SUBJECT, Results, load
from tests.helpers import reports


def test_the_readme_takes_table_and_figure(report, tmp_path):
    target = tmp_path / "README.md"
    target.write_text("above\n{}\nformer table\n{}\nbelow\n".format(*readme.MARKS))
    readme.refresh(report, tmp_path)
    text, everything = target.read_text(), (tmp_path / readme.ALL_CELLS).read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "former table" not in text
    for expected in ("▲ ", "Haswell kernels", "](docs/figure.svg)"):
        assert expected in text
    results = Results(load(report))
    assert sum(line.startswith("| ") for line in text.splitlines()) <= 7
    for cell in results.table:
        assert any(cell.size in line and cell.dtype in line for line in everything.splitlines())
    for expected in ("tiled is the fastest", "](figure.svg)", "Against bare NumPy"):
        assert expected in everything
    ratios = [ratio.median for cell in results.table if (ratio := cell.ratio(SUBJECT))]
    shown = [cell.ratio(SUBJECT).median for cell in readme.extremes_and_middles(results)]
    assert (min(shown), max(shown)) == (min(ratios), max(ratios))
    assert "<svg" in (tmp_path / readme.FIGURE).read_text()
    target.write_text("nothing of it")
    with pytest.raises(UsageError, match="has no lines"):
        readme.refresh(report, tmp_path)


def test_the_readme_takes_the_sentences_about_random_shapes(tmp_path):
    target, directory = tmp_path / "README.md", tmp_path / "report"
    target.write_text("above\n{}\n{}\nbelow\n".format(*readme.RANDOM_MARKS))
    page.write(reports.run(directory, shapes=12, variants=("tiled",)), directory)
    readme.refresh(directory, tmp_path)
    text, everything = target.read_text(), (tmp_path / readme.RANDOM_SHAPES).read_text()
    assert "- Of 12 random shapes tiled is ahead of bare NumPy in 100%, level in 0%, " in text
    assert "- Of 12 random shapes tiled is ahead of the best peer in 100%" in text
    assert "](docs/random.md)" in text
    assert text.endswith("\nbelow\n")
    for cell in Results(load(directory)).table:
        assert any(cell.size in line and cell.dtype in line for line in everything.splitlines())
    assert "](random.svg)" in everything
    assert "<svg" in (tmp_path / readme.RANDOM_FIGURE).read_text()


def test_few_passes_are_not_published(tmp_path):
    (tmp_path / "README.md").write_text("{}\n{}\n".format(*readme.MARKS))
    directory = reports.measured(tmp_path / "report", passes=3)
    with pytest.raises(UsageError, match="has 3 passes: publish a report of 8 or more"):
        readme.refresh(directory, tmp_path)
