"""A Markdown table as the scripts print it and the pages hold it."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Its lines, with the columns aligned. Every row has as many cells as ``header``."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = (header, ["-" * max(width, 1) for width in widths], *rows)
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
