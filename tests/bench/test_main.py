"""The command line of the benchmark: each mistake is answered by one sentence."""

import sys

import pytest

from bench import __main__ as command_line
from bench.peers import PEERS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--problems", "sofmax"],
            "--problems sofmax: there is no such thing; choose from softmax, logistic, ",
        ),
        (
            ["--dtypes", "float16"],
            "--dtypes float16: there is no such thing; choose from float64, float32",
        ),
        (
            ["--variants", "fast"],
            "--variants fast: there is no such thing; choose from python, numpy, loop, tiled",
        ),
        (
            ["--peers", "TensorFlow"],
            "--peers TensorFlow: there is no such thing; choose from scikit-learn, ",
        ),
        (
            ["--peers", "oneDAL"],
            "--peers oneDAL: it is not installed; install it (pip install scikit-learn-intelex)",
        ),
        (["--random", "0"], "--random 0: it is the number of shapes to draw; choose 1 or more"),
        (["--random", "-3"], "--random -3: it is the number of shapes to draw"),
        (["--seed", "5"], "--seed 5: it is the seed of random shapes, and there are none; add "),
        (["--random", "9", "--variants", "loop"], "--variants with --random: of our variants only"),
        (
            ["--random", "9", "--problems", "softmax-digits-1797x64x10"],
            "--problems softmax-digits-1797x64x10: there is no such thing; choose from softmax, ",
        ),
        (["--threads", "0"], "--threads 0: this process may use "),
        (["--threads", "4096"], "--threads 4096: this process may use "),
        (["compare", "nowhere", "nowhere"], "nowhere holds no report that can be read"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(monkeypatch, capsys, arguments, sentence):
    monkeypatch.setitem(
        PEERS,
        "oneDAL",
        type(PEERS["oneDAL"])("a_module_that_is_not_there", "scikit-learn-intelex", None),
    )
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    assert command_line.main() == 2
    assert capsys.readouterr().err.startswith(f"python -m bench: {sentence}")


def test_the_seed_of_random_shapes_follows_from_the_commit(monkeypatch):
    parser = command_line.parser()
    monkeypatch.setattr(command_line, "revision", lambda: "00000abc" + 32 * "f")
    plan = command_line.plan(parser.parse_args(["--random", "9", "--dtypes", "float32"]))
    assert (plan.shapes, plan.draw_seed, plan.variants) == (9, 0xABC, ("tiled",))
    assert {dtype for _, dtype in plan.cells()} == {"float32"}
    given = command_line.plan(parser.parse_args(["--random", "9", "--seed", "0", "--quick"]))
    assert (given.draw_seed, given.preset) == (0, "quick")


@pytest.mark.parametrize("inside", [False, True])
def test_a_directory_that_cannot_be_written(monkeypatch, capsys, tmp_path, inside):
    """A file stands where the directory would be: permissions would not stop root."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "below" if inside else tmp_path / "file"
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(out)])
    assert command_line.main() == 2
    assert f"--out {out}: cannot write there" in capsys.readouterr().err
