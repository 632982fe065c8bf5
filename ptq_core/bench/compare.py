"""Two saved reports side by side: what became slower, and whether by more than is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ptq_core.bench.report import SCHEMA, BenchReport, CaseResult, DeviceReport, ModelResult, threads_words
from ptq_core.bench.saved import load_record
from ptq_core.bench.statistics import Ratio, ratio_of_medians
from ptq_core.errors import InputError
from ptq_core.printable import printable_json

Verdict = Literal["regression", "slower", "unclear", "same", "faster"]
"""regression: the ratio is above the limit and its interval above 1. slower, faster: the interval lies above, below 1.
unclear: it holds 1, and the limit too: the samples vary more than the limit allows. same: it holds 1, not the limit."""

CONTEXT_FIELDS = ("cpu_model", "soc", "model", "android_version", "abi", "cores", "kernel", "ptq_version")
CASE_FIELDS = ("runtime_version", "cpu_features", "cpus")
MODEL_FIELDS = ("name", "file_bytes", "output_crc32")
"""What is named where it differs between two reports, beside the settings."""


@dataclass(frozen=True)
class Key:
    """What makes two measurements of one model comparable: all but the name of its file."""

    device: str
    model: str = field(compare=False)
    precision: str
    threads: int
    power_mode: str

    def __str__(self) -> str:
        return f"{self.model} on {self.device}, {threads_words(self.threads)}, power mode {self.power_mode}"


class Measured(NamedTuple):
    """A model's measurement in a report."""

    device: DeviceReport
    case: CaseResult
    model: ModelResult


@dataclass(frozen=True)
class ComparedCase:
    """One model in both reports: medians, and `ratio`, new / old (above 1: slower now).

    `busy` names the runs, old and new, before which other work ran on the device.
    """

    key: Key
    old_ms: float
    new_ms: float
    ratio: Ratio
    verdict: Verdict
    busy: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """`differences` says in sentences what else is not the same; `fail_above` is the limit, None without one."""

    cases: tuple[ComparedCase, ...]
    differences: tuple[str, ...]
    fail_above: float | None

    def of(self, verdict: Verdict) -> tuple[ComparedCase, ...]:
        """The cases with that verdict."""
        return tuple(case for case in self.cases if case.verdict == verdict)


COMPARISON_SCHEMA = 1


def to_json(comparison: Comparison) -> str:
    """The comparison as JSON text, described by schemas/compare.schema.json."""
    document = {"schema": COMPARISON_SCHEMA, "tool": "ptq bench", "what": "comparison", **asdict(comparison)}
    return printable_json(document, indent=1) + "\n"


def load_report(path: Path) -> BenchReport:
    """The report that `ptq bench --json` wrote to ``path``. Raises InputError."""
    report = load_record(BenchReport, path, schema=SCHEMA, written_by="`ptq bench --json`")
    for key, (_, _, model) in _measured(report).items():
        if not model.samples_ms or min(model.samples_ms) <= 0:
            raise InputError(
                f"{path}: {key}: no samples, or one of 0 ms",
                rule="latencies are positive",
                fix="measure again",
            )
        if any(not 0 <= source < at for at, op in enumerate(model.ops) for source in op.after):
            raise InputError(
                f"{path}: {key}: an operator's `after` names one that is not before it",
                rule="operators are in the order in which they run",
                fix="measure again",
            )
    return report


def compare(old_path: Path, new_path: Path, fail_above: float | None = None) -> Comparison:
    """Each device, model and number of threads that both reports have, by the ratio of its medians.

    A model is told by its `model_sha256` and `inputs`, and by the name of its file only where a report has none of them.
    A case is a regression if its ratio exceeds ``fail_above`` and the interval of the ratio (bootstrap of the kept
    samples, each run by itself) lies above 1. Raises InputError for files that cannot be compared.
    """
    if fail_above is not None and not 1 <= fail_above < float("inf"):
        raise InputError(
            f"`fail_above={fail_above:g}`",
            rule="the limit is a ratio new / old of at least 1",
            fix="for example 1.05, which allows 5 % more time",
        )
    reports = load_report(old_path), load_report(new_path)
    names = str(old_path), str(new_path)
    before, after = map(_measured, reports)
    both = {key: (before[key], after[key]) for key in before if key in after}
    common = {key: pair for key, pair in both.items() if _same_model(*pair)}
    others = [_two_models(key, *pair) for key, pair in both.items() if key not in common]
    if not common:
        raise InputError(
            f"{old_path} and {new_path} have no measurement in common:"
            f" {_first(others) if others else f'the first has {_first(before)}; the second has {_first(after)}'}",
            rule="model, device, number of threads and power mode must be the same",
            fix="measure the same models on the same device with the same flags",
        )
    missing = (
        f"only in {name}: {key}"
        for name, mine, other in ((names[0], before, after), (names[1], after, before))
        for key in mine
        if key not in other
    )
    by_name = [
        f"{name} does not say which models it measured: they are told by the names of their files"
        for name, measured in zip(names, zip(*common.values(), strict=True), strict=True)
        if any(each.model.model_sha256 is None for each in measured)
    ]
    return Comparison(
        tuple(_compared(key, *pair, fail_above) for key, pair in common.items()),
        (*others, *missing, *by_name, *_differences(*reports, common)),
        fail_above,
    )


def _measured(report: BenchReport) -> dict[Key, Measured]:
    return {
        Key(device.device, model.name, model.precision, case.threads, case.power_mode): Measured(
            device, case, model
        )
        for device in report.devices
        for case in device.cases
        for model in case.models
    }


def _same_model(old: Measured, new: Measured) -> bool:
    """By what is in them (one ONNX file can be optimized for several shapes); by name where a report does not say that."""
    if old.model.model_sha256 is None or new.model.model_sha256 is None:
        return old.model.name == new.model.name
    return (old.model.model_sha256, old.model.inputs) == (new.model.model_sha256, new.model.inputs)


def _two_models(key: Key, old: Measured, new: Measured) -> str:
    """Why they are not compared."""
    said = (
        " ".join(
            [
                each.name,
                "of unknown content" if each.model_sha256 is None else f"of {each.model_sha256:.12}",
                *each.inputs,
            ]
        )
        for each in (old.model, new.model)
    )
    return f"{key}: two different models, not compared: {' and '.join(said)}"


def _compared(key: Key, old: Measured, new: Measured, fail_above: float | None) -> ComparedCase:
    ratio = ratio_of_medians(new.model.samples_ms, old.model.samples_ms, paired=False)
    verdict: Verdict = "slower" if ratio.low > 1 else "faster" if ratio.high < 1 else "same"
    if fail_above is not None:
        if verdict == "slower" and ratio.ratio > fail_above:
            verdict = "regression"
        elif verdict == "same" and ratio.high > fail_above:
            verdict = "unclear"
    busy = tuple(run for run, each in (("old", old), ("new", new)) if each.device.was_busy)
    medians = old.model.latency.median_ms, new.model.latency.median_ms
    return ComparedCase(key, *medians, ratio, verdict, busy)


def _differences(
    old: BenchReport, new: BenchReport, common: Mapping[Key, tuple[Measured, Measured]]
) -> Iterator[str]:
    """What differs beside the latencies: settings, machines, runtimes, models and their outputs."""
    # `threads` shows in the cases themselves
    names = [each.name for each in fields(old.settings) if each.name != "threads"]
    yield from _changed("", old.settings, new.settings, names)
    devices = {device.device: device for device in new.devices}
    for before in old.devices:
        after = devices.get(before.device)
        if after is not None:
            yield from _device_differences(before, after)
    for key, (earlier, later) in common.items():
        yield from _changed(f"{key}: ", earlier.case, later.case, CASE_FIELDS)
        yield from _changed(f"{key}: ", earlier.model, later.model, MODEL_FIELDS)


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
        return ", ".join(f"{each.name} {getattr(value, each.name)}" for each in fields(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "any"
    return "none" if value is None else str(value)


def _first(entries: Iterable[object]) -> str:
    """The first few of them in words."""
    words = list(map(str, entries))
    shown = "; ".join(words[:3]) or "no finished case"
    return shown if len(words) <= 3 else f"{shown}; and {len(words) - 3} more"
