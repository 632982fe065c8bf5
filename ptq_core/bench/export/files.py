"""The files of a report for other readers: which were asked for, and what is written into each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ptq_core.bench.export.accuracy import Accuracy, load_accuracy
from ptq_core.bench.export.html import page
from ptq_core.bench.export.markdown import to_markdown
from ptq_core.bench.export.rows import to_csv
from ptq_core.bench.report import BenchReport, Precision
from ptq_core.errors import InputError
from ptq_core.files import check_outputs, write_text

FORMATS = {
    "CSV": lambda report, accuracy: to_csv(report),
    "Markdown": to_markdown,
    "HTML": page,
}
"""Format → its text of a report and the accuracy."""


@dataclass(frozen=True)
class Exports:
    """Format → path, all of them known to be writable, and the accuracy to show beside the latency."""

    paths: Mapping[str, Path]
    accuracy: Accuracy

    def write(self, report: BenchReport) -> Mapping[str, Path]:
        """Write every file, each complete or not at all; returns what was written where."""
        for name, path in self.paths.items():
            write_text(path, FORMATS[name](report, self.accuracy))
        return self.paths


def prepare_exports(
    paths: Mapping[str, Path | None],
    accuracy_paths: Mapping[Precision, Path | None],
    others: Iterable[Path | None] = (),
) -> Exports:
    """What was asked for, checked before anything is measured; ``others`` are written by the measurement. Raises InputError."""
    check_outputs((*paths.values(), *others))
    asked = {name: path for name, path in paths.items() if path is not None}
    accuracy = load_accuracy(accuracy_paths)
    if accuracy and not asked.keys() & {"Markdown", "HTML"}:
        raise InputError(
            "`fp32_accuracy=` or `int8_accuracy=` without a page to show it on",
            rule="accuracy is shown beside the latency in `html_path=` and `markdown_path=`",
            fix="name one of them with `html_path=` or `markdown_path=`",
        )
    return Exports(asked, accuracy)
