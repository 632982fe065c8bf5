"""The rows of the kernel lists: src/kernels/FAMILY/kernels.inc, which is data in the form of C++.

PTQ_KERNEL(GemmI8Kernel, avx2, gemm_i8_6x16__avx2, .mr = 6, .nr = 16, .kr = 2, .kd = 2)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROW = re.compile(r"^PTQ_KERNEL\((\w+(?:<\w+>)?), \w+, (\w+)((?:,\s+\.\w+ = [^,]+?)*)\)$", re.MULTILINE)
TRAIT = re.compile(r"\.(\w+) = ([^,]+)")


@dataclass(frozen=True)
class KernelRow:
    """A kernel in one list of its family; ``traits`` has the text of those that the row names."""

    family: str
    name: str
    traits: dict[str, str]

    @property
    def operation(self) -> str:
        """`<op>_<dtype>` of `<op>_<dtype>_<tile>__<isa>`."""
        return self.name.partition("__")[0].rpartition("_")[0]

    @property
    def source(self) -> str:
        """The file that has the kernel, below runtime/."""
        return f"src/kernels/{self.family}/{self.name.partition('__')[2]}.cc"


def kernel_rows(source: Path) -> list[KernelRow]:
    """All rows below ``source`` (the folder runtime/), those of every instruction set. Raises ValueError at a row that
    does not look like the others."""
    rows = []
    for path in sorted((source / "src" / "kernels").glob("*/kernels.inc")):
        text = path.read_text(encoding="utf-8")
        found = ROW.findall(text)
        if len(found) != text.count("\nPTQ_KERNEL("):
            raise ValueError(f"a row of {path} does not look like the others")
        rows += [KernelRow(path.parent.name, name, dict(TRAIT.findall(traits))) for _, name, traits in found]
    return rows
