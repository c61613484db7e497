"""Programs that run in a new interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HANGS = 120  # seconds after which something is taken to hang: never a measurement


def run_program(program: str, **environment: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program that can import `kernels`, `bench` and `tests`.

    Gives its exit status and what it wrote.
    """
    return run_python("-c", program, **environment)


def run_python(
    *arguments: Any, cwd: Path = ROOT, timeout: float | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run Python with these arguments, in the root of the repository unless told otherwise."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
