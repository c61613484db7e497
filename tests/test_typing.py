"""The stubs say what the functions take and give: a strict type checker finds every mistake."""

import os
import re
from pathlib import Path

import pytest

from tests.helpers.interpreter import run_python

EXAMPLE = Path(__file__).with_name("typing_example.py")


def test_mypy_on_a_users_program(tmp_path):
    pytest.importorskip("mypy")
    options = ["--strict", "--follow-imports=silent", f"--config-file={os.devnull}"]
    run = run_python("-m", "mypy", *options, f"--cache-dir={tmp_path}", EXAMPLE)
    found = re.findall(r":(\d+): error: .*\[([a-z-]+)\]$", run.stdout, re.MULTILINE)
    lines = enumerate(EXAMPLE.read_text().splitlines(), 1)
    expected = [(str(n), line.split("# expect: ")[1]) for n, line in lines if "# expect: " in line]
    assert found == expected, run.stdout + run.stderr
    assert len(expected) == 22
