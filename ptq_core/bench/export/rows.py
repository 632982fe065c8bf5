"""The report as one flat table: a row per device, case and model, the same for CSV and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ptq_core.bench.report import BenchReport, CaseResult, DeviceReport, ModelResult
from ptq_core.pages.csv_text import csv_text


@dataclass(frozen=True)
class Column:
    """A column's name, with its unit, and where its value is found; None is an empty cell."""

    name: str
    value: Callable[[DeviceReport, CaseResult, ModelResult], Any]


def _statistic(name: str) -> Column:
    return Column(name, lambda device, case, model: getattr(model.latency, name))


def _of_model(name: str) -> Column:
    return Column(name, lambda device, case, model: getattr(model, name))


def _of_case(name: str) -> Column:
    return Column(name, lambda device, case, model: getattr(case, name))


COLUMNS = (
    Column("device", lambda device, case, model: device.device),
    Column("device_model", lambda device, case, model: device.context and device.context.model),
    Column("cpu_model", lambda device, case, model: device.context and device.context.cpu_model),
    _of_case("threads"),
    _of_case("power_mode"),
    _of_model("precision"),
    _of_model("name"),
    *map(_statistic, ("median_ms", "min_ms", "max_ms", "mean_ms", "p90_ms", "p99_ms", "std_ms", "mad_ms")),
    *map(_statistic, ("count", "outliers")),
    Column("drift_change", lambda device, case, model: model.latency.drift and model.latency.drift.change),
    Column("drift_p_value", lambda device, case, model: model.latency.drift and model.latency.drift.p_value),
    *map(_of_model, ("load_ms", "first_ms", "file_bytes", "arena_bytes", "peak_rss_bytes")),
    *map(_of_model, ("outputs", "output_crc32")),
    Column("speed_up", lambda device, case, model: case.speed_up and case.speed_up.ratio),
    Column("speed_up_low", lambda device, case, model: case.speed_up and case.speed_up.low),
    Column("speed_up_high", lambda device, case, model: case.speed_up and case.speed_up.high),
    *map(_of_case, ("stopped", "cpu_features", "abi", "runtime_version")),
)


def rows(report: BenchReport) -> Iterator[tuple[Any, ...]]:
    """A row of values per device, case and model, in the order of COLUMNS."""
    for device in report.devices:
        for case in device.cases:
            for model in case.models:
                yield tuple(column.value(device, case, model) for column in COLUMNS)


def to_csv(report: BenchReport) -> str:
    """The table as CSV: a header, then the rows, numbers in full."""
    return csv_text([column.name for column in COLUMNS], rows(report))
