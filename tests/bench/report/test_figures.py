"""The figures of a report."""


def test_figures_are_written_in_both_formats(report):
    files = {path.name for path in (report / "figures").iterdir()}
    names = {"overview"} | {
        f"{problem}-{kind}"
        for problem in ("softmax", "logistic", "linear", "two_layer")
        for kind in ("sweep", "roofline", "ratios", "accuracy")
    }
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
