"""`ptq analyze`: which operators cost accuracy, why, and which to leave in float."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from ptq_cli import terminal
from ptq_cli.flags import command, group, option, output, path, printer
from ptq_cli.options import table
from ptq_cli.quantize_flags import config_groups, overrides
from ptq_core.analyze.report import DEFAULT_SAMPLES, Analysis
from ptq_core.analyze.words import decibels, limit, operators, share
from ptq_core.config import AnalyzeConfig, load_config_as
from ptq_core.files import STDOUT

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
            default=DEFAULT_SAMPLES,
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
        path(
            "--profile",
            help="what `ptq bench --profile --json` saved of this model: shows each operator's share of the latency",
        ),
    ),
    group(
        "Results",
        output("--json", "json_path", help="write everything as JSON"),
        output("--csv", "csv_path", help="write the table of operators as CSV"),
        output(
            "--html",
            "html_path",
            help="write a page to search and sort, with distributions, in one file that loads nothing",
        ),
    ),
)
def analyze(
    config: Path | None,
    assignments: tuple[str, ...],
    analysis_samples: int,
    top: int,
    profile: Path | None,
    json_path: Path | None,
    csv_path: Path | None,
    html_path: Path | None,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Find the operators that cost accuracy in int8, and which of them to leave in float.

    Takes the configuration of `ptq quantize`, and writes no model. Each operator is measured alone in int8 and alone
    in float; dB are signal to noise of the model's worst output against FP32.
    """
    from ptq_core.analyze.export.files import check_outputs, write
    from ptq_core.analyze.pipeline import analyze as run  # imports onnxruntime: only when needed

    settings = load_config_as(AnalyzeConfig, config, overrides(assignments, flags))
    say = printer([json_path, csv_path, html_path])
    outputs = check_outputs({"JSON": json_path, "CSV": csv_path, "HTML": html_path})
    report = run(settings, samples=analysis_samples, profile=profile)
    write(report, outputs)
    terminal.warn(*report.warnings)
    terminal.note(*report.notes)
    say(
        f"{operators(len(report.operators))} in int8, {report.float_operators} in float; "
        f"calibrated on {report.pictures} pictures, compared on {report.samples}, in {report.seconds:.1f} s",
        f"all of them in int8: {decibels(report.sqnr_db)} (worst output)",
        "operators that cost most; dB of the model's worst output where the operator alone is int8, and alone is float:",
        *table(list(_rows(report, top)), left=2),
        *_budget_lines(report),
        *(f"{name:5} {path}" for name, path in outputs.items() if path != STDOUT),
    )


def _budget_lines(report: Analysis) -> Iterator[str]:
    if not report.budgets:
        yield "no lists for skip_nodes: the model's MACs are not known"
        return
    yield "what can be had by leaving operators in float, measured as `ptq quantize` writes it:"
    shown: set[tuple[str, ...]] = set()
    for budget in report.budgets:
        which = f"  at most {limit(budget.most_share)} of the MACs: {decibels(budget.sqnr_db)}"
        if not budget.added:
            yield f"{which}, no list helps"
        elif budget.added in shown:
            yield f"{which}, the same list"
        else:
            yield f"{which} with {share(budget.macs_share)}, {operators(len(budget.added))}"
            yield f"    skip_nodes: {json.dumps(list(budget.skip_nodes), ensure_ascii=False)}"
        shown.add(budget.added)


def _rows(report: Analysis, top: int) -> Iterator[tuple[str, ...]]:
    latency = ("latency",) if any(each.latency_share is not None for each in report.operators) else ()
    yield (
        "  operator",
        "type",
        "weights",
        "input",
        "clipped",
        "output",
        "alone int8",
        "alone float",
        "MACs",
        *latency,
    )
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
            *(share(each.latency_share) for _ in latency),
        )
