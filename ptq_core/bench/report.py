"""What `bench` measured, as records and as JSON; units are in the names."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ptq_core.bench.context import DeviceContext, MachineState
from ptq_core.bench.protocol import OpTime, Stopped
from ptq_core.bench.statistics import Latency, Ratio

SCHEMA = 2

Precision = Literal["fp32", "int8"]

Outputs = Literal["identical", "close", "unclear", "different"]
"""The device's outputs beside this machine's on the same input: the same bytes; floats within the propagated bound
(docs/numerics.md); anything else."""


@dataclass(frozen=True)
class ModelResult:
    """One model in one case. `path` is the file that the user named, `file_bytes` the size of its flat file.

    `peak_rss_bytes` is the peak memory of a process of its own that ran nothing else; None where it was not measured.
    `outputs` is None on this machine itself and where no bound is known.
    `model_sha256` says which model it was: the digest of the ONNX file that the flat file was made from, else of the flat file
    itself; `inputs` are its inputs' names and shapes. None and empty in reports of versions that did not write them.
    """

    precision: Precision
    name: str
    path: str
    file_bytes: int
    arena_bytes: int
    load_ms: float
    first_ms: float
    output_crc32: str
    peak_rss_bytes: int | None
    outputs: Outputs | None
    latency: Latency
    samples_ms: tuple[float, ...]
    ops: tuple[OpTime, ...]
    model_sha256: str | None = None
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseResult:
    """The models measured in turns in one process with one number of threads; the peak memory is that process's.

    `cpus` are those that the threads were kept on, empty for any. `before` and `after` are the machine around the run.
    """

    threads: int
    power_mode: str
    cpus: tuple[int, ...]
    before: MachineState
    after: MachineState
    stopped: Stopped
    runtime_version: str
    abi: str
    cpu_features: str
    peak_rss_bytes: int
    models: tuple[ModelResult, ...]
    speed_up: Ratio | None

    def model(self, precision: Precision) -> ModelResult | None:
        """The model of that precision, if it was measured."""
        return next((model for model in self.models if model.precision == precision), None)


@dataclass(frozen=True)
class Advice:
    """A reason to doubt a number: its code in `advice.ADVICE`, what was seen, and what to do."""

    code: str
    text: str
    fix: str


EMULATED = "emulated"
"""The code of the warning that a device is an emulated processor."""

HOST_BUSY = "host_busy"
"""... that other work ran on it before the measurement."""


@dataclass(frozen=True)
class StopRule:
    """Measure until each median is known to ± ``confidence_percent`` (95 %), but at most ``max_seconds``."""

    confidence_percent: float
    max_seconds: float


@dataclass(frozen=True)
class Settings:
    """How it was measured. With a stop rule ``repeats`` is the least number of samples."""

    warmup: int
    repeats: int
    stop: StopRule | None
    cool_down_s: float
    power_mode: str
    threads: tuple[int, ...]
    profile: bool


@dataclass(frozen=True)
class DeviceReport:
    """What one device gave. `error` is what ended it early; the cases before it stand. `context` is None if it ended first."""

    device: str
    context: DeviceContext | None
    cases: tuple[CaseResult, ...]
    warnings: tuple[Advice, ...]
    error: str | None

    @property
    def is_emulated(self) -> bool:
        """Whether its latency says nothing: told by its warnings, so that a saved report tells it too."""
        return self._has(EMULATED)

    @property
    def was_busy(self) -> bool:
        """Whether other work ran on it."""
        return self._has(HOST_BUSY)

    def _has(self, code: str) -> bool:
        return any(warning.code == code for warning in self.warnings)


@dataclass(frozen=True)
class BenchReport:
    """A whole `ptq bench`. `started` is UTC, ISO 8601; `paths` names the files that were written."""

    started: str
    seconds: float
    settings: Settings
    devices: tuple[DeviceReport, ...]
    paths: dict[str, Path]


def threads_words(threads: int) -> str:
    """`1 thread`, `2 threads`."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def to_json(report: BenchReport) -> str:
    """The report as JSON text: `schema` and `tool`, then the fields of the records under their names."""
    document = {"schema": SCHEMA, "tool": "ptq bench", **asdict(report)}
    return json.dumps(document, indent=1, default=str, allow_nan=False) + "\n"
