"""The report as Markdown, for an issue or a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptq_core.bench.export.accuracy import Accuracy
from ptq_core.bench.export.words import (
    OUTPUTS,
    device_title,
    error_words,
    headline,
    megabytes,
    settings_words,
    started_words,
)
from ptq_core.bench.profile import gain_eater, op_pairs
from ptq_core.bench.report import BenchReport, CaseResult, DeviceReport, ModelResult, threads_words
from ptq_core.printable import printable

HEADER = (
    "model",
    "threads",
    "median ms",
    "min",
    "p90",
    "p99",
    "std",
    "size",
    "peak memory",
    "speed-up",
    "outputs",
)


MARKUP = "\\`*_[]<>|#&~$"
"""What Markdown, with the tables and formulas of its dialects, takes for more than itself."""


def to_markdown(report: BenchReport, accuracy: Accuracy) -> str:
    """Headline, a table per device, its warnings, accuracy where it is known."""
    return "\n".join(_lines(report, accuracy)) + "\n"


def _lines(report: BenchReport, accuracy: Accuracy) -> Iterator[str]:
    yield f"## {_escape(headline(report))}"
    yield ""
    yield f"{_escape(settings_words(report))}; {_escape(started_words(report))}"
    for device in report.devices:
        yield from _device(device)
    if accuracy:
        yield from ("", "### Accuracy", "")
        yield from _table(
            ("model", "top-1", "top-5", "pictures"),
            [
                (
                    f"{precision.upper()} {found.model}",
                    f"{found.top1:.2%}",
                    f"{found.top5:.2%}",
                    str(found.count),
                )
                for precision, found in accuracy.items()
            ],
        )


def _device(device: DeviceReport) -> Iterator[str]:
    yield from ("", f"### {_escape(device_title(device))}", "")
    if device.error is not None:
        yield from (f"**Ended early:** {_escape(error_words(device.error))}", "")
    if device.cases:
        yield from _table(HEADER, [_row(case, model) for case in device.cases for model in case.models])
    for case in device.cases:
        eater = gain_eater(op_pairs(case))
        if eater is not None:
            yield from ("", f"{threads_words(case.threads)}: {_escape(eater.sentence())}.")
    if device.warnings:
        yield ""
    for warning in device.warnings:
        yield f"- ⚠ {_escape(warning.text)}; {_escape(warning.fix)}"


def _row(case: CaseResult, model: ModelResult) -> tuple[str, ...]:
    latency, gain = model.latency, case.speed_up if model.precision == "int8" else None
    return (
        f"{model.precision.upper()} {model.name}",
        str(case.threads),
        f"{latency.median_ms:.3f}",
        f"{latency.min_ms:.3f}",
        f"{latency.p90_ms:.3f}",
        f"{latency.p99_ms:.3f}",
        "" if latency.std_ms is None else f"{latency.std_ms:.3f}",
        megabytes(model.file_bytes),
        "" if model.peak_rss_bytes is None else megabytes(model.peak_rss_bytes),
        "" if gain is None else f"{gain.ratio:.2f}x ({gain.low:.2f} to {gain.high:.2f})",
        "" if model.outputs is None else OUTPUTS[model.outputs],
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(_escape, row))} |"


def _escape(text: str) -> str:
    """``text`` on one line, its markup shown as it was written."""
    return "".join(f"\\{char}" if char in MARKUP else char for char in printable(text))
