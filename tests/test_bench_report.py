"""The report of made-up runs: claims follow from the JSON, the page opens, slowdowns are seen."""

import csv
import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure.plan import BASELINE, CONTROL, UsageError
from bench.report import claims, compare, page, readme
from bench.report.intervals import trimmed
from bench.report.results import SUBJECT, Results, document, load
from tests.helpers import reports

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report")
    page.write(reports.run(directory), directory)
    return directory


def cells_of(text):
    """The attributes of each cell of the page's table."""
    return [
        dict(re.findall(r'data-(\w+)="([^"]*)"', tag))
        for tag in re.findall(r"<td data-cell=[^>]*>", text)
    ]


def test_every_ratio_of_the_page_follows_from_the_json(report):
    """Recomputed here from the medians of the passes alone."""
    passes = {
        (found["group"], found["extra_info"]["contestant"]): found["extra_info"]["passes"]
        for found in reports.benchmarks(report)
    }
    cells = cells_of((report / "index.html").read_text())
    table = {key for key in passes if key[1] != CONTROL and "x20" not in key[0]}
    assert {(cell["cell"], cell["contestant"]) for cell in cells} == table
    for cell in cells:
        times, baseline = passes[cell["cell"], cell["contestant"]], passes[cell["cell"], BASELINE]
        ratios = sorted(baseline[number] / times[number] for number in times)
        k = trimmed(len(ratios))
        assert float(cell["seconds"]) == pytest.approx(statistics.median(times.values()))
        assert float(cell["ratio"]) == pytest.approx(statistics.median(ratios))
        assert (float(cell["low"]), float(cell["high"])) == pytest.approx(
            (ratios[k], ratios[-1 - k])
        )


def test_the_summary_can_be_recounted(report):
    text = (report / "index.html").read_text()
    tiled = [cell for cell in cells_of(text) if cell["contestant"] == "tiled"]
    assert all(cell["verdict"] == "faster" for cell in tiled)
    assert f"tiled is the fastest of our variants in {len(tiled)} of {len(tiled)} cells" in text
    middle = statistics.median(float(cell["ratio"]) for cell in tiled)
    assert f"{middle:.2g}× the speed of bare NumPy in the middle cell" in text


def test_noise_is_no_win(tmp_path):
    """Variants that are equally fast but for noise."""
    same = dict.fromkeys(reports.SPEED, 1.0)
    for seed in range(3):
        results = Results(
            document(reports.run(tmp_path / str(seed), noise=0.2, seed=seed, speed=same))
        )
        assert {cell.verdict(name) for cell in results.table for name in cell.contestants} == {
            "equal"
        }
        assert (
            "fastest of our variants in 0 of 5 cells, level within the noise in 5"
            in claims.summary(results)[0]
        )


def test_the_csv_says_what_the_json_says(report):
    with (report / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = reports.benchmarks(report)
    assert len(rows) == len(found)
    assert sorted(float(row["seconds"]) for row in rows) == pytest.approx(
        sorted(one["stats"]["median"] for one in found)
    )


def test_pytest_benchmark_can_compare_it(report):
    arguments = ["compare", str(report / "benchmark.json"), "--columns=median,rounds"]
    command = [sys.executable, "-m", "pytest_benchmark", *arguments]
    done = subprocess.run(command, cwd=report, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "softmax-spiral-300x2x3-float64-tiled" in done.stdout


def test_figures_are_written_in_both_formats(report):
    files = {path.name for path in (report / "figures").iterdir()}
    names = {"overview"} | {
        f"{problem}-{kind}"
        for problem in ("softmax", "logistic", "linear", "two_layer")
        for kind in ("sweep", "roofline", "ratios", "accuracy")
    }
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


@pytest.mark.parametrize("kept", [1, 2, 3, 20])
@pytest.mark.parametrize("part", ["table", "sweep"])
def test_whatever_an_interruption_leaves_is_a_report(tmp_path, kept, part):
    records = reports.run(tmp_path, passes=1, problems=("softmax",), peers=())
    passed = [
        line for line in records.of("passed") if (line["shape"][1] == 20) == (part == "sweep")
    ]
    records.lines = [*records.of("run"), *records.of("machine"), *passed[:kept]]
    assert "Medians over 1 pass in shuffled order. The run was interrupted" in page.write(
        records, tmp_path
    )
    found = {cell["contestant"] for cell in cells_of((tmp_path / "index.html").read_text())}
    assert found == (
        {line["contestant"] for line in passed[:kept]} - {CONTROL} if part == "table" else set()
    )


def test_a_report_without_the_baseline(tmp_path):
    records = reports.run(tmp_path, passes=1, problems=("softmax",), peers=())
    records.lines = [
        line for line in records.lines if line.get("contestant") not in (BASELINE, "python")
    ]
    said = page.write(records, tmp_path)
    assert re.search(r"tiled is the fastest of our variants in \d of 2 cells[^;\n]*\.\n", said)
    assert "Against" not in said


def test_crossings_lie_between_the_batches(tmp_path):
    records = reports.run(tmp_path)
    for line in records.lines:
        if line.get("contestant") == "loop" and line["shape"][1] == 20:
            # Slower in proportion to N: half of tiled's speed becomes equal near 158.
            line["median"] *= line["shape"][0] / 316
    said = claims.crossings(Results(document(records)), "softmax")
    assert any(re.fullmatch(r"float64: tiled overtakes loop at N ≈ 200", one) for one in said), said


# ---- the page in a browser ----


@pytest.fixture(scope="module")
def browser():
    chromium, driver = (
        shutil.which("chromium") or shutil.which("google-chrome"),
        shutil.which("chromedriver"),
    )
    if not (chromium and driver):
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic", "dev-shm-usage")
    for flag in (
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{name}" for name in quiet),
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def requested(browser):
    """Addresses that the browser asked for, from the network itself, data: ones left out."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in sent if not url.startswith("data:")]


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_a_browser(report, browser, width):
    address = (report / "index.html").as_uri()
    browser.set_window_size(width, 900)
    browser.get(address)
    assert requested(browser) == [address]  # and nothing else
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    rows = browser.execute_script("return document.querySelectorAll('#cells tbody tr').length")
    assert rows == len(
        {one["group"] for one in reports.benchmarks(report) if one["extra_info"]["part"] == "table"}
    )
    shown = browser.execute_script(
        "return [...document.images].map(i => [i.alt, i.complete, i.naturalWidth, i.clientWidth])"
    )
    assert len(shown) == 17
    assert all(
        alt and complete and natural > 100 and client > 100
        for alt, complete, natural, client in shown
    )
    # Nothing sticks out of the window: what is wider scrolls in a box of its own.
    wide = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide[0] <= wide[1]


def test_the_browser_test_would_see_a_fetch(report, browser, tmp_path):
    """The same page with one picture from elsewhere: it is asked for, or at least refused aloud."""
    text = (
        (report / "index.html")
        .read_text()
        .replace("<h1>", '<img src="http://127.0.0.1:9/picture.png"><h1>')
    )
    (tmp_path / "index.html").write_text(text)
    requested(browser)
    browser.get((tmp_path / "index.html").as_uri())
    assert len(requested(browser)) > 1 or any(
        "picture.png" in entry["message"] for entry in browser.get_log("browser")
    )


# ---- compare ----


def measured(directory, **changes):
    found = document(reports.run(directory, **changes))
    (directory / "benchmark.json").write_text(json.dumps(found))
    return directory


def test_compare_finds_a_slowdown_and_only_that(report, tmp_path, capsys):
    same, slower = (
        measured(tmp_path / "same", seed=1),
        measured(tmp_path / "slower", seed=2, speed={"loop": 1.8}),
    )
    assert compare.show(report, same) == 0
    assert "0 slower and 0 faster" in capsys.readouterr().out
    assert compare.show(report, slower) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "▼ slower" in line]
    assert lines
    assert all(" loop " in line for line in lines)
    assert compare.show(slower, report) == 0  # the other way round it is a gain
    assert "▲ faster" in capsys.readouterr().out


def test_a_slower_machine_is_no_slowdown(report, tmp_path, capsys):
    halved = {name: speed / 2 for name, speed in reports.SPEED.items()}
    assert compare.show(report, measured(tmp_path, seed=4, speed=halved)) == 0
    # But the times are shown.
    assert re.search(r"tiled .* 0\.[4-6]\d*× \[", capsys.readouterr().out)


def test_compare_says_what_is_wrong(report, tmp_path):
    with pytest.raises(UsageError, match="holds no report that can be read"):
        compare.show(report, tmp_path / "missing")
    (tmp_path / "other.json").write_text('{"benchmarks": []}')
    with pytest.raises(UsageError, match="was not written by `python -m bench`"):
        compare.show(report, tmp_path / "other.json")
    with pytest.raises(UsageError, match="no cell in common"):
        compare.show(report, measured(tmp_path / "float32", dtypes=("float32",)))


# ---- the README ----


def test_the_readme_takes_table_and_figure(report, tmp_path):
    target = tmp_path / "README.md"
    target.write_text("above\n{}\nformer table\n{}\nbelow\n".format(*readme.MARKS))
    readme.refresh(report, tmp_path)
    text, everything = target.read_text(), (tmp_path / readme.ALL_CELLS).read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "former table" not in text
    for expected in ("▲ ", "Haswell kernels", "](docs/figure.svg)", "Against bare NumPy"):
        assert expected in text
    results = Results(load(report))
    assert sum(line.startswith("| ") for line in text.splitlines()) <= 7
    for cell in results.table:
        assert any(cell.size in line and cell.dtype in line for line in everything.splitlines())
    for expected in ("tiled is the fastest", "](figure.svg)"):
        assert expected in everything
    ratios = [ratio.median for cell in results.table if (ratio := cell.ratio(SUBJECT))]
    shown = [cell.ratio(SUBJECT).median for cell in readme.extremes_and_middles(results)]
    assert (min(shown), max(shown)) == (min(ratios), max(ratios))
    assert "<svg" in (tmp_path / readme.FIGURE).read_text()
    target.write_text("nothing of it")
    with pytest.raises(UsageError, match="has no lines"):
        readme.refresh(report, tmp_path)
