"""The files that tailor a runtime: its operator table, and the names of the kernels that stay in its lists.

What no row refers to, the linker leaves out. The scalar kernels, which run everywhere, always stay: a tailored runtime computes
the same on every CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kernel_rows import KernelRow, kernel_rows

ONLY_RECORDED = ("gemm", "depthwise")
"""Families whose kernels are chosen by operators with weights alone. Of the others, operators also use kernels that are not
shown as theirs (a resize quantizes): they lose rows only where another row of the same operation was recorded."""

ALSO_USES = {"winograd_f32": "gemm_f32"}
"""Operations whose kernels call those of another one; both are chosen by the CPU alone."""


class TailoringError(Exception):
    """The file or the sources cannot be understood."""


def read_needs(path: Path) -> tuple[set[str], set[str]]:
    """(operators, kernels) of a file that `ptq opt --record-tailoring-info` wrote."""
    needs: dict[str, set[str]] = {"op": set(), "kernel": set()}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TailoringError(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0] == "#" or line.startswith("#"):
            continue
        if len(words) != 2 or words[0] not in needs:
            raise TailoringError(f"{path}:{number}: `{line}` is not `op NAME` or `kernel NAME`")
        needs[words[0]].add(words[1])
    if not needs["op"]:
        raise TailoringError(f"{path} names no operator")
    return needs["op"], needs["kernel"]


DROPPED = "dropped"
"""The name of the file that lists the sources of instruction sets that no kernel is left of; CMakeLists.txt reads it."""


def tailored_files(source: Path, ops: set[str], kernels: set[str]) -> dict[str, str]:
    """Name → text, of what CMake and the C++ sources (``source``, the folder runtime/) read of a tailored runtime."""
    rows = kernel_rows(source)
    unknown = kernels - {row.name for row in rows}
    unknown = {name for name in unknown if not name.endswith("__scalar")}  # some have no list
    if unknown:
        raise TailoringError(f"no list has the kernels {', '.join(sorted(unknown))}: record them again")
    recorded = {row.operation for row in rows if row.name in kernels}
    kept = [row for row in rows if row.name in kernels or _stays(row, recorded)]
    dropped = {row.source for row in rows} - {row.source for row in kept}
    return {
        "generated/registry.cc": _tailored_registry(source, ops),
        "tailored_kernels.h": _header(sorted({row.name for row in kept})),
        DROPPED: "".join(f"{name}\n" for name in sorted(dropped)),
    }


def _stays(row: KernelRow, recorded: set[str]) -> bool:
    """Whether a kernel that was not recorded itself is needed; ``recorded``: the operations of those that were."""
    used = {also for name, also in ALSO_USES.items() if name in recorded}
    may_be_used = row.family not in ONLY_RECORDED or row.operation in used
    return row.name.endswith("__scalar") or (row.operation not in recorded and may_be_used)


def _header(names: list[str]) -> str:
    lines = "".join(f'    "{name}",\n' for name in names)
    note = "// The kernels of a tailored runtime (tailor_runtime.py)."
    return f"{note}\nconstexpr const char* kTailoredKernels[] = {{\n{lines}}};\n"


def _tailored_registry(source: Path, ops: set[str]) -> str:
    sys.path.insert(0, str(source))
    from generate_operators import registry_cc, text

    from ptq_core.flatfile.operators import BY_NAME

    unknown = ops - BY_NAME.keys()
    if unknown:
        raise TailoringError(f"the runtime has no operators {', '.join(sorted(unknown))}: record them again")
    return text(registry_cc(ops))
