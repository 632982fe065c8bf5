"""The layout tables are the page: docs/flat_format.md is parsed and compared."""

from __future__ import annotations

import re
from pathlib import Path

from ptq_core.flatfile import layout
from ptq_core.flatfile.operators import BY_CODE, MODULES, kinds
from ptq_core.flatfile.operators.attributes import Field
from ptq_core.flatfile.operators.description import Scales
from ptq_core.flatfile.tensors import DType
from tests.flatfile.shapes import SHAPES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "flat_format.md").read_text(encoding="utf-8")


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


SHORT_NAMES = dict(rows("short name"))
"""Groups of attributes."""


def operator_rows() -> dict[int, tuple[str, str, str]]:
    """kind → (name, inputs and outputs, attributes), "likewise" and "the same" resolved."""
    section = PAGE.split("## Operators")[1]
    lines = [line for line in section.splitlines() if re.match(r"\| \d+ \| [a-z0-9_]+ \|", line)]
    found: dict[int, tuple[str, str, str]] = {}
    before = ("", "", "")
    for line in lines:
        kind, name, operands, attributes = (cell.strip() for cell in line.strip("|").split("|"))
        operands = before[1] if "likewise" in operands else operands
        attributes = before[2] if attributes.startswith("the same") else attributes
        found[int(kind)] = before = (name, operands, attributes)
    return found


def fields(attributes: str) -> list[str]:
    """Types and names of an attributes column in order; a name without a type has that before it."""
    text = re.sub(r"\([^)]*\)", "", attributes)
    for short, long in sorted(SHORT_NAMES.items(), reverse=True):
        text = re.sub(rf"\b{short}\b", long, text)
    found, last = [], ""
    for part in filter(None, (part.strip(" –") for part in re.split(r"[,;]", text))):
        *types, name = part.split()
        last = types[0] if types else last
        found.append(f"{last} {name}")
    return found


def typed(field: Field) -> str:
    types = {"I": "u32", "i": "i32", "f": "f32"}
    return f"{types[field.code.letter]} {field.name}{'[8]' if field.code.array else ''}"


def test_operator_table() -> None:
    page = operator_rows()
    assert {kind: name for kind, (name, *_) in page.items()} == {row.code: row.name for row in MODULES}
    for kind, (_, operands, attributes) in page.items():
        row = BY_CODE[kind]
        assert [typed(field) for field in row.fields] == fields(attributes), attributes
        inputs = re.sub(r"\[[^]]*\]|\(also[^)]*\)", "", operands).split("→")[0].split(";")[-1].split(",")
        assert [x.strip().startswith("(") for x in inputs] == [x.optional for x in row.inputs], operands


def names_between(begin: str, end: str) -> set[str]:
    """The names of kinds between two pieces of the page's text."""
    text = " ".join(PAGE.split())
    return set(re.findall(r"[a-z0-9_]{3,}", text.split(begin)[1].split(end)[0])) - {"and"}


def test_lists_of_kinds() -> None:
    f16 = names_between("**f16** (1.3):", "also take")
    assert f16 == {row.name for row in kinds(lambda kind: kind.has_f16)}
    kept = names_between("keep the dtype.", "also keep scale and zero point")
    assert kept == {row.name for row in kinds(lambda kind: kind.inputs[0].scales == Scales.OF_OUTPUT)}


def test_integers() -> None:
    """The table of the kinds that take integers and bools names all, with their types."""
    integers = {DType.I32, DType.I64, DType.U8, DType.BOOL}
    page = {kind.strip(): types for kinds_, types in rows("kinds") for kind in kinds_.split(",")}
    wanted = {row.name: integers & {*row.types} for row in MODULES if integers & {*row.types}}
    assert {k: {d for d in integers if d.label in types.split(", ")} for k, types in page.items()} == wanted


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
