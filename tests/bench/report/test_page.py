"""The page and the CSV of a report, of finished and of interrupted runs; the page in a browser."""

import csv
import json
import shutil

import pytest

from bench.measure.plan import CONTROL
from bench.report import page
from tests.helpers import reports


def test_the_csv_agrees_with_the_json(report):
    with (report / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = reports.benchmarks(report)
    assert len(rows) == len(found)
    assert sorted(float(row["seconds"]) for row in rows) == pytest.approx(
        sorted(one["stats"]["median"] for one in found)
    )


@pytest.mark.parametrize("kept", [1, 2, 3, 20])
@pytest.mark.parametrize("part", ["table", "sweep"])
def test_the_report_of_an_interrupted_run(tmp_path, kept, part):
    records = reports.run(tmp_path, passes=1, problems=("softmax",), peers=())
    passed = [
        line for line in records.of("passed") if (line["shape"][1] == 20) == (part == "sweep")
    ]
    records.lines = [*records.of("run"), *records.of("machine"), *passed[:kept]]
    assert "Medians over 1 pass in shuffled order. The run was interrupted" in page.write(
        records, tmp_path
    )
    found = {cell["contestant"] for cell in reports.cells_of((tmp_path / "index.html").read_text())}
    assert found == (
        {line["contestant"] for line in passed[:kept]} - {CONTROL} if part == "table" else set()
    )


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


def test_a_request_for_another_address_is_noticed(report, browser, tmp_path):
    """With one picture from elsewhere: it is requested, or the browser logs that it was not."""
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
