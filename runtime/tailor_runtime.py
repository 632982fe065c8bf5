"""The sources of a tailored runtime: its operator table and kernel lists with only the rows that a model needs.

The rows of generated/registry.cc and src/kernels/*/kernels.cc are data; what no row refers to, the linker leaves out. The last
row of a list, which runs everywhere, always stays: a tailored runtime computes the same on every CPU.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

KERNEL_ROW = re.compile(r'\n    \{"(\w+?_\w+?)",.*?\},(?=\n)', re.DOTALL)
ONLY_RECORDED = ("gemm", "depthwise")
"""Families whose kernels are chosen by conv2d and fully_connected alone. Of the others, operators also use kernels that are not
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
"""The name of the file that lists the sources of instruction sets that no row is left of; CMakeLists.txt reads it."""


def tailored_sources(source: Path, ops: set[str], kernels: set[str]) -> dict[str, str]:
    """Path below ``source`` (the folder runtime/) → text, for each file that loses rows, and DROPPED."""
    found = {"generated/registry.cc": _tailored_registry(source, ops)}
    dropped = []
    unknown = set(kernels)
    for path in sorted((source / "src" / "kernels").glob("*/kernels.cc")):
        text, names = path.read_text(), set[str]()
        kept = _tailored_list(text, path.parent.name, kernels, names)
        unknown -= names
        if kept != text:
            found[str(path.relative_to(source))] = kept
            gone = names - {match[1] for match in KERNEL_ROW.finditer(kept)}
            left = {_isa(name) for name in names - gone}
            dropped += [f"src/kernels/{path.parent.name}/{isa}.cc" for isa in {_isa(n) for n in gone} - left]
    unknown = {name for name in unknown if not name.endswith("__scalar")}  # some have no list
    if unknown:
        raise TailoringError(f"no list has the kernels {', '.join(sorted(unknown))}: record them again")
    found[DROPPED] = "".join(f"{name}\n" for name in sorted(dropped))
    return found


def _isa(name: str) -> str:
    return name.partition("__")[2]


def _tailored_registry(source: Path, ops: set[str]) -> str:
    sys.path.insert(0, str(source))
    from generate_operators import registry_cc, text

    from ptq_core.flatfile.operators import BY_NAME

    unknown = ops - BY_NAME.keys()
    if unknown:
        raise TailoringError(f"the runtime has no operators {', '.join(sorted(unknown))}: record them again")
    return text(registry_cc(ops))


def _tailored_list(text: str, family: str, kernels: set[str], names: set[str]) -> str:
    """``text`` without the rows that are not needed; adds the names of all rows to ``names``."""
    names |= {match[1] for match in KERNEL_ROW.finditer(text)}
    if len(re.findall(r'\{"', text)) != len(KERNEL_ROW.findall(text)):
        raise TailoringError(f"a row of kernels/{family}/kernels.cc does not look like the others")
    recorded = {_operation(name) for name in names & kernels}
    used = {also for name, also in ALSO_USES.items() if name in map(_operation, kernels)}

    def needed(name: str) -> bool:
        if name in kernels or name.endswith("__scalar"):
            return True
        operation = _operation(name)
        return operation not in recorded and (family not in ONLY_RECORDED or operation in used)

    return KERNEL_ROW.sub(lambda match: match[0] if needed(match[1]) else "", text)


def _operation(name: str) -> str:
    """`<op>_<dtype>` of `<op>_<dtype>_<tile>__<isa>`."""
    return name.partition("__")[0].rpartition("_")[0]
