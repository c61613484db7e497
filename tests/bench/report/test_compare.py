"""Two reports compared: a slower contestant is found, a slower machine is not blamed."""

import re

import pytest

from bench.measure.plan import UsageError
from bench.report import compare
from tests.helpers import reports


def test_compare_finds_a_slowdown_and_only_that(report, tmp_path, capsys):
    same, slower = (
        reports.measured(tmp_path / "same", seed=1),
        reports.measured(tmp_path / "slower", seed=2, speed={"loop": 1.8}),
    )
    assert compare.show(report, same) == 0
    assert "0 slower and 0 faster" in capsys.readouterr().out
    assert compare.show(report, slower) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "▼ slower" in line]
    assert lines
    assert all(" loop " in line for line in lines)
    assert compare.show(slower, report) == 0  # the other way round it is a gain
    assert "▲ faster" in capsys.readouterr().out


def test_a_slower_machine_is_no_slowdown(report, tmp_path, capsys):
    halved = {name: speed / 2 for name, speed in reports.SPEED.items()}
    assert compare.show(report, reports.measured(tmp_path, seed=4, speed=halved)) == 0
    # But the times are shown.
    assert re.search(r"tiled .* 0\.[4-6]\d*× \[", capsys.readouterr().out)


def test_compare_says_what_is_wrong(report, tmp_path):
    with pytest.raises(UsageError, match="holds no report that can be read"):
        compare.show(report, tmp_path / "missing")
    (tmp_path / "other.json").write_text('{"benchmarks": []}')
    with pytest.raises(UsageError, match="was not written by `python -m bench`"):
        compare.show(report, tmp_path / "other.json")
    with pytest.raises(UsageError, match="no cell in common"):
        compare.show(report, reports.measured(tmp_path / "float32", dtypes=("float32",)))
