"""`ptq opt --display-kernels`: the kernels of each target, or those chosen for a model, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ptq_cli.options import table

if TYPE_CHECKING:
    from ptq_core.kernels import Choice


def all_kernels(targets: tuple[str, ...]) -> Iterator[str]:
    """Every kernel of ``targets`` (names of the flat file) with what it needs of the CPU; each operation's best first."""
    from ptq_core.kernels import kernel_list

    for target in targets:
        yield f"{target}: kernels, the best of each operation first"
        yield from table(
            [("  kernel", "needs"), *((f"  {name}", needs) for name, needs in kernel_list(target))], left=2
        )
        yield ""


def chosen_kernels(flat_file: Path, targets: tuple[str, ...], *, this_machine: bool) -> Iterator[str]:
    """A section per target and CPU level: the kernel of each operator, then why not another, once per kernel.

    ``this_machine``: only the level of this machine's CPU.
    """
    from ptq_core.flatfile.reader import load_program
    from ptq_core.kernels import CPUS, choices, levels

    ops = load_program(flat_file).ops
    for target in targets:
        for level in (None,) if this_machine else levels(target):
            where = "this machine" if level is None else f"{level} ({CPUS[level]})"
            chosen = choices(target, level, flat_file)
            yield f"{target}, {where}:"
            rows = [
                (f"  {op.name}", op.kind.name, choice.kernel) for op, choice in zip(ops, chosen, strict=True)
            ]
            yield from table([("  operator", "kind", "kernel"), *rows], left=3)
            yield from _why(chosen)
            yield ""


def _why(chosen: list[Choice]) -> Iterator[str]:
    yield "  why not another:"
    for kernel, others in {choice.kernel: choice.others for choice in chosen}.items():
        reasons: dict[str, list[str]] = {}
        for other, reason in others:
            reasons.setdefault(reason, []).append(other)
        if not others:
            yield f"    {kernel} is the only one"
        for reason, names in reasons.items():
            yield f"    {kernel}, not {', '.join(names)}: {reason}"
