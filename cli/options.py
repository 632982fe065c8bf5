"""Words that commands share: shapes as they are typed, sizes and tables as they are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptq_core.errors import InputError
from ptq_core.printable import printable

Shape = tuple[int, ...]


def parse_shapes(texts: Sequence[str]) -> tuple[Shape, ...] | dict[str, Shape] | None:
    """``1,3,224,224``, several ``1,3,224,224:1,5`` in the inputs' order, or ``NAME:1,3,224,224`` per input.

    None for no text. Raises InputError for anything else.
    """
    if not texts:
        return None
    listed: list[Shape] = []
    named: dict[str, Shape] = {}
    for text in texts:
        shapes = [_shape(part) for part in text.split(":")]
        if all(shapes):
            listed += [shape for shape in shapes if shape]
            continue
        name, _, last = text.rpartition(":")
        shape = _shape(last)
        if not name or shape is None:
            raise InputError(
                f"input shape `{text}`",
                rule="a shape is whole numbers from 1 separated by commas, after `NAME:` for one of several inputs",
                fix="e.g. 1,3,224,224 or image:1,3,224,224",
            )
        named[name] = shape
    if listed and named:
        raise InputError(
            f"input shapes {' '.join(texts)}",
            rule="either all shapes have a name or none",
            fix="write NAME:SHAPE for every input",
        )
    return named or tuple(listed)


def _shape(text: str) -> Shape | None:
    parts = [part.strip() for part in text.strip("[] ").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        return None
    return tuple(int(part) for part in parts)


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
