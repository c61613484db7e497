"""Copies of the package, or of its cache with kernels of a test's own, and processes that use them.

A package lies in a directory `site`, and processes have the directory `home` beside it as theirs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import kernels

SOURCE = Path(kernels.__file__).parent


def copy_of_kernels(directory: Path) -> Path:
    """Copy the whole package, without compiled code."""
    package = directory / "site" / "kernels"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def small_package(directory: Path, **sources: str) -> Path:
    """Make a package `tiny`: `engine/cache.py`, `engine/jit.py`, and a module for each source."""
    package = directory / "site" / "tiny"
    (package / "engine").mkdir(parents=True)
    for file in ("__init__.py", "engine/__init__.py"):
        (package / file).touch()
    for file in ("engine/cache.py", "engine/jit.py"):
        shutil.copy(SOURCE / file, package / file)
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
    return package


def home_of(package: Path) -> Path:
    home = package.parent.parent / "home"
    home.mkdir(exist_ok=True)
    return home


def start(package: Path, program: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a new process that imports the package, without the settings of this one for Numba."""
    dropped = ["NUMBA_", "XDG_"]
    if "setuid" in program:  # another user cannot write what coverage counts
        dropped.append("COVERAGE_")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(tuple(dropped))
    }
    of_package = {"PYTHONPATH": str(package.parent), "HOME": str(home_of(package))}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**kept, **of_package, **environment},
        cwd=package.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What a process printed, and what it warned of; it must have ended well."""
    printed, warned = process.communicate()
    assert process.returncode == 0, warned
    return printed.strip(), warned


def run(package: Path, program: str, **environment: str) -> str:
    """What a new process that imports the package prints."""
    return output(start(package, program, **environment))[0]


def cached(directory: Path, pattern: str = "*.nbc") -> list[Path]:
    """The entries of the cache anywhere below a directory."""
    return sorted(directory.rglob(pattern))
