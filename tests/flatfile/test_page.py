"""The layout tables are the page: docs/flat_format.md is parsed and compared."""

from __future__ import annotations

import re
from pathlib import Path

from ptq_core.flatfile import layout
from ptq_core.flatfile.operators import BY_CODE, MODULES, kinds
from ptq_core.flatfile.tensors import DType
from tests.flatfile.shapes import SHAPES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "flat_format.md").read_text(encoding="utf-8")
CLAMP = ["lo", "hi", "q_min", "q_max"]
SIDES = [f"{name}_{axis}" for name in ("stride", "dilation") for axis in "hw"]
SHORT_NAMES = {
    "window": [*SIDES, "pad_top", "pad_left", "pad_bottom", "pad_right"],
    "conv clamp": [f"conv_{name}" for name in CLAMP],
    "clamp": CLAMP,
}
"""Groups of attributes, the longer names first."""


def rows(first_header: str) -> list[list[str]]:
    """The cells of the page's table whose first column is called ``first_header``."""
    lines = PAGE.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    body = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        body.append([cell.strip() for cell in line.strip("|").split("|")])
    return body


def operator_rows() -> dict[int, tuple[str, str]]:
    """kind → (name, attributes column), "the same" resolved."""
    section = PAGE.split("## Operators")[1]
    lines = [line for line in section.splitlines() if re.match(r"\| \d+ \| [a-z0-9_]+ \|", line)]
    found: dict[int, tuple[str, str]] = {}
    previous = ""
    for line in lines:
        kind, name, _, attributes = (cell.strip() for cell in line.strip("|").split("|"))
        attributes = previous if attributes.startswith("the same") else attributes
        found[int(kind)] = (name, attributes)
        previous = attributes
    return found


def fields(attributes: str) -> list[str]:
    """Field names of an attributes column in order."""
    text = re.sub(r"\([^)]*\)", "", attributes)
    for short, long in SHORT_NAMES.items():
        text = text.replace(short, ", ".join(long))
    names = re.split(r"[,;]", text)
    plain = [re.sub(r"^(u32|f32|i32) ", "", name.strip()) for name in names]
    return [re.sub(r"\[8\]", "", name) for name in plain if name not in ("–", "")]


def test_operator_table() -> None:
    page = operator_rows()
    assert {kind: name for kind, (name, _) in page.items()} == {row.code: row.name for row in MODULES}
    for kind, (_, attributes) in page.items():
        assert [field.name for field in BY_CODE[kind].fields] == fields(attributes), attributes


def test_short_names() -> None:
    page = {name: fields(attributes) for name, attributes in rows("short name")}
    assert page == SHORT_NAMES


def test_every_kind_has_a_shape() -> None:
    assert {*SHAPES, *kinds(lambda kind: kind.same_shape)} == set(MODULES)


def test_named_values() -> None:
    """Every list "0 name, 1 name …" of the page is the enumeration of its field."""
    text = " ".join(PAGE.split("unary functions:")[1].split())
    for row in MODULES:
        for field in row.fields:
            for value in field.names or ():
                assert re.search(rf"\b{value.value} {value.name.lower()}\b", text), (row, field.name, value)


def test_sections() -> None:
    page = {kind.strip("`"): int(entry) for kind, entry, _ in rows("kind")[:12]}
    assert {kind.encode(): entry for kind, entry in page.items()} == layout.SECTIONS


def test_constants() -> None:
    magic = re.search(r"magic \| `([0-9A-F ]+)`", PAGE)
    assert magic is not None
    assert bytes.fromhex(magic[1]) == layout.MAGIC
    assert "bit mask: " + ", ".join(f"{bit} {name}" for name, bit in layout.TARGETS.items()) in PAGE
    assert ", ".join(f"{d.value} {d.label}" for d in DType) in PAGE
    assert (layout.HEADER.size, layout.SECTION.size) == (64, 32)
    for name in ("QPRM", "TENS", "OPRS"):
        assert (
            f"`{name}` ({getattr(layout, name).size} bytes)" in PAGE
            or f"| `{name}` | {getattr(layout, name).size} |" in PAGE
        )
