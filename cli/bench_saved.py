"""`ptq bench` without a measurement: --compare and --from-json read what --json saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ptq_cli.bench_table import render_comparison
from ptq_cli.flags import given_flags, printer
from ptq_core.errors import InputError, MissedTargetError
from ptq_core.files import write_text

if TYPE_CHECKING:
    from ptq_core.bench.report import BenchReport


def load_saved(path: Path) -> BenchReport:
    """What --json saved, without the paths of what was written then."""
    from ptq_core.bench.compare import load_report

    return replace(load_report(path), paths={})


def refuse_others(flag: str, allowed: set[str]) -> None:
    """Raise InputError if a flag was given that means nothing beside ``flag``."""
    for name, given in given_flags().items():
        if name not in allowed:
            raise InputError(
                f"{given} together with {flag}",
                rule=f"{flag} measures nothing: it reads what --json saved",
                fix=f"leave out {given}, or measure with --json first",
            )


def compare_reports(
    files: tuple[Path, Path] | None, fail_above: float | None, json_path: Path | None
) -> None:
    """Print two saved reports side by side, and write the comparison to ``json_path``.

    Raises MissedTargetError if a case is slower than ``fail_above`` allows.
    """
    from ptq_core.bench.compare import compare, to_json  # imports NumPy: only when needed

    if files is None:
        raise InputError(
            "--fail-above without --compare",
            rule="the limit is one between two saved reports",
            fix="--compare OLD.json NEW.json",
        )
    refuse_others("--compare", {"compare", "fail_above", "json_path"})
    comparison = compare(*files, fail_above)
    printer([json_path])(*render_comparison(comparison))
    if json_path is not None:
        write_text(json_path, to_json(comparison))
    slower = comparison.of("regression")
    if slower:
        raise MissedTargetError(
            f"{len(slower)} of {len(comparison.cases)} cases regressed, the worst"
            f" {max(case.ratio.ratio for case in slower):.3f} times its old median",
            rule=f"no median may be more than {fail_above:g} times the old one with its whole interval above 1",
            fix="measure again on a quiet device; if it stays, find the change that made it slower",
        )
