"""The operators of the flat file, a file each: attributes, rules of the readers, NumPy reference, error bound, and a row for all
that passes, readers and the C++ tables ask.

The rows are found by walking this folder, so an operator stands in no list. Modules without a row are what the others share.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from ptq_core.flatfile.operators.description import OperatorKind


def _rows() -> dict[OperatorKind[Any], str]:
    """Row → the module that it stands in, by code."""
    found: dict[OperatorKind[Any], str] = {}
    for module in pkgutil.iter_modules(__path__):
        members = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
        for row in (member for member in members if isinstance(member, OperatorKind)):
            assert row not in found, f"{row.name} stands in {found[row]} and in {module.name}"
            found[row] = module.name
    return dict(sorted(found.items(), key=lambda item: item[0].code))


MODULES = _rows()
"""Row → the name of its module, and of its C++ file."""

BY_CODE: dict[int, OperatorKind[Any]] = {row.code: row for row in MODULES}
BY_NAME: dict[str, OperatorKind[Any]] = {row.name: row for row in MODULES}

assert len(BY_CODE) == len(BY_NAME) == len(MODULES), "two operators have one code or name"


def kinds(trait: Callable[[OperatorKind[Any]], bool]) -> tuple[OperatorKind[Any], ...]:
    """The rows for which ``trait`` is true."""
    return tuple(row for row in MODULES if trait(row))
