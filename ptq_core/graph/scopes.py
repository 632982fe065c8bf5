"""Name scopes: ONNX has none, so a node's name is its path, and a scope is a run of whole path segments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from ptq_core.errors import InputError


def in_scope(name: str, scope: str) -> bool:
    """Whether ``scope`` (one or more segments joined by ``/``) occurs in ``name`` as whole path segments.

    >>> in_scope("net/skip_quant/pool", "skip_quant"), in_scope("net/skip_quant_2/pool", "skip_quant")
    (True, False)
    """
    path, wanted = _segments(name), _segments(scope)
    return bool(wanted) and any(
        path[start : start + len(wanted)] == wanted for start in range(len(path) - len(wanted) + 1)
    )


def matching_names(names: Sequence[str], scopes: Iterable[str]) -> dict[str, str]:
    """Map each of ``names`` that lies in one of ``scopes`` to the first such scope.

    Raises InputError for a scope that matches nothing: a silent typo would quantize what the user wanted in float.
    """
    found: dict[str, str] = {}
    for scope in scopes:
        hits = [name for name in names if in_scope(name, scope)]
        if not hits:
            segments = sorted({segment for name in names for segment in _segments(name)})
            near = difflib.get_close_matches(scope, [*segments, *names], n=1)
            raise InputError(
                f"skip_quant scope `{scope}` matches no node",
                rule="a scope is one or more whole segments of a node's name",
                fix=f"did you mean `{near[0]}`?" if near else f"names look like `{names[0]}`",
            )
        for name in hits:
            found.setdefault(name, scope)
    return found


def _segments(name: str) -> list[str]:
    return [segment for segment in name.split("/") if segment]
