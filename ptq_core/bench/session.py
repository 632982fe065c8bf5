"""One device's part of a `ptq bench`: push, run each case, read the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptq_core.bench import protocol
from ptq_core.bench.context import DeviceContext, MachineState
from ptq_core.bench.devices import Device
from ptq_core.bench.report import CaseResult, ModelResult, Settings
from ptq_core.bench.statistics import speed_up, summarize
from ptq_core.bench.subjects import Subject
from ptq_core.errors import DeviceError, InputError

LONGEST_PATH_SAID = 140
"""benchmark_bin cuts a model's path to this many bytes in its messages."""


def measure_case(
    device: Device,
    context: DeviceContext,
    binary: Path,
    subjects: Sequence[Subject],
    settings: Settings,
    *,
    threads: int,
    timeout_s: float,
) -> CaseResult:
    """Measure all ``subjects`` in turns with ``threads`` threads."""
    flags = [f"--warmup={settings.warmup}", f"--repeats={settings.repeats}", f"--threads={threads}"]
    flags += ["--profile"] if settings.profile else []
    before = device.state(context.clusters)
    answer = _measure(device, binary, subjects, flags, timeout_s)
    after = device.state(context.clusters)
    run = protocol.parse(answer, models=len(subjects), threads=threads, repeats=settings.repeats)
    return _case(run, subjects, settings, before, after)


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


def _case(
    run: protocol.BenchmarkRun,
    subjects: Sequence[Subject],
    settings: Settings,
    before: MachineState,
    after: MachineState,
) -> CaseResult:
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
            peak_rss_bytes=None,
            outputs=None,
            latency=summarize(measured.samples_ms),
            samples_ms=measured.samples_ms,
            ops=measured.ops,
        )
        for subject, name, measured in zip(subjects, names, run.models, strict=True)
    )
    both = len(models) == 2
    return CaseResult(
        threads=run.threads,
        power_mode=settings.power_mode,
        cpus=(),
        before=before,
        after=after,
        stopped="repeats",
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
