"""Words that commands share: sizes and tables as they are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptq_core.printable import printable


def size_text(size_bytes: int) -> str:
    """Bytes in words: ``412 B``, ``3.1 KB``, ``4.2 MB`` (powers of 1000, as file managers and phones count)."""
    value, unit = float(size_bytes), "B"
    for larger in ("KB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Rows of equal length as aligned lines: the ``left`` first columns to the left, the others (numbers) to the right."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
