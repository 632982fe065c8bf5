"""`bench`: flat files (or ONNX models, optimized on the way) through `benchmark_bin` on a device, into a report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from ptq_core.bench import res_txt
from ptq_core.bench.advice import advise
from ptq_core.bench.context import DeviceContext
from ptq_core.bench.devices import open_device
from ptq_core.bench.report import BenchReport, CaseResult, DeviceReport, Precision, Settings, to_json
from ptq_core.bench.session import measure_case
from ptq_core.bench.subjects import make_subject
from ptq_core.errors import InputError, PtqError
from ptq_core.files import make_folder, write_text
from ptq_core.runtime import MAX_THREADS, runtime_binary

Progress = Callable[[str, int, int, str], None]
"""Called before each case: the device, cases done on it, cases in all, what comes next."""


def bench(
    *,
    fp32: Path | None = None,
    int8: Path | None = None,
    device: str = "local",
    threads: Sequence[int] = (1,),
    warmup: int = 10,
    repeats: int = 30,
    profile: bool = False,
    result_path: Path | None = None,
    json_path: Path | None = None,
    timeout_s: float = 600,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure ``fp32``, ``int8`` (`.nb`, or `.onnx`), or both in turns, once per number of ``threads``.

    After each case its lines are appended to ``result_path`` and ``json_path`` is rewritten, so that a failure later
    loses no finished case. ``timeout_s`` holds per case. Raises InputError for arguments and models that cannot be
    measured, DeviceError if the runtime is not built, fails, hangs or answers garbage.
    """
    given: list[tuple[Precision, Path]] = []
    if fp32 is not None:
        given.append(("fp32", fp32))
    if int8 is not None:
        given.append(("int8", int8))
    _check_arguments(given, threads, warmup, repeats, timeout_s)
    for output in (result_path, json_path):
        if output is not None:
            _check_output(output)
    settings = Settings(warmup, repeats, None, 0.0, "none", tuple(threads), profile)
    paths = {name: path for name, path in (("res.txt", result_path), ("JSON", json_path)) if path is not None}
    started, clock = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    cases: list[CaseResult] = []
    context: DeviceContext | None = None
    failure: PtqError | None = None

    def report() -> BenchReport:
        warnings = advise(device, context, cases) if context is not None else ()
        error = None if failure is None else str(failure)
        return BenchReport(
            started=started,
            seconds=round(time.monotonic() - clock, 3),
            settings=settings,
            devices=(DeviceReport(device, context, tuple(cases), warnings, error),),
            paths=paths,
        )

    try:
        with open_device(device) as target, tempfile.TemporaryDirectory(prefix="ptq-bench-") as scratch:
            binary = runtime_binary(target.abi)
            context = target.context()  # before our own work raises the load
            subjects = [make_subject(precision, path, Path(scratch), "host") for precision, path in given]
            for index, count in enumerate(threads):
                if progress is not None:
                    progress(device, index, len(threads), f"{count} thread(s)")
                case = measure_case(
                    target, context, binary, subjects, settings, threads=count, timeout_s=timeout_s
                )
                cases.append(case)
                if result_path is not None:
                    res_txt.append(
                        result_path, [res_txt.line(model.name, model.latency) for model in case.models]
                    )
                if json_path is not None:
                    write_text(json_path, to_json(report()))
    except PtqError as error:
        if not cases:
            raise
        failure = error
        if json_path is not None:
            write_text(json_path, to_json(report()))
    return report()


def _check_arguments(
    given: Sequence[tuple[Precision, Path]],
    threads: Sequence[int],
    warmup: int,
    repeats: int,
    timeout_s: float,
) -> None:
    if not given:
        raise InputError(
            "neither --fp32 nor --int8 is given",
            rule="at least one model is measured; with both, the speed-up is known",
            fix="name a .nb or .onnx file with --fp32, --int8 or both",
        )
    for precision, path in given:
        if path.suffix not in (".nb", ".onnx"):
            raise InputError(
                f"--{precision} {path}",
                rule="a model is a flat file (.nb) or an ONNX model (.onnx)",
                fix="name the file itself; `ptq opt` makes a .nb of an ONNX model",
            )
        if not path.is_file():
            raise InputError(
                f"--{precision} {path}: no such file", rule="the model must exist", fix="check the path"
            )
    for name, value, low, high in (
        *(("--threads", count, 1, MAX_THREADS) for count in threads),
        ("--warmup", warmup, 0, None),
        ("--repeats", repeats, 1, None),
    ):
        if value < low or (high is not None and value > high):
            limits = f"{low} to {high}" if high is not None else f"at least {low}"
            raise InputError(f"{name} {value}", rule=f"{name} takes {limits}", fix="correct the value")
    if not threads or len(set(threads)) < len(threads):
        raise InputError(
            f"--threads {','.join(map(str, threads))}",
            rule="--threads takes one number of threads or several different ones",
            fix="for example --threads 1,2,4",
        )
    if not timeout_s > 0:
        raise InputError(
            f"--timeout {timeout_s:g}", rule="--timeout takes seconds above 0", fix="correct the value"
        )


def _check_output(path: Path) -> None:
    """Fail before the measurement, not after it, where an output cannot be written."""
    make_folder(path.parent)
    if path.is_dir():
        raise InputError(f"{path} is a folder", rule="the output is a file", fix="name a file in it")
