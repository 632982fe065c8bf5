"""Two saved reports side by side: what became slower, and whether by more than is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ptq_core.bench.report import SCHEMA, BenchReport, CaseResult, DeviceReport, ModelResult, threads_words
from ptq_core.bench.saved import load_record
from ptq_core.bench.statistics import Ratio, ratio_of_medians
from ptq_core.errors import InputError

Verdict = Literal["regression", "slower", "unclear", "same", "faster"]
"""regression: the ratio is above the limit and its interval above 1. slower, faster: the interval lies above, below 1.
unclear: it holds 1, and the limit too: the samples vary more than the limit allows. same: it holds 1, not the limit."""

CONTEXT_FIELDS = ("cpu_model", "soc", "model", "android_version", "abi", "cores", "kernel", "ptq_version")
CASE_FIELDS = ("runtime_version", "cpu_features", "cpus")
MODEL_FIELDS = ("file_bytes", "output_crc32")
"""What is named where it differs between two reports, beside the settings."""


class Key(NamedTuple):
    """What makes two measurements comparable."""

    device: str
    model: str
    precision: str
    threads: int
    power_mode: str

    def __str__(self) -> str:
        return f"{self.model} on {self.device}, {threads_words(self.threads)}, power mode {self.power_mode}"


@dataclass(frozen=True)
class ComparedCase:
    """One model in both reports: medians, and `ratio`, new / old (above 1: slower now)."""

    key: Key
    old_ms: float
    new_ms: float
    ratio: Ratio
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """`differences` says in sentences what else is not the same; `fail_above` is the limit, None without one."""

    cases: tuple[ComparedCase, ...]
    differences: tuple[str, ...]
    fail_above: float | None

    def of(self, verdict: Verdict) -> tuple[ComparedCase, ...]:
        """The cases with that verdict."""
        return tuple(case for case in self.cases if case.verdict == verdict)


def load_report(path: Path) -> BenchReport:
    """The report that `ptq bench --json` wrote to ``path``. Raises InputError."""
    report = load_record(BenchReport, path, schema=SCHEMA, written_by="`ptq bench --json`")
    for key, (_, model) in _measured(report).items():
        if not model.samples_ms or min(model.samples_ms) <= 0:
            raise InputError(
                f"{path}: {key}: no samples, or one of 0 ms",
                rule="latencies are positive",
                fix="measure again",
            )
    return report


def compare(old_path: Path, new_path: Path, fail_above: float | None = None) -> Comparison:
    """Each device, model and number of threads that both reports have, by the ratio of its medians.

    A case is a regression if its ratio exceeds ``fail_above`` and the interval of the ratio (bootstrap of the kept
    samples, each run by itself) lies above 1. Raises InputError for files that cannot be compared.
    """
    if fail_above is not None and not 1 <= fail_above < float("inf"):
        raise InputError(
            f"`fail_above={fail_above:g}`",
            rule="the limit is a ratio new / old of at least 1",
            fix="for example 1.05, which allows 5 % more time",
        )
    old, new = load_report(old_path), load_report(new_path)
    before, after = _measured(old), _measured(new)
    common = [key for key in before if key in after]
    if not common:
        raise InputError(
            f"{old_path} and {new_path} have no measurement in common:"
            f" the first has {_list(before)}; the second has {_list(after)}",
            rule="device, model file, number of threads and power mode must be the same",
            fix="measure the same models on the same device with the same flags",
        )
    cases = tuple(_compared(key, before[key][1], after[key][1], fail_above) for key in common)
    names = str(old_path), str(new_path)
    missing = (
        f"only in {name}: {key}"
        for name, mine, other in ((names[0], before, after), (names[1], after, before))
        for key in mine
        if key not in other
    )
    return Comparison(cases, (*missing, *_differences(old, new)), fail_above)


def _measured(report: BenchReport) -> dict[Key, tuple[CaseResult, ModelResult]]:
    return {
        Key(device.device, model.name, model.precision, case.threads, case.power_mode): (case, model)
        for device in report.devices
        for case in device.cases
        for model in case.models
    }


def _compared(key: Key, old: ModelResult, new: ModelResult, fail_above: float | None) -> ComparedCase:
    ratio = ratio_of_medians(new.samples_ms, old.samples_ms, paired=False)
    verdict: Verdict = "slower" if ratio.low > 1 else "faster" if ratio.high < 1 else "same"
    if fail_above is not None:
        if verdict == "slower" and ratio.ratio > fail_above:
            verdict = "regression"
        elif verdict == "same" and ratio.high > fail_above:
            verdict = "unclear"
    return ComparedCase(key, old.latency.median_ms, new.latency.median_ms, ratio, verdict)


def _differences(old: BenchReport, new: BenchReport) -> Iterator[str]:
    """What differs beside the latencies: settings, machines, runtimes, models and their outputs."""
    # `threads` shows in the cases themselves
    names = [field.name for field in fields(old.settings) if field.name != "threads"]
    yield from _changed("", old.settings, new.settings, names)
    devices = {device.device: device for device in new.devices}
    for before in old.devices:
        after = devices.get(before.device)
        if after is not None:
            yield from _device_differences(before, after)
    earlier, later = _measured(old), _measured(new)
    for key, (case, model) in earlier.items():
        if key in later:
            yield from _changed(f"{key}: ", case, later[key][0], CASE_FIELDS)
            yield from _changed(f"{key}: ", model, later[key][1], MODEL_FIELDS)


def _device_differences(old: DeviceReport, new: DeviceReport) -> Iterator[str]:
    for report in (old, new):
        if report.error is not None:
            yield f"{report.device} ended early: {report.error}"
    if old.context is None or new.context is None:
        return
    yield from _changed(f"{old.device}: ", old.context, new.context, CONTEXT_FIELDS)
    governors = [
        ", ".join(c.governor or "?" for c in context.clusters) for context in (old.context, new.context)
    ]
    if governors[0] != governors[1]:
        yield f"{old.device}: governor {governors[0]} → {governors[1]}"


def _changed(start: str, old: object, new: object, names: tuple[str, ...] | list[str]) -> Iterator[str]:
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"{start}{name} {_words(before)} → {_words(after)}"


def _words(value: object) -> str:
    if is_dataclass(value):
        return ", ".join(f"{field.name} {getattr(value, field.name)}" for field in fields(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "any"
    return "none" if value is None else str(value)


def _list(measured: dict[Key, tuple[CaseResult, ModelResult]]) -> str:
    """The first few of them in words."""
    shown = "; ".join(map(str, list(measured)[:3])) or "no finished case"
    return shown if len(measured) <= 3 else f"{shown}; and {len(measured) - 3} more"
