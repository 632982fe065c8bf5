"""`ptq bench`: measure FP32 and INT8 side by side and print one table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from cli.options import CONTEXT, size_text
from ptq_core.errors import DeviceError, InputError

if TYPE_CHECKING:
    from ptq_core.bench.report import BenchReport, CaseResult, DeviceReport, ModelResult

HEADER = ("model", "threads", "size", "median ms", "min ms", "max ms", "p90 ms", "std ms", "speed-up")


@click.command(context_settings=CONTEXT)
@click.option(
    "--fp32",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="FP32 model: .nb, or .onnx, which is optimized first",
)
@click.option(
    "--int8",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="INT8 model: .nb, or .onnx. With both, the speed-up is shown",
)
@click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME",
    help="where to measure: local is this machine",
)
@click.option(
    "--threads",
    default="1",
    show_default=True,
    metavar="N[,N...]",
    help="numbers of threads; each one is measured",
)
@click.option(
    "--warmup", default=10, show_default=True, metavar="N", help="inferences before the measured ones"
)
@click.option("--repeats", default=30, show_default=True, metavar="N", help="measured inferences per model")
@click.option(
    "--result-filename",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="append one line per model and number of threads, as benchmark_bin's res.txt",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="write everything, with all samples and the machine's state, as JSON",
)
@click.option("--profile", is_flag=True, help="also time each operator and print the times side by side")
@click.option(
    "--timeout",
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="give up when one number of threads takes longer",
)
def bench(
    fp32: Path | None,
    int8: Path | None,
    device: str,
    threads: str,
    warmup: int,
    repeats: int,
    result_filename: Path | None,
    json_path: Path | None,
    profile: bool,
    timeout: float,
) -> int:
    """Measure the latency of an FP32 and an INT8 model in the phone runtime.

    Both models are run in turns in one process, so that whatever slows the machine down slows both. Give --fp32, --int8,
    or both.
    """
    from ptq_core.bench.pipeline import bench as run_bench  # imports NumPy: only when needed

    with tqdm(
        total=0, disable=None, file=sys.stderr, leave=False, bar_format="{desc} {n_fmt}/{total_fmt}"
    ) as bar:

        def progress(device: str, done: int, total: int, what: str) -> None:
            bar.total, bar.n = total, done
            bar.set_description(f"measuring on {device} with {what}")

        report = run_bench(
            fp32=fp32,
            int8=int8,
            device=device,
            threads=parse_threads(threads),
            warmup=warmup,
            repeats=repeats,
            profile=profile,
            result_path=result_filename,
            json_path=json_path,
            timeout_s=timeout,
            progress=progress,
        )
    for text in render(report, profile=profile):
        click.echo(text)
    failures = [device for device in report.devices if device.error is not None]
    for device_report in failures:
        click.echo(f"error: {device_report.device}: {device_report.error}", err=True)
    return DeviceError.exit_code if failures else 0


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


def render(report: BenchReport, *, profile: bool = False) -> Iterator[str]:
    """The report as lines for people."""
    for device in report.devices:
        yield from _device(report, device, profile=profile)
    for what, path in report.paths.items():
        yield f"{what}: {path}"


def _device(report: BenchReport, device: DeviceReport, *, profile: bool) -> Iterator[str]:
    context, cases, settings = device.context, device.cases, report.settings
    if context is not None:
        yield (
            f"{device.device}: {context.cpu_model or context.abi}, {context.cores} core(s); "
            f"{settings.repeats} repeats after {settings.warmup} warm-up runs, models in turns"
        )
        yield ""
    if cases:
        both = any(case.speed_up for case in cases)
        rows = [_row(case, model) for case in cases for model in case.models]
        width = len(HEADER) if both else len(HEADER) - 1
        yield from table([HEADER[:width], *(row[:width] for row in rows)])
        yield ""
        peak = max(case.peak_rss_bytes for case in cases)
        yield f"peak memory of the process with {'both models' if both else 'the model'}: {size_text(peak)}"
    if profile:
        for case in cases:
            yield from _profile(case)
        yield ""
    for warning in device.warnings:
        yield f"warning: {warning.text}"


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Rows of equal length as aligned lines: the ``left`` first columns to the left, the others (numbers) to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _row(case: CaseResult, model: ModelResult) -> tuple[str, ...]:
    latency = model.latency
    gain = case.speed_up if model.precision == "int8" else None
    return (
        f"{model.precision.upper()} {model.name}",
        str(case.threads),
        size_text(model.file_bytes),
        f"{latency.median_ms:.3f}",
        f"{latency.min_ms:.3f}",
        f"{latency.max_ms:.3f}",
        f"{latency.p90_ms:.3f}",
        "-" if latency.std_ms is None else f"{latency.std_ms:.3f}",
        "" if gain is None else f"{gain.ratio:.2f}x [{gain.low:.2f}, {gain.high:.2f}]",
    )


def _profile(case: CaseResult) -> Iterator[str]:
    """Mean microseconds per operator, the models side by side, joined by the operator's name; '-' where one lacks it."""
    times = [{op.name: op for op in model.ops} for model in case.models]
    names = dict.fromkeys(op.name for model in case.models for op in model.ops)
    rows: list[tuple[str, ...]] = [
        ("operator", "kind", *(f"{model.precision.upper()} us" for model in case.models)),
        *(
            (
                name,
                next(ops[name].kind for ops in times if name in ops),
                *(f"{ops[name].mean_us:.1f}" if name in ops else "-" for ops in times),
            )
            for name in names
        ),
        ("sum", "", *(f"{sum(op.mean_us for op in model.ops):.1f}" for model in case.models)),
    ]
    yield ""
    yield f"mean time per operator, {case.threads} thread(s)"
    yield from table(rows, left=2)
