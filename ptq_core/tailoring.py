"""What a model needs of the runtime: operators and kernels, as a text file that `make runtime TAILOR=FILE` builds from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ptq_core.errors import InputError
from ptq_core.files import write_text
from ptq_core.flatfile.reader import load_program
from ptq_core.kernels import TOOLS, choices, levels
from ptq_core.printable import printable

SUFFIX = ".tailor"


@dataclass(frozen=True)
class Tailoring:
    """Operator kinds (names of docs/flat_format.md) and names of kernels."""

    ops: frozenset[str] = frozenset()
    kernels: frozenset[str] = frozenset()

    def __or__(self, other: Tailoring) -> Tailoring:
        return Tailoring(self.ops | other.ops, self.kernels | other.kernels)


def record(flat_file: Path) -> Tailoring:
    """What ``flat_file`` needs on every CPU of its targets. Raises DeviceError where a target's runtime cannot be asked."""
    program = load_program(flat_file)
    targets = [target for target in program.targets if target in TOOLS]
    if not targets:
        raise InputError(
            f"{flat_file} is for {', '.join(program.targets)} only",
            rule=f"kernels are known of {', '.join(TOOLS)}",
            fix="choose other valid_targets",
        )
    kernels = {
        choice.kernel
        for target in targets
        for level in levels(target)
        for choice in choices(target, level, flat_file)
    }
    return Tailoring(frozenset(op.kind.name for op in program.ops), frozenset(kernels))


def write_tailoring(path: Path, needed: Tailoring, models: Iterable[str]) -> None:
    """Write ``needed``, sorted, atomically."""
    names = printable(", ".join(models))
    lines = [
        f"# What {names} needs of the ptq runtime. Build it: make runtime TAILOR=THIS_FILE [ABI=arm64-v8a]",
        *(f"op {name}" for name in sorted(needed.ops)),
        *(f"kernel {name}" for name in sorted(needed.kernels)),
    ]
    write_text(path, "\n".join(lines) + "\n")
