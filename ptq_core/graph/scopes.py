"""Names of nodes, and how users point at them: by name scope, by name with wildcards, by a tensor that the node reads.

ONNX has no name scopes, so a node's name is its path, and a scope is a run of whole path segments.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

import onnx

from ptq_core.errors import InputError


def name_nodes(proto: onnx.ModelProto) -> None:
    """Give every node a unique name; nodes without one are called after their op type and position."""
    seen = {node.name for node in proto.graph.node}
    taken: set[str] = set()
    for index, node in enumerate(proto.graph.node):
        if node.name and node.name not in taken:
            taken.add(node.name)
            continue
        name, suffix = node.name or f"{node.op_type}_{index}", 0
        candidate = name if not node.name else f"{name}_{suffix}"
        while candidate in seen or candidate in taken:
            suffix += 1
            candidate = f"{name}_{suffix}"
        node.name = candidate
        taken.add(candidate)


def fits(name: str, pattern: str) -> bool:
    """Whether ``name`` is ``pattern``, in which ``*`` stands for any characters and everything else for itself.

    >>> fits("body/conv[1]", "body/*[1]"), fits("body/conv", "conv")
    (True, False)
    """
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


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


def matching_patterns(names: Sequence[str], patterns: Iterable[str]) -> dict[str, str]:
    """Map each of ``names`` that one of ``patterns`` fits to the first such pattern: ``*`` stands for anything.

    A name fits itself, whatever characters it holds. Raises InputError for a pattern that fits nothing.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        hits = [name for name in names if name == pattern or fits(name, pattern)]
        if not hits:
            near = difflib.get_close_matches(pattern.strip("*"), names, n=1, cutoff=0.5)
            raise InputError(
                f"skip_nodes has `{pattern}`, which fits no node",
                rule="skip_nodes names nodes of the model; * stands for anything, capitals count",
                fix=f"did you mean `{near[0]}`?" if near else f"names look like `{names[0]}`",
            )
        for name in hits:
            found.setdefault(name, pattern)
    return found


def reading_nodes(readers: Mapping[str, Sequence[str]], tensors: Iterable[str]) -> dict[str, str]:
    """Map each node that reads one of ``tensors`` to the first such tensor; ``readers`` has tensor → its nodes.

    Raises InputError for a tensor that no node reads.
    """
    found: dict[str, str] = {}
    for tensor in tensors:
        if tensor not in readers:
            near = difflib.get_close_matches(tensor, readers, n=1)
            raise InputError(
                f"skip_tensor_list has `{tensor}`, which no operator reads",
                rule="skip_tensor_list names tensors that operators of the model read",
                fix=f"did you mean `{near[0]}`?" if near else f"names look like `{next(iter(readers))}`",
            )
        for name in readers[tensor]:
            found.setdefault(name, tensor)
    return found


def _segments(name: str) -> list[str]:
    return [segment for segment in name.split("/") if segment]
