"""The page in a real Chromium: it fits, sorts, searches, shows tooltips, is dark where asked, loads and complains of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.analyze.export.html import page
from tests.analyze.reports import hostile_report, rich_report
from tests.browser import Browser
from tests.needs import ROOT
from tests.pages import VIEWS, open_fitting, photograph, write_pages

OUTPUT = ROOT / "build" / "test_output" / "analyze_page"
NAMES = "[...document.querySelectorAll('.sortable tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
REPORTS = {"rich": rich_report, "hostile": hostile_report}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    texts = {name: page(report()) for name, report in REPORTS.items()}
    return write_pages(tmp_path_factory.mktemp("pages"), texts)


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_the_page_in_a_browser(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    open_fitting(browser, pages[name], width, dark)
    assert browser.evaluate("document.scripts.length") == 1
    report = REPORTS[name]()
    assert browser.evaluate("document.querySelectorAll('.sortable tbody tr').length") == len(report.operators)
    assert browser.evaluate("document.querySelectorAll('svg.distribution').length") == len(report.histograms)
    photograph(browser, OUTPUT, name, width, dark)


def test_it_sorts_and_searches(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["rich"], width=1280)
    operators = rich_report().operators
    assert browser.evaluate(NAMES) == [str(i + 1) for i in range(40)]
    click = "document.querySelectorAll('.sortable thead button')[%d].click()"
    by_rank = [str(each.index + 1) for each in sorted(operators, key=lambda each: each.rank)]
    for wanted in (by_rank, by_rank[::-1], by_rank):
        browser.evaluate(click % 2)
        assert browser.evaluate(NAMES) == wanted
    browser.evaluate(click % 7)  # weights, of which an Add has none: last in both directions
    weights = [each.weights_db for each in operators]
    order = [weights[int(number) - 1] for number in browser.evaluate(NAMES)]
    known = [db for db in order if db is not None]
    assert order == sorted(known) + [None] * (40 - len(known))
    browser.evaluate("search.value = 'stage2 conv'; search.dispatchEvent(new Event('input'))")
    assert sorted(map(int, browser.evaluate(NAMES))) == list(range(17, 25))
    assert browser.evaluate("document.getElementById('found').textContent") == "8 of 40"


def test_tooltips(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["rich"], width=400)
    assert browser.evaluate("document.getElementById('tip').hidden") is True
    over = "dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    browser.evaluate(f"document.querySelector('circle.hit').{over}")
    assert "alone in int8" in browser.evaluate("document.getElementById('tip').textContent")
    box = browser.evaluate(
        "(({left, right}) => [left, right])(document.getElementById('tip').getBoundingClientRect())"
    )
    assert 0 <= box[0] < box[1] <= 400
    browser.evaluate(f"document.body.{over}")
    assert browser.evaluate("document.getElementById('tip').hidden") is True


def test_a_script_that_is_not_the_page_s_does_not_run(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "injected.html"
    injected = "<main><script>document.title = 'injected'</script>"
    path.write_text(pages["rich"].read_text(encoding="utf-8").replace("<main>", injected), encoding="utf-8")
    browser.open(path, width=1280)
    assert browser.evaluate("document.title") != "injected"
    assert any("Content Security Policy" in said for said in browser.complaints())


def test_it_prints(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["rich"], width=1280)
    assert 2 <= browser.pdf().count(b"/Type /Page\n") <= 14
