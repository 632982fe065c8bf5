"""A kind of operator is named where it is described, computed, made and rewritten; all others ask its row.

So adding or changing an operator touches few files. What is counted: `git grep -il KIND` where the name means nothing else, and
the files that take the row, or the C++ number of the kind, for all.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest

from ptq_core.flatfile.operators import MODULES
from ptq_core.flatfile.operators.description import OperatorKind
from tests.needs import ROOT

FOLDERS = ("ptq_core", "cli", "runtime", "scripts", "benchmarks", "examples")
SUFFIXES = {".py", ".cc", ".h", ".c", ".inc", ".cmake", ".txt"}
NOT_SOURCES = ("ptq_core/_runtime/", "runtime/test/", "runtime/generated/")
MOST = 6

LOWERING = "ptq_core/optimize/lowering/"
"""ONNX operators are made of ours there, and any may be of any."""

PASSES = {"quantize": 8, "add": 10, "mul": 7, "div": 7}
"""What more passes are about: where numbers become int8, and the arithmetic that is folded into weights and activations."""


@functools.cache
def sources() -> dict[str, str]:
    """Path → text, of all but tests and build products."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in SUFFIXES and path.is_file() and not name.startswith(NOT_SOURCES):
                found[name] = path.read_text(encoding="utf-8")
    return found


def refers(row: OperatorKind[Any], text: str) -> bool:
    """Whether ``text`` takes the row or the C++ number of the kind."""
    constant = row.name.upper()
    number = "k" + "".join(part.capitalize() for part in row.name.split("_"))
    imported = rf"^from ptq_core\.flatfile\.operators\.\w+ import (\([^)]*|.*)\b{constant}\b"
    return re.search(rf"{imported}|^{constant} = |\b{number}\b", text, re.MULTILINE) is not None


ONLY_OURS = [row for row in MODULES if "_" in row.name or row.name == "dilate"]
"""Kinds whose names are no words, and nobody else's names."""


@pytest.mark.parametrize("row", ONLY_OURS, ids=lambda row: row.name)
def test_few_files_name_a_kind(row: OperatorKind[Any]) -> None:
    longer = [other.name for other in MODULES if row.name in other.name and other is not row]
    naming = []
    for path, text in sources().items():
        rest = functools.reduce(lambda left, name: left.replace(name, ""), longer, text.lower())
        if row.name in rest:
            naming.append(path)
    assert 2 <= len(naming) <= MOST, "\n".join(naming)


@pytest.mark.parametrize("row", MODULES, ids=lambda row: row.name)
def test_few_files_take_a_row(row: OperatorKind[Any]) -> None:
    taking = [path for path, text in sources().items() if refers(row, text) and LOWERING not in path]
    assert 1 <= len(taking) <= PASSES.get(row.name, MOST), "\n".join(taking)


def test_one_more_file_would_be_seen() -> None:
    row = next(row for row in MODULES if row.name == "top_k")
    module = "from ptq_core.flatfile.operators"
    assert refers(row, f"{module}.top_k import TOP_K, TopK\n")
    assert refers(row, f"{module}.top_k import (\n    TopK,\n    TOP_K,\n)\n")
    assert refers(row, "if (kind == kTopK) return;")
    assert not refers(row, f"{module}.top_k import TopK\nSTOP_K = kTopKCount\n")


def test_sources_are_found() -> None:
    assert {Path(path).suffix for path in sources()} >= {".py", ".cc", ".h", ".inc", ".cmake"}
    assert len(sources()) > 400
