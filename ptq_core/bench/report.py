"""What `bench` measured, as records and as JSON; units are in the names."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ptq_core.bench.context import MachineContext
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.statistics import Latency, Ratio

SCHEMA = 1

Precision = Literal["fp32", "int8"]


@dataclass(frozen=True)
class ModelResult:
    """One model in one case. `path` is the file that the user named, `file_bytes` the size of its flat file."""

    precision: Precision
    name: str
    path: str
    file_bytes: int
    arena_bytes: int
    load_ms: float
    first_ms: float
    output_crc32: str
    latency: Latency
    samples_ms: tuple[float, ...]
    ops: tuple[OpTime, ...]


@dataclass(frozen=True)
class CaseResult:
    """The models measured in turns in one process with one number of threads; the peak memory is that process's."""

    threads: int
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
    """A reason to doubt a number: its code in `advice.ADVICE`, and the sentence for the user."""

    code: str
    text: str


@dataclass(frozen=True)
class BenchReport:
    """A whole `ptq bench`. `started` is UTC, ISO 8601; the paths are None where nothing was to be written."""

    started: str
    seconds: float
    device: str
    context: MachineContext
    warmup: int
    repeats: int
    cases: tuple[CaseResult, ...]
    warnings: tuple[Advice, ...]
    result_path: Path | None
    json_path: Path | None


def to_json(report: BenchReport) -> str:
    """The report as JSON text: `schema` and `tool`, then the fields of the records under their names."""
    document = {"schema": SCHEMA, "tool": "ptq bench", **asdict(report)}
    return json.dumps(document, indent=1, default=str, allow_nan=False) + "\n"
