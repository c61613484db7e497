"""The figures of a report."""

from bench.report import page
from tests.helpers import reports


def test_figures_are_written_in_both_formats(report):
    files = {path.name for path in (report / "figures").iterdir()}
    names = {"overview"} | {
        f"{problem}-{kind}"
        for problem in ("softmax", "logistic", "linear", "two_layer")
        for kind in ("sweep", "roofline", "ratios", "accuracy")
    }
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def test_a_report_of_random_shapes_has_one_figure(tmp_path):
    page.write(reports.run(tmp_path, shapes=6, variants=("tiled",)), tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"random.png", "random.svg"}
