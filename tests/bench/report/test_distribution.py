"""The distribution over random shapes, against numbers made by hand."""

import json
from types import SimpleNamespace

import pytest

from bench.measure.plan import BASELINE
from bench.report import page
from bench.report.distribution import distributions
from bench.report.results import Cell, Timing
from tests.helpers import reports

DRIFT = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
NOISE = [0.9, 0.95, 0.99, 1.0, 1.0, 1.01, 1.05, 1.1]  # its median is 1, its interval holds 1


def results(ratios, peers=(), passes=8):
    """One shape for each ratio to bare NumPy; of a peer the ratios to it, None if it has none."""
    cells = []
    for number, ratio in enumerate(ratios):
        timings = {"tiled": times(1.0, passes), BASELINE: times(ratio, passes, NOISE)}
        timings |= {
            name: times(found[number], passes, NOISE)
            for name, found in dict(peers).items()
            if found[number]
        }
        cell = Cell(f"softmax-random-{number}", "softmax", "random", "", [], "C", "", "table")
        cell.timings = timings
        cells.append(cell)
    return SimpleNamespace(
        table=cells, contestants=[BASELINE, "tiled", *dict(peers)], report={"peers": dict(peers)}
    )


def times(seconds, passes, noise=(1.0,) * 8):
    found = [seconds * d * e for d, e in zip(DRIFT, noise, strict=True)]
    return Timing({str(n): one for n, one in enumerate(found[:passes])}, None, None)


def test_the_distribution_by_hand():
    (found,) = distributions(results([1, 8, 0.25, 1, 2, 0.5, 1, 4]))
    assert found.other == BASELINE
    assert found.ratios == pytest.approx([0.25, 0.5, 1, 1, 1, 2, 4, 8])
    assert found.shares == {"ahead": 3 / 8, "level": 3 / 8, "lost": 2 / 8}
    assert found.geometric_mean == pytest.approx(8 ** (1 / 8))
    # Between neighbours in proportion: 7 steps from the lowest to the highest.
    expected = {0.05: 0.3375, 0.25: 0.875, 0.5: 1, 0.75: 2.5, 0.95: 6.6}
    assert found.quantiles == pytest.approx(expected)


def test_the_ten_worst_by_name():
    (found,) = distributions(results([12 - number for number in range(12)]))
    assert [cell.name for _, _, cell in found.worst] == [
        f"softmax-random-{number}" for number in range(11, 1, -1)
    ]
    assert [one["low"] for one in found.as_dict()["worst"]][:2] == pytest.approx([0.9, 1.8])


def test_the_best_peer_is_found_in_each_shape():
    peers = {"one": [2, 0.5, None, None], "other": [3, 4, 0.25, None]}
    _, found = distributions(results([1, 1, 1, 1], peers))
    assert [(to, cell.name[-1]) for _, to, cell in found.shapes] == [
        ("other", "2"),
        ("one", "1"),
        ("one", "0"),
    ]
    assert found.ratios == pytest.approx([0.25, 0.5, 2])  # the last has no peer, and is left out
    assert found.shares == {"ahead": 1 / 3, "level": 0, "lost": 2 / 3}


def test_after_one_pass_nothing_is_ahead_or_lost():
    (found,) = distributions(results([0.1, 10], passes=1))
    assert found.shares == {"ahead": 0, "level": 1, "lost": 0}


def test_the_page_and_the_json_have_it(tmp_path):
    printed = page.write(
        reports.run(tmp_path, shapes=12, draw_seed=7, variants=("tiled",)), tmp_path
    )
    text = (tmp_path / "index.html").read_text()
    report = json.loads((tmp_path / "benchmark.json").read_text())["report"]
    assert report["random"][BASELINE]["ahead"] == 1
    assert report["random"][BASELINE]["shapes"] == 12
    assert len(report["random"][BASELINE]["worst"]) == 10
    for expected in "with seed 7", report["revision"], 'id="random"':
        assert expected in text
    for expected in "Of 12 random shapes tiled is ahead of bare NumPy in 100%", "worst against ":
        assert expected in printed
        assert expected in text
