"""The layout tables are the page: docs/flat_format.md is parsed and compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptq_core.flatfile import layout
from ptq_core.flatfile.attributes import NAMED_VALUES
from ptq_core.flatfile.interpreter import _OPERATORS
from ptq_core.flatfile.program import DType, OpKind
from ptq_core.flatfile.rules import RULES
from tests.flatfile.shapes import SHAPES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "flat_format.md").read_text(encoding="utf-8")
CLAMP = ["lo", "hi", "q_min", "q_max"]


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


def operators() -> dict[int, tuple[str, str]]:
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
    text = re.sub(r"\([^)]*\)", "", attributes).replace("clamp", ", ".join(CLAMP))
    names = re.split(r"[,;]", text)
    plain = [re.sub(r"^(u32|f32|i32) ", "", name.strip()) for name in names]
    return [re.sub(r"\[8\]", "", name) for name in plain if name not in ("–", "")]


def test_operator_table() -> None:
    page = operators()
    assert {kind: name for kind, (name, _) in page.items()} == {int(k): k.label for k in OpKind}
    for kind, (_, attributes) in page.items():
        assert [name for name, _ in layout.OPS[OpKind(kind)].fields] == fields(attributes), attributes


@pytest.mark.parametrize("table", [layout.OPS, _OPERATORS, RULES, SHAPES])
def test_tables_cover_every_kind(table: dict[OpKind, object]) -> None:
    assert set(table) == set(OpKind)


def test_attribute_classes_have_the_fields() -> None:
    for row in layout.OPS.values():
        assert {name for name, _ in row.fields} == set(row.attributes.__dataclass_fields__)


def test_named_values() -> None:
    """Every list "0 name, 1 name …" of the page is the enumeration of its field."""
    text = " ".join(PAGE.split("unary functions:")[1].split())
    for (owner, field), values in NAMED_VALUES.items():
        for value in values:
            assert re.search(rf"\b{value.value} {value.name.lower()}\b", text), (
                f"{owner.__name__}.{field} {value!r}"
            )


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
