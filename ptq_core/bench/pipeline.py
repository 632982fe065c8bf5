"""`bench`: flat files (or ONNX models, optimized on the way) through `benchmark_bin` on a device, into a report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ptq_core.bench import protocol, res_txt
from ptq_core.bench.advice import advise
from ptq_core.bench.devices import Device, open_device
from ptq_core.bench.report import BenchReport, CaseResult, ModelResult, Precision, to_json
from ptq_core.bench.statistics import speed_up, summarize
from ptq_core.errors import DeviceError, InputError
from ptq_core.files import make_folder, write_text
from ptq_core.flatfile.reader import read_program
from ptq_core.runtime import MAX_THREADS, runtime_binary

Progress = Callable[[int, int, str], None]
"""Called before each case: cases done, cases in all, what comes next."""


LONGEST_PATH_SAID = 140
"""benchmark_bin cuts a model's path to this many bytes in its messages."""


@dataclass(frozen=True)
class Subject:
    """A model to measure: its precision, the file that the user named, and the flat file made of it."""

    precision: Precision
    source: Path
    flat: Path


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
    started, clock = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    cases: list[CaseResult] = []

    def report() -> BenchReport:
        return BenchReport(
            started=started,
            seconds=round(time.monotonic() - clock, 3),
            device=device,
            context=context,
            warmup=warmup,
            repeats=repeats,
            cases=tuple(cases),
            warnings=advise(context, cases),
            result_path=result_path,
            json_path=json_path,
        )

    with open_device(device) as target, tempfile.TemporaryDirectory(prefix="ptq-bench-") as scratch:
        binary = runtime_binary(target.abi)
        context = target.context()  # before our own work raises the load
        subjects = [_subject(precision, path, Path(scratch)) for precision, path in given]
        for index, count in enumerate(threads):
            if progress is not None:
                progress(index, len(threads), f"{count} thread(s)")
            flags = [f"--warmup={warmup}", f"--repeats={repeats}", f"--threads={count}"]
            flags += ["--profile"] if profile else []
            answer = _measure(target, binary, subjects, flags, timeout_s)
            case = _case(
                protocol.parse(answer, models=len(subjects), threads=count, repeats=repeats), subjects
            )
            cases.append(case)
            if result_path is not None:
                res_txt.append(
                    result_path, [res_txt.line(model.name, model.latency) for model in case.models]
                )
            if json_path is not None:
                write_text(json_path, to_json(report()))
    return report()


def _measure(
    device: Device, binary: Path, subjects: Sequence[Subject], flags: Sequence[str], timeout_s: float
) -> str:
    """Run `benchmark_bin` once; returns its JSON. Its own words are in the error when it fails."""
    program = device.push(binary)
    models = [device.push(subject.flat) for subject in subjects]
    answer_path = f"{device.folder}/answer.json"
    finished = device.run(
        [program, *flags, f"--json={answer_path}", "--result_filename=", *models], timeout_s=timeout_s
    )
    if finished.exit_code != 0:
        said = " ".join(finished.stderr.split()).removeprefix("benchmark_bin: ") or "it printed no reason"
        for subject, model in zip(subjects, models, strict=True):
            said = said.replace(model[:LONGEST_PATH_SAID], str(subject.source))
        if finished.exit_code == InputError.exit_code:
            problem, _, next_step = said.rpartition("; ")
            raise InputError(
                f"benchmark_bin refuses {problem or said}",
                rule="it must be able to load and run every model on this CPU",
                fix=next_step if problem else "write the model again with `ptq opt`",
            )
        code = finished.exit_code
        raise DeviceError(
            f"benchmark_bin {f'was killed by signal {-code}' if code < 0 else f'ended with exit code {code}'}: {said}",
            rule="it must measure and exit with 0",
            fix="run it by hand with the same models; if memory ran out, measure one model at a time",
        )
    return device.pull(answer_path) or ""


def _case(run: protocol.BenchmarkRun, subjects: Sequence[Subject]) -> CaseResult:
    names = _display_names([subject.source for subject in subjects])
    models = tuple(
        ModelResult(
            precision=subject.precision,
            name=name,
            path=str(subject.source),
            file_bytes=measured.file_bytes,
            arena_bytes=measured.arena_bytes,
            load_ms=measured.load_ms,
            first_ms=measured.first_ms,
            output_crc32=measured.output_crc32,
            latency=summarize(measured.samples_ms),
            samples_ms=measured.samples_ms,
            ops=measured.ops,
        )
        for subject, name, measured in zip(subjects, names, run.models, strict=True)
    )
    both = len(models) == 2
    return CaseResult(
        threads=run.threads,
        runtime_version=run.version,
        abi=run.abi,
        cpu_features=run.cpu_features,
        peak_rss_bytes=run.peak_rss_bytes,
        models=models,
        speed_up=speed_up(models[0].samples_ms, models[1].samples_ms) if both else None,
    )


def _display_names(sources: Sequence[Path]) -> list[str]:
    """File names, with their folder where two are the same."""
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        return ["/".join(source.absolute().parts[-2:]) for source in sources]
    return names


def _subject(precision: Precision, source: Path, scratch: Path) -> Subject:
    """``source`` itself if it is a flat file; an ONNX model is optimized for the device first."""
    if source.suffix == ".nb":
        _check_precision(precision, source, source)
        return Subject(precision, source, source)
    from ptq_core.optimize.pipeline import optimize  # onnx is slow to import and not needed for flat files

    flat = scratch / f"{precision}.nb"
    optimize(source, flat, targets=("host",))
    _check_precision(precision, source, flat)
    return Subject(precision, source, flat)


def _check_precision(precision: Precision, source: Path, flat: Path) -> None:
    """Raise InputError if the file says that it holds the other precision; a file that does not say is believed."""
    try:
        found = read_program(flat.read_bytes()).meta.get("precision")
    except (InputError, OSError):
        return  # benchmark_bin says what is wrong with the file
    if found in ("fp32", "int8") and found != precision:
        raise InputError(
            f"--{precision} {source} holds an {found} model",
            rule="a speed-up is only one if --fp32 names the float model and --int8 the quantized one",
            fix="exchange the flags, or run `ptq quantize` and `ptq opt` first",
        )


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
