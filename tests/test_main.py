"""`python -m kernels` checks every kernel, and reports one that is wrong."""

import re
import sys

import numpy as np
import pytest

from kernels import softmax
from kernels.__main__ import main
from tests.helpers.interpreter import run_python


def test_every_kernel_is_checked(capsys, monkeypatch):
    assert main() == 0
    printed = capsys.readouterr().out
    for problem in ("softmax", "logistic", "linear", "two_layer"):
        for dtype in ("float64", "float32"):
            assert f"{problem:10}{dtype}" in printed
    assert printed.endswith("every kernel is right\n")


@pytest.mark.parametrize(
    "wrong", [lambda dW: dW * (1 + 1e-3), lambda dW: dW * np.nan], ids=["a little", "nan"]
)
def test_a_wrong_kernel_is_found(capsys, monkeypatch, wrong):
    right = softmax.VARIANTS["loop"]

    def planted(*batch):
        loss, weight, dW, db = right(*batch)
        return loss, weight, wrong(dW), db

    monkeypatch.setitem(softmax.VARIANTS, "loop", planted)
    assert main() == 1
    assert "A KERNEL IS WRONG" in capsys.readouterr().out


def test_from_the_command_line():
    done = run_python("-m", "kernels")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("every kernel is right\n")


@pytest.mark.parametrize("bar", [True, False])
def test_compile_fills_the_cache(bar, capsys, monkeypatch):
    if not bar:
        monkeypatch.setitem(sys.modules, "tqdm", None)  # as if it were not installed
    assert main(["--compile"]) == 0
    printed = capsys.readouterr()
    assert re.search(r"(?m)^\d+ functions, compiled or found in \d+ s, in the cache:$", printed.out)
    assert ("two_layer float32 loop" in printed.err) == bar
    assert ("two_layer float32 loop" in printed.out) != bar
