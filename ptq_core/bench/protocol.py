"""The JSON that `benchmark_bin` writes, as checked records: a device's answer is never believed unseen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from ptq_core.errors import DeviceError

SCHEMA = 2
TOOL = "benchmark_bin"

Stopped = Literal["repeats", "confidence", "max_seconds", "max_samples"]
"""What ended the samples: their number, or with a stop rule that medians were known well enough, time, or memory."""


@dataclass(frozen=True)
class OpTime:
    """Mean time of one operator; `kernel` is the one chosen on that CPU.

    `after` are the indices of the operators whose results it reads; benchmark_bin does not say it, the flat file does.
    """

    name: str
    kind: str
    kernel: str
    mean_us: float
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelRun:
    """One model's measurement. `first_ms` is the first inference, before the warm-up ended; samples follow the warm-up."""

    path: str
    load_ms: float
    first_ms: float
    arena_bytes: int
    file_bytes: int
    samples_ms: tuple[float, ...]
    output_crc32: str
    ops: tuple[OpTime, ...]


@dataclass(frozen=True)
class BenchmarkRun:
    """One run of `benchmark_bin`: its models were measured in turns in one process, whose peak memory this is."""

    version: str
    abi: str
    cpu_features: str
    threads: int
    warmup: int
    repeats: int
    stopped: Stopped
    models: tuple[ModelRun, ...]
    peak_rss_bytes: int


def parse(text: str, *, models: int, threads: int, repeats: int) -> BenchmarkRun:
    """Check ``text`` against the schema and against what was asked for.

    Keys that this version does not know are ignored. Raises DeviceError naming the field that is missing or wrong.
    """
    try:
        document = json.loads(text)
    except ValueError:
        start = " ".join(text.split())[:80]
        raise _refuse(f"{start!r} is not JSON" if start else "its answer is empty") from None
    top = _Object(document, "")
    if top.take("schema", _count) != SCHEMA or top.take("tool", _text) != TOOL:
        raise _refuse(f"`schema` is {document['schema']!r} and `tool` {document.get('tool')!r}")
    run = BenchmarkRun(
        version=top.take("version", _text),
        abi=top.take("abi", _text),
        cpu_features=top.take("cpu_features", _features),
        threads=top.take("threads", _count),
        warmup=top.take("warmup", _count),
        repeats=top.take("repeats", _count),
        stopped=top.take("stopped", _stopped),
        models=top.items("models", _model),
        peak_rss_bytes=top.take("peak_rss_bytes", _count),
    )
    # With a stop rule there are as many as it took, the same of each model.
    samples = repeats if run.stopped == "repeats" else max((len(m.samples_ms) for m in run.models), default=0)
    for name, got, wanted in (
        ("number of `models`", len(run.models), models),
        ("`threads`", run.threads, threads),
        ("`repeats`", run.repeats, repeats),
        *((f"number of samples of {model.path}", len(model.samples_ms), samples) for model in run.models),
    ):
        if got != wanted:
            raise _refuse(f"the {name} is {got} where {wanted} was asked for")
    return run


_T = TypeVar("_T")


class _Object:
    """A JSON object at ``where`` in the answer, read field by field."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise _refuse(f"{f'`{where}`' if where else 'the answer'} is no JSON object")
        self._value, self._where = value, where

    def take(self, name: str, check: Callable[[object], _T | None]) -> _T:
        """The field ``name`` as ``check`` returns it; None from ``check`` means that it is wrong."""
        path = f"{self._where}.{name}" if self._where else name
        if name not in self._value:
            raise _refuse(f"`{path}` is missing")
        checked = check(self._value[name])
        if checked is None:
            raise _refuse(f"`{path}` is {self._value[name]!r:.60}")
        return checked

    def items(self, name: str, build: Callable[[_Object], _T]) -> tuple[_T, ...]:
        """The list ``name``, each entry an object for ``build``."""
        path = f"{self._where}.{name}" if self._where else name
        entries: list[Any] = self.take(name, lambda value: value if isinstance(value, list) else None)
        return tuple(build(_Object(entry, f"{path}[{index}]")) for index, entry in enumerate(entries))

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None


def _model(fields: _Object) -> ModelRun:
    return ModelRun(
        path=fields.take("path", _text),
        load_ms=fields.take("load_ms", _duration),
        first_ms=fields.take("first_ms", _duration),
        arena_bytes=fields.take("arena_bytes", _count),
        file_bytes=fields.take("file_bytes", _count),
        samples_ms=fields.take("samples_ms", _samples),
        output_crc32=fields.take("output_crc32", _checksum),
        ops=fields.items("ops", _op) if fields.has("ops") else (),
    )


def _op(fields: _Object) -> OpTime:
    return OpTime(
        name=fields.take("name", _text),
        kind=fields.take("kind", _text),
        kernel=fields.take("kernel", _text),
        mean_us=fields.take("mean_us", _duration),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _stopped(value: object) -> Stopped | None:
    return next((reason for reason in get_args(Stopped) if reason == value), None)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _duration(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


def _samples(value: object) -> tuple[float, ...] | None:
    """At least one duration, none of them zero: a clock that stands still measures nothing."""
    if not isinstance(value, list):
        return None
    samples = [_duration(sample) for sample in value]
    return tuple(s for s in samples if s) if samples and all(samples) else None


def _features(value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return " ".join(value)
    return _text(value)


def _checksum(value: object) -> str | None:
    """CRC-32 as eight hexadecimal digits, from a number or from such digits."""
    number = _count(value)
    if number is None and isinstance(value, str):
        try:
            number = int(value, 16)
        except ValueError:
            return None
    return f"{number:08x}" if number is not None and 0 <= number < 1 << 32 else None


def _refuse(problem: str) -> DeviceError:
    return DeviceError(
        f"{TOOL} answered with something else than a result: {problem}",
        rule=f"it writes JSON of schema {SCHEMA}",
        fix="run `make runtime` so that it is of this version; if that does not help, report a bug",
    )
