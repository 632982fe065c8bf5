"""What the HTML pages and CSV files of reports share: style, SVG, cells."""

from __future__ import annotations

from importlib import resources


def style() -> str:
    """The CSS of all pages: colours for light, dark and print, headings, tiles, tables, figures."""
    return resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
