"""A run that is interrupted leaves a report, and the same command continues it."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from bench.measure import run
from bench.measure.plan import BASELINE, CONTROL, VISITS
from bench.report.results import load
from kernels.engine.cache import source_stamp
from tests.helpers.interpreter import ROOT, run_python


def test_the_revision_is_the_commit_or_a_hash_of_the_sources(monkeypatch, tmp_path):
    """A commit where there is a repository; in an unpacked archive the hash."""
    if (ROOT / ".git").exists():
        assert re.fullmatch("[0-9a-f]{40,}", run.revision())
    monkeypatch.setattr(run, "ROOT", tmp_path)
    assert run.revision() == source_stamp()
    int(run.revision()[:8], 16)


SMALL = ["-m", "bench", "--quick", "--problems", "linear", "--dtypes", "float64", "--peers"]


def lines_of(directory):
    return [json.loads(line) for line in (directory / "timings.jsonl").read_text().splitlines()]


def test_an_interrupted_run_leaves_a_report_and_can_be_continued(tmp_path):
    command = [*SMALL, "--out", str(tmp_path)]
    # A shell has its background jobs ignore it.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    begun = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listening,
    )
    file, deadline = tmp_path / "timings.jsonl", time.monotonic() + 120
    while not (file.exists() and file.read_text().count('"passed"') >= 3):
        assert begun.poll() is None, begun.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does
    complaints = begun.communicate()[1]
    assert begun.returncode == 130, complaints
    assert "Interrupted: the report is of what was done" in complaints
    before = lines_of(tmp_path)
    found = load(tmp_path)
    assert len(found["benchmarks"]) == len(
        {line["case"] for line in before if line["kind"] == "passed"}
    )
    assert "The run was interrupted" in (tmp_path / "index.html").read_text()

    again = run_python(*command)
    assert again.returncode == 0, again.stderr
    assert "holds an unfinished run of the same" in again.stderr
    after, found = lines_of(tmp_path), load(tmp_path)
    assert after[: len(before)] == before  # nothing was measured twice
    passed = Counter((line["case"], line["pass"]) for line in after if line["kind"] == "passed")
    once = [
        "x20-" in case or number == 1 for case, number in passed
    ]  # the sweep, and the first pass
    assert list(passed.values()) == [1 if so else VISITS for so in once]
    assert found["report"]["finished"]
    contestants = {one["extra_info"]["contestant"] for one in found["benchmarks"]}
    assert contestants == {BASELINE, "python", "numpy", "loop", "tiled", CONTROL}
    assert all(one["extra_info"]["error"] < 1000 for one in found["benchmarks"])
    assert "1503×5" in again.stdout
    assert "tiled is " in again.stdout


@pytest.mark.slow
def test_random_shapes_are_measured_and_reported(tmp_path):
    """Two small shapes of each problem: those of other seeds may take much longer."""
    options = ["--random", "8", "--seed", "7", "--quick", "--peers", "scikit-learn"]
    done = run_python("-m", "bench", *options, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    found = load(tmp_path)
    cells = {one["group"] for one in found["benchmarks"]}
    assert len(cells) == 8
    assert all("-random-" in cell for cell in cells)
    assert found["report"]["plan"]["draw_seed"] == 7
    assert found["report"]["revision"] == run.revision()
    shapes = {name: one["shapes"] for name, one in found["report"]["random"].items()}
    assert shapes == {BASELINE: 8, "the best peer": 6}  # scikit-learn has no network
    assert "Of 8 random shapes tiled is ahead of bare NumPy in" in done.stdout
    assert "worst against the best peer" in (tmp_path / "index.html").read_text()
