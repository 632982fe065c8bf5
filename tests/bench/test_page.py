"""The HTML page in a real browser: nothing is loaded, nothing complains, nothing scrolls sideways, the charts are there.

Screenshots of every width and scheme are left in build/test_output/bench_page to be looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.bench.export.html import page
from tests.bench.reports import rich_report
from tests.bench.test_export import ACCURACY, hostile_report
from tests.browser import Browser
from tests.needs import ROOT
from tests.pages import TOO_WIDE, VIEWS, open_fitting, photograph, write_pages

OUTPUT = ROOT / "build" / "test_output" / "bench_page"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    texts = {"rich": page(rich_report(), ACCURACY), "hostile": page(hostile_report(), {})}
    return write_pages(tmp_path_factory.mktemp("pages"), texts)


@pytest.mark.parametrize("name", ["rich", "hostile"])
@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_the_page_in_a_browser(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    open_fitting(browser, pages[name], width, dark)
    assert browser.evaluate("document.scripts.length + document.images.length") == 0
    cases = {"rich": 3, "hostile": 2}[name]
    assert browser.evaluate("document.querySelectorAll('svg.panel').length") == 2 * cases
    assert browser.evaluate("document.querySelectorAll('.device .row:not(.axis) svg').length") == 2 * cases
    if name == "rich":
        assert browser.evaluate("document.querySelectorAll('.ops tr.eater').length") == 1
        assert browser.evaluate("document.querySelectorAll('line.trend').length") == 1
        assert browser.evaluate("document.querySelectorAll('svg.panel .sample').length") > 200
    photograph(browser, OUTPUT, name, width, dark)


def test_dark_is_dark_and_light_is_light(browser: Browser, pages: dict[str, Path]) -> None:
    colours = {}
    for dark in (False, True):
        browser.open(pages["rich"], width=1280, dark=dark)
        colours[dark] = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colours == {False: "rgb(251, 251, 249)", True: "rgb(20, 23, 27)"}


def test_the_page_prints(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["rich"], width=1280)
    paper = browser.pdf()
    assert paper.startswith(b"%PDF-")
    assert 2 <= paper.count(b"/Type /Page\n") <= 14


def test_a_page_that_loads_or_complains_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    loads = (
        '<p style="width: 2000px">wide</p><img src="http://127.0.0.1:9/x.png"><script>console.log(1)</script>'
    )
    path = tmp_path / "bad.html"
    path.write_text(f"<!doctype html><title>bad</title>{loads}", encoding="utf-8")
    browser.open(path, width=400)
    assert "http://127.0.0.1:9/x.png" in browser.requests()
    assert browser.blocked() == []
    assert browser.complaints() != []
    assert browser.evaluate("document.documentElement.scrollWidth") > 400
    assert browser.evaluate(TOO_WIDE) != []


def test_the_policy_of_the_page_stops_what_escaping_might_miss(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "injected.html"
    injected = "<script>document.title = 'injected'</script><img src='http://127.0.0.1:9/x.png'>"
    path.write_text(
        pages["rich"].read_text(encoding="utf-8").replace("<main>", f"<main>{injected}"), encoding="utf-8"
    )
    browser.open(path, width=1280)
    assert browser.evaluate("document.title") != "injected"
    assert browser.blocked() == ["http://127.0.0.1:9/x.png"]
    assert any("Content Security Policy" in said for said in browser.complaints())
