"""What every HTML page that is written must do in a browser; the fixture `browser` is in conftest.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from tests.browser import Browser

VIEWS = [(1280, False), (1280, True), (400, False), (400, True)]
"""Width in pixels, and whether dark is asked for."""

TOO_WIDE = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') || e.matches('.scroll'))
  .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 90))"""
INVISIBLE = """[...document.querySelectorAll('svg')].filter(e => getComputedStyle(e.parentElement).display != 'none')
  .filter(e => e.getBoundingClientRect().width < 20 || e.getBoundingClientRect().height < 10).length"""


def write_pages(folder: Path, texts: Mapping[str, str]) -> dict[str, Path]:
    """Write each of ``texts`` as NAME.html into ``folder``."""
    paths = {name: folder / f"{name}.html" for name in texts}
    for name, path in paths.items():
        path.write_text(texts[name], encoding="utf-8")
    return paths


def open_fitting(browser: Browser, path: Path, width: int, dark: bool) -> None:
    """Open the page ``path``: it loads and complains of nothing, and nothing is wider than it or too small to be seen."""
    browser.open(path, width=width, dark=dark)
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []
    assert browser.evaluate("document.documentElement.scrollWidth") == browser.evaluate("innerWidth") == width
    assert browser.evaluate(TOO_WIDE) == []
    assert browser.evaluate(INVISIBLE) == 0


def photograph(browser: Browser, folder: Path, name: str, width: int, dark: bool) -> None:
    """Leave a picture of the open page in ``folder``, to be looked at: something was drawn."""
    shot = folder / f"{name}_{width}{'_dark' if dark else ''}.png"
    browser.screenshot(shot)
    with Image.open(shot) as image:
        assert image.width == width
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 100
