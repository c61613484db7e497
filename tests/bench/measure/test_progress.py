"""The progress bar counts seconds against a total that is known from the start."""

import time

from bench.measure.progress import progress


def test_the_bar_shows_the_seconds_and_the_budget(capsys):
    with progress(3725) as bar:
        bar.set_description("pass 1 of 8 to 12")
        totals = {bar.total}
        while not bar.n:
            time.sleep(0.1)
            totals.add(bar.total)
    shown = capsys.readouterr().err
    assert totals == {3725}
    assert 0 < bar.n < 3725
    assert "pass 1 of 8 to 12" in shown
    assert all("budget 1:02:05" in drawn for drawn in shown.split("\r") if drawn.strip())


def test_beyond_the_budget_the_bar_stays_full():
    with progress(0.01) as bar:
        while not bar.n:
            time.sleep(0.1)
    assert bar.n == bar.total == 0.01
