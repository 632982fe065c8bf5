"""`ptq bench`: measure FP32 and INT8 side by side and print one table."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from cli.bench_table import render, render_comparison
from cli.options import CONTEXT
from ptq_core.errors import DeviceError, InputError, MissedTargetError


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
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="OLD.json NEW.json",
    help="measure nothing: compare two files of --json, case by case",
)
@click.option(
    "--fail-above",
    type=float,
    metavar="RATIO",
    help="with --compare: exit code 4 if a median is more than RATIO times the old one, beyond its noise",
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
    compare: tuple[Path, Path] | None,
    fail_above: float | None,
    profile: bool,
    timeout: float,
) -> int:
    """Measure the latency of an FP32 and an INT8 model in the phone runtime.

    Both models are run in turns in one process, so that whatever slows the machine down slows both. Give --fp32, --int8,
    or both; or --compare.
    """
    if compare is not None or fail_above is not None:
        compare_reports(compare, fail_above, models=[path for path in (fp32, int8) if path is not None])
        return 0
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
    for text in render(report):
        click.echo(text)
    failures = [device for device in report.devices if device.error is not None]
    for device_report in failures:
        click.echo(f"error: {device_report.device}: {device_report.error}", err=True)
    return DeviceError.exit_code if failures else 0


def compare_reports(files: tuple[Path, Path] | None, fail_above: float | None, models: list[Path]) -> None:
    """Print two saved reports side by side. Raises MissedTargetError if a case is slower than ``fail_above`` allows."""
    from ptq_core.bench.compare import compare  # imports NumPy: only when needed

    if files is None:
        raise InputError(
            "--fail-above without --compare",
            rule="the limit is one between two saved reports",
            fix="--compare OLD.json NEW.json",
        )
    if models:
        raise InputError(
            f"--compare together with the model {models[0]}",
            rule="--compare measures nothing",
            fix="measure with --json first, then compare the two files",
        )
    comparison = compare(*files, fail_above)
    for text in render_comparison(comparison):
        click.echo(text)
    slower = comparison.regressions
    if slower:
        raise MissedTargetError(
            f"{len(slower)} of {len(comparison.cases)} cases regressed, the worst"
            f" {max(case.ratio.ratio for case in slower):.3f} times its old median",
            rule=f"no median may be more than {fail_above:g} times the old one with its whole interval above 1",
            fix="measure again on a quiet device; if it stays, find the change that made it slower",
        )


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
