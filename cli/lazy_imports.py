"""Modules that are run when something of them is first used: a command starts in half the time without them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LAZY = frozenset({"onnx_ir._symbolic_shapes", "sympy"})
"""onnx_ir imports sympy to calculate with symbolic dimensions, which ptq never does: shapes are numbers before they count."""


class LazyFinder(PathFinder):
    """Finds what `PathFinder` finds; modules of `LAZY` are executed at the first look at an attribute."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of ``fullname`` if it is to be lazy; None leaves it to the usual finders."""
        if fullname not in LAZY:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def install() -> None:
    """Let imports of this process from now on be lazy where `LAZY` says so."""
    if LazyFinder not in sys.meta_path:
        sys.meta_path.insert(0, LazyFinder)
