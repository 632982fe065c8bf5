"""`ptq bench`: measure FP32 and INT8 side by side and print one table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ptq_cli.bench_flags import GROUPS
from ptq_cli.bench_progress import DeviceMeters
from ptq_cli.bench_saved import compare_reports, load_saved, refuse_others
from ptq_cli.bench_table import render
from ptq_cli.flags import command, printer
from ptq_cli.terminal import echo_failed
from ptq_cli.terminal import report as say_report
from ptq_core.errors import DeviceError, InputError
from ptq_core.files import STDOUT

if TYPE_CHECKING:
    from ptq_core.bench.export.files import Exports
    from ptq_core.bench.report import BenchReport, StopRule

DEFAULT_MAX_SECONDS = 60.0


@command(*GROUPS, help_if_bare=True)
def bench(
    fp32: Path | None,
    int8: Path | None,
    device: str,
    adb: str | None,
    adb_host: str | None,
    adb_port: int | None,
    power_mode: str,
    keep: bool,
    threads: str,
    warmup: int,
    repeats: int,
    confidence_percent: float | None,
    max_seconds: float | None,
    cool_down_s: float,
    result_path: Path | None,
    json_path: Path | None,
    csv_path: Path | None,
    markdown_path: Path | None,
    html_path: Path | None,
    fp32_accuracy: Path | None,
    int8_accuracy: Path | None,
    from_json: Path | None,
    compare: tuple[Path, Path] | None,
    fail_above: float | None,
    profile: bool,
    timeout_s: float,
) -> int:
    """Measure the latency of an FP32 and an INT8 model in the phone runtime, on a phone or on this machine.

    \b
    ptq bench --fp32 mobilenetv1_fp32.nb --int8 mobilenetv1_int8.nb --threads 1,2,4

    Both models are run in turns in one process, so that whatever slows the device down slows both. Give --fp32, --int8,
    or both; or --compare. A device that fails loses no finished case; the exit code is then 3.
    """
    if compare is not None or fail_above is not None:
        compare_reports(compare, fail_above, json_path)
        return 0
    from ptq_core.bench.export.files import prepare_exports
    from ptq_core.bench.pipeline import bench as run_bench  # imports NumPy: only when needed

    say = printer((json_path, csv_path, markdown_path, html_path))
    exports = prepare_exports(
        {"CSV": csv_path, "Markdown": markdown_path, "HTML": html_path},
        {"fp32": fp32_accuracy, "int8": int8_accuracy},
        (json_path, result_path),
    )
    if from_json is not None:
        accuracies = {"fp32_accuracy", "int8_accuracy"}
        refuse_others("--from-json", {"from_json", "csv_path", "markdown_path", "html_path", *accuracies})
        return show(load_saved(from_json), exports, say)
    with DeviceMeters() as progress:
        report = run_bench(
            fp32=fp32,
            int8=int8,
            device=device,
            adb=adb,
            adb_host=adb_host,
            adb_port=adb_port,
            keep=keep,
            threads=parse_threads(threads),
            power_mode=power_mode,
            warmup=warmup,
            repeats=repeats,
            stop=stop_rule(confidence_percent, max_seconds),
            cool_down_s=cool_down_s,
            profile=profile,
            result_path=result_path,
            json_path=json_path,
            timeout_s=timeout_s,
            progress=progress,
            wording=bench.in_flags,
            say=partial(say_report, err=True),
        )
    return show(report, exports, say)


def show(report: BenchReport, exports: Exports, say: Callable[..., None]) -> int:
    """Write and print the report; returns the exit code."""
    say(*render(report))
    for what, path in {**report.paths, **exports.write(report)}.items():
        if path != STDOUT:
            say(f"{what}: {path}")
    failures = [device for device in report.devices if device.error is not None]
    for failed in failures:
        echo_failed(failed.device, str(failed.error))
    return DeviceError.exit_code if failures else 0


def stop_rule(confidence_percent: float | None, max_seconds: float | None) -> StopRule | None:
    """The rule of --until-ci, None without it. Raises InputError for --max-seconds alone."""
    from ptq_core.bench.report import StopRule

    if confidence_percent is not None:
        return StopRule(confidence_percent, DEFAULT_MAX_SECONDS if max_seconds is None else max_seconds)
    if max_seconds is not None:
        raise InputError(
            f"--max-seconds {max_seconds:g} without --until-ci",
            rule="without a stop rule exactly --repeats inferences are measured",
            fix="add --until-ci 1, or set --repeats",
        )
    return None


def parse_threads(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers. Raises InputError."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--threads {text!r}",
            rule="--threads takes whole numbers with commas between",
            fix="for example 1,2,4",
        ) from None
