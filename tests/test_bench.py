"""The benchmark measures what it says, refuses to time a wrong result, and its report can be read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import problems, report
from kernels import linear, softmax

ROOT = Path(__file__).parent.parent


def test_one_command_measures_and_reports(tmp_path):
    saved = tmp_path / "results.json"
    command = [sys.executable, "-m", "pytest", "bench", "-q", "-k", "spiral", "--benchmark-only", f"--benchmark-json={saved}"]
    done = subprocess.run(
        [*command, "--benchmark-max-time=0.01", "--benchmark-min-rounds=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    header, table = report.rows(json.loads(saved.read_text()))
    assert header == ["gradient", "data", "size", "dtype", *softmax.VARIANTS]
    assert [row[:4] for row in table] == [["softmax", "spiral", "300×2×3", dtype] for dtype in problems.DTYPES]
    assert all(cell for row in table for cell in row)

    readme = tmp_path / "README.md"
    readme.write_text("above\n{}\nold\n{}\nbelow\n".format(*report.MARKS))
    for arguments, where in ([], None), (["--into", str(readme)], readme):
        done = subprocess.run(
            [sys.executable, "-m", "bench.report", str(saved), *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        text = where.read_text() if where else done.stdout
        for expected in "300×2×3", "CPU: ", "Threads: NumPy's BLAS", "numba ":
            assert expected in text
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "old" not in text


def test_losses_are_shown_as_plainly_as_wins():
    times = {"numpy": 1e-3, "loop": 4e-3, "tiled": 2.5e-4}
    assert [report.cell(times, variant) for variant in ("python", *times)] == ["", "1 ms", "4 ms (0.25×)", "250 µs (4×)"]


@pytest.mark.parametrize("problem", [p for p in problems.PROBLEMS if p.shape[0] <= 5000], ids=str)
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_the_table_holds_what_it_says(problem, dtype):
    X, y, *parameters = problem.batch(dtype)
    assert X.dtype == dtype
    assert len(y) == len(X) == problem.shape[0]
    problem.module.gradient(X, y, *parameters)  # accepts it


def test_airfoil_is_the_published_data():
    """R² of ordinary least squares on the original data is 0.5157."""
    X, y = problems.airfoil()
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    assert 1 - residual @ residual / (y @ y) == pytest.approx(0.51571, abs=1e-5)


@pytest.mark.parametrize(
    "wrong", [lambda gradient: -gradient, lambda gradient: 1.01 * gradient, lambda gradient: gradient * np.nan]
)
def test_a_wrong_variant_is_not_timed(monkeypatch, wrong):
    right = linear.VARIANTS["loop"]

    def planted(*batch):
        loss, gradient = right(*batch)
        return loss, gradient._replace(w=wrong(gradient.w))

    monkeypatch.setitem(linear.VARIANTS, "loop", planted)
    (problem,) = (p for p in problems.PROBLEMS if p.data is problems.airfoil)
    problems.agreed_batch.cache_clear()
    with pytest.raises(AssertionError, match=r"linear-airfoil-1503x5 float64: dw of loop is off by"):
        problems.agreed_batch(problem, "float64")
