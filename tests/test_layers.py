"""What import-linter and ruff do not see: relative imports inside, and no private names of others.

The order of the layers is in pyproject.toml, and `make check` holds it.
"""

import ast

import pytest

from tests.helpers.interpreter import ROOT

OURS = {"kernels", "bench", "tests"}
FILES = sorted(file for package in ("kernels", "bench") for file in (ROOT / package).rglob("*.py"))


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
        ours = module.startswith(".") or module.partition(".")[0] in OURS
        if file.is_relative_to(ROOT / "kernels"):
            assert module.startswith(".") or not ours, f"{module}: import it relatively"
        assert not module.startswith("tests"), "what is measured or imported needs no test"
        if ours:
            private = [name for name in [*module.split("."), *names] if name.startswith("_")]
            assert set(private) <= {"__main__"}, f"{private} of {module}: private to another module"
