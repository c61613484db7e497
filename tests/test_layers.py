"""Imports, and that tests/ mirrors kernels/ and bench/.

Imports inside kernels are relative, nothing but tests imports tests, and no module imports a
private name of another. The order of the layers is in pyproject.toml, and `make check` holds it.
"""

import ast

import pytest

from tests.helpers.interpreter import ROOT

PACKAGES = ("kernels", "bench", "tests")
FILES = sorted(file for folder in (*PACKAGES, "examples") for file in (ROOT / folder).rglob("*.py"))
# Files of tests that are of no single module.
OF_NO_MODULE = {"test_docs", "test_examples", "test_layers", "test_nojit", "test_processes"}
OF_NO_MODULE |= {"test_interop", "test_scaling", "test_typing"}


def imports_of(file):
    """The module of each import, absolute or with its dots, and the names taken from it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports(file):
    for module, names in imports_of(file):
        ours = module.startswith(".") or module.partition(".")[0] in PACKAGES
        if file.is_relative_to(ROOT / "kernels"):
            assert module.startswith(".") or not ours, f"{module}: import it relatively"
        if not file.is_relative_to(ROOT / "tests"):
            assert not module.startswith("tests"), "what is measured or imported needs no test"
        if ours:
            private = [name for name in [*module.split("."), *names] if name.startswith("_")]
            assert set(private) <= {"__main__"}, f"{private} of {module}: private to another module"


def test_files_of_tests_are_named_for_modules():
    """tests/engine/test_pool.py for kernels/engine/pool.py; test_pool_x.py where one is split."""
    for file in (ROOT / "tests").rglob("test_*.py"):
        folder = file.parent.relative_to(ROOT / "tests")
        source = ROOT / folder if folder.parts[:1] == ("bench",) else ROOT / "kernels" / folder
        modules = [module.stem.strip("_") for module in source.glob("*.py")]
        name = file.stem.removeprefix("test_")
        named = any(name == module or name.startswith(f"{module}_") for module in modules)
        assert named or (file.stem in OF_NO_MODULE and folder.parts == ()), file
