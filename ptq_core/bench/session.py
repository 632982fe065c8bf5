"""One device's part of a `ptq bench`: push, run each case, read the answers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ptq_core.bench import protocol
from ptq_core.bench.context import DeviceContext
from ptq_core.bench.devices.device import Device, OpenDevice
from ptq_core.bench.power_mode import cpus_of
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.reference import Reference
from ptq_core.bench.report import CaseResult, ModelResult, Outputs, Settings
from ptq_core.bench.statistics import speed_up, summarize
from ptq_core.bench.subjects import Subject
from ptq_core.errors import DeviceError, InputError
from ptq_core.runtime_build import Say, ensure_runtime

MOST_ANSWER_BYTES = 64 << 20
"""Of benchmark_bin's JSON: a sample takes about 20."""

LONGEST_PATH_SAID = 140
"""benchmark_bin cuts a model's path to this many bytes in its messages."""


@dataclass(frozen=True)
class Work:
    """What every device measures; ``references`` belong to ``subjects``.

    ``say`` tells the user something at once, ``interrupted`` ends the work early.
    """

    subjects: tuple[Subject, ...]
    references: tuple[Reference, ...]
    settings: Settings
    timeout_s: float
    say: Say
    interrupted: threading.Event = field(default_factory=threading.Event)


class Session:
    """``device``, ``opened``, with everything that ``work`` needs pushed to it. Raises DeviceError."""

    def __init__(self, device: Device, opened: OpenDevice, context: DeviceContext, work: Work) -> None:
        self._device, self._context, self._work = opened, context, work
        mode = work.settings.power_mode
        self._mode = device.default_power_mode if mode == "auto" else mode
        self._cpus = cpus_of(self._mode, context.clusters)
        self._runs = 0
        self._program = opened.push(ensure_runtime(opened.abi, "benchmark_bin", work.say))
        self._models = [opened.push(subject.flat) for subject in work.subjects]
        self._inputs: list[list[str] | None] = [None for _ in work.subjects]
        if not device.is_local:  # this machine is its own reference
            for index, reference in enumerate(work.references):
                files = reference.prepare()
                self._inputs[index] = None if files is None else [opened.push(file) for file in files]

    def measure(self, threads: int) -> CaseResult:
        """Each model once by itself, for its memory and its outputs; then all in turns, for their latency."""
        settings = self._work.settings
        alone = [self._run_alone(index, threads) for index in range(len(self._models))]
        flags = [f"--warmup={settings.warmup}", f"--repeats={settings.repeats}"]
        if settings.profile:
            flags.append("--profile")
        if settings.stop is not None:
            flags.append(f"--until_ci={settings.stop.confidence_percent:g}")
            flags.append(f"--max_seconds={settings.stop.max_seconds:g}")
        before = self._device.state(self._context.clusters)
        run = self._run(range(len(self._models)), flags, threads, settings.repeats)
        after = self._device.state(self._context.clusters)
        names = _display_names([subject.source for subject in self._work.subjects])
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
                peak_rss_bytes=peak_rss_bytes,
                outputs=outputs,
                latency=summarize(measured.samples_ms),
                samples_ms=measured.samples_ms,
                ops=_with_flow(measured.ops, subject.flow),
                model_sha256=subject.sha256,
                inputs=subject.inputs,
            )
            for subject, name, measured, (peak_rss_bytes, outputs) in zip(
                self._work.subjects, names, run.models, alone, strict=True
            )
        )
        both = len(models) == 2
        return CaseResult(
            threads=threads,
            power_mode=self._mode,
            cpus=self._cpus,
            before=before,
            after=after,
            stopped=run.stopped,
            runtime_version=run.version,
            abi=run.abi,
            cpu_features=run.cpu_features,
            peak_rss_bytes=run.peak_rss_bytes,
            models=models,
            speed_up=speed_up(models[0].samples_ms, models[1].samples_ms) if both else None,
        )

    def _run_alone(self, index: int, threads: int) -> tuple[int, Outputs | None]:
        """Peak memory of a process that runs this model once, and how its outputs compare."""
        flags = ["--warmup=0", "--repeats=1"]
        dump, inputs = f"{self._device.folder}/output.bin", self._inputs[index]
        if inputs is None:
            return self._run([index], flags, threads, repeats=1).peak_rss_bytes, None
        flags += [f"--input={','.join(inputs)}", f"--dump_output={dump}"]
        run = self._run([index], flags, threads, repeats=1)
        reference = self._work.references[index]
        return run.peak_rss_bytes, reference.compare(self._device.pull(dump, reference.output_bytes) or b"")

    def _run(
        self, indices: Sequence[int], flags: Sequence[str], threads: int, repeats: int
    ) -> protocol.BenchmarkRun:
        """Run `benchmark_bin` once and check its answer. Its own words are in the error when it fails."""
        if self._work.interrupted.is_set():
            raise DeviceError("interrupted", rule="a measurement runs to its end", fix="start it again")
        self._runs += 1  # an answer of an earlier run can never be taken for this one's
        answer = f"{self._device.folder}/answer{self._runs}.json"
        common = [f"--threads={threads}", f"--json={answer}", "--result_filename="]
        if self._cpus:
            common.append(f"--cpu_affinity={','.join(map(str, self._cpus))}")
        models = [self._models[index] for index in indices]
        finished = self._device.run([self._program, *flags, *common, *models], timeout_s=self._work.timeout_s)
        if finished.exit_code != 0:
            said = " ".join((finished.stderr.strip() or finished.stdout).split())
            for index, model in zip(indices, models, strict=True):
                said = said.replace(model[:LONGEST_PATH_SAID], str(self._work.subjects[index].source))
            raise _failure(finished.exit_code, said.removeprefix("benchmark_bin: "))
        text = (self._device.pull(answer, MOST_ANSWER_BYTES) or b"").decode("utf-8", "replace")
        return protocol.parse(text, models=len(models), threads=threads, repeats=repeats)


def _with_flow(ops: tuple[OpTime, ...], flow: tuple[tuple[int, ...], ...]) -> tuple[OpTime, ...]:
    """Times of operators with what each reads; as they are where the flat file could not be read."""
    if len(ops) != len(flow):
        return ops
    return tuple(replace(op, after=after) for op, after in zip(ops, flow, strict=True))


def _failure(exit_code: int, said: str) -> DeviceError | InputError:
    if exit_code == InputError.exit_code:
        problem, _, next_step = said.rpartition("; ")
        return InputError(
            f"benchmark_bin refuses {problem or said}",
            rule="it must be able to load and run every model on this CPU",
            fix=next_step if problem else "write the model again with `ptq opt`",
        )
    how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
    return DeviceError(
        f"benchmark_bin {how}: {said or 'it printed no reason'}",
        rule="it must measure and exit with 0",
        fix="run it by hand with the same models; if memory ran out, measure one model at a time",
    )


def _display_names(sources: Sequence[Path]) -> list[str]:
    """File names, with their folder where two are the same."""
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        return ["/".join(source.absolute().parts[-2:]) for source in sources]
    return names
