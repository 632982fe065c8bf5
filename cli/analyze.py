"""`ptq analyze`: which operators cost accuracy, why, and which to leave in float."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import click

from ptq_cli.flags import command, group, option
from ptq_cli.options import table
from ptq_cli.quantize_flags import config_groups, overrides
from ptq_cli.terminal import echo
from ptq_core.analyze.report import Analysis
from ptq_core.config import AnalyzeConfig, load_config_as

WITHOUT = ("save_model_path", "deploy", "check", "store_int4")
"""Keys of what `ptq quantize` writes, and where."""

SHOWN = 10
"""So many operators are listed; the files of --json, --csv and --html have all."""


@command(
    *config_groups(WITHOUT),
    group(
        "The analysis",
        option(
            "--analysis-samples",
            type=click.IntRange(min=1),
            default=16,
            metavar="N",
            help="calibration pictures, spread evenly, that models are compared on; time grows with them",
        ),
        option(
            "--top",
            type=click.IntRange(min=1),
            default=SHOWN,
            metavar="N",
            help="operators that are printed, those that cost most first",
        ),
    ),
)
def analyze(
    config: Path | None,
    assignments: tuple[str, ...],
    analysis_samples: int,
    top: int,
    **flags: str | None,
) -> None:
    """Find the operators that cost accuracy in int8, and which of them to leave in float.

    Takes the configuration of `ptq quantize`, and writes no model. Each operator is measured alone in int8 and alone
    in float; dB are signal to noise of the model's worst output against FP32.
    """
    from ptq_core.analyze.pipeline import analyze as run  # imports onnxruntime: only when needed

    settings = load_config_as(AnalyzeConfig, config, overrides(assignments, flags))
    report = run(settings, samples=analysis_samples)
    echo(*(f"warning: {warning}" for warning in report.warnings), err=True)
    echo(*(f"note: {note}" for note in report.notes), err=True)
    echo(
        f"{len(report.operators)} operators in int8, {report.float_operators} in float; "
        f"calibrated on {report.pictures} pictures, compared on {report.samples}, in {report.seconds:.1f} s",
        f"all of them in int8: {decibels(report.sqnr_db)} (worst output)",
        "operators that cost most; dB of the model's worst output where the operator alone is int8, and alone is float:",
        *table(list(_rows(report, top)), left=2),
        *_budget_lines(report),
    )


def _budget_lines(report: Analysis) -> Iterator[str]:
    if not report.budgets:
        yield "no lists for skip_nodes: the model's MACs are not known"
        return
    yield "what can be had by leaving operators in float, measured as `ptq quantize` writes it:"
    shown: set[tuple[str, ...]] = set()
    for budget in report.budgets:
        which = f"  at most {share(budget.most_share)} of the MACs: {decibels(budget.sqnr_db)}"
        if not budget.added:
            yield f"{which}, no list helps"
        elif budget.added in shown:
            yield f"{which}, the same list"
        else:
            yield f"{which} with {share(budget.macs_share)}, {len(budget.added)} operators"
            yield f"    skip_nodes: {json.dumps(list(budget.skip_nodes), ensure_ascii=False)}"
        shown.add(budget.added)


def _rows(report: Analysis, top: int) -> Iterator[tuple[str, ...]]:
    yield ("  operator", "type", "weights", "input", "clipped", "output", "alone int8", "alone float", "MACs")
    for each in report.ranked[:top]:
        worst = each.worst_input
        yield (
            f"  {each.name}",
            each.op_type,
            decibels(each.weights_db),
            "–" if worst is None else decibels(worst.total_db),
            "–" if worst is None else share(worst.clipped_share),
            decibels(each.output_db),
            decibels(each.alone_db),
            decibels(each.without_db),
            share(each.macs_share),
        )


def decibels(value: float | None) -> str:
    """`21.3 dB`, `exact` where nothing differs, `lost` where FP32 has no signal to compare with, `–` for None."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "exact" if value > 0 else "lost"
    return f"{value:.1f} dB"


def share(value: float | None) -> str:
    """`4.4 %`, `–` for None; small ones with more digits."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if value == 0 or value >= 0.001 else f"{100 * value:.2g} %"
