"""What `ptq eval --json` wrote, for the page: a gain in speed is read beside what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ptq_core.bench.report import Precision
from ptq_core.bench.saved import load_record
from ptq_core.errors import InputError
from ptq_core.reports import AccuracyReport

Accuracy = Mapping[Precision, AccuracyReport]
"""What is known of each model; a precision may be missing."""


def load_accuracy(paths: Mapping[Precision, Path | None]) -> Accuracy:
    """The reports in ``paths``; None where none was given. Raises InputError."""
    from ptq_core.evaluate.accuracy import SCHEMA  # imports Pillow: only when needed

    found: dict[Precision, AccuracyReport] = {}
    for precision, path in paths.items():
        if path is None:
            continue
        report = load_record(AccuracyReport, path, schema=SCHEMA, written_by="`ptq eval --json`")
        if not (0 <= report.top1 <= report.top5 <= 1 and report.count > 0):
            raise InputError(
                f"{path}: top1 {report.top1:g}, top5 {report.top5:g} of {report.count} pictures",
                rule="they are shares between 0 and 1, of at least one picture",
                fix="write the file again with `ptq eval --json`",
            )
        found[precision] = report
    if len({report.count for report in found.values()}) > 1:
        counts = ", ".join(f"{paths[precision]}: {report.count}" for precision, report in found.items())
        raise InputError(
            f"accuracy on different numbers of pictures ({counts})",
            rule="both models are compared on the same pictures",
            fix="run `ptq eval` for both with the same list of labels",
        )
    return found
