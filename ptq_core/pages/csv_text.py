"""Tables as CSV that spreadsheets open without obeying it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from ptq_core.printable import printable

FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What begins a formula in a spreadsheet, in both widths."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """``rows`` under ``header`` as CSV (RFC 4180), words as `cell` writes them; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(map(cell, row) for row in rows)
    return text.getvalue()


def cell(value: Any) -> Any:
    """``value`` as CSV takes it: words printable and never a formula (a `'` before them, which spreadsheets hide)."""
    if not isinstance(value, str):
        return value
    words = printable(value)
    return f"'{words}" if words.lstrip().startswith(FORMULAS) else words
