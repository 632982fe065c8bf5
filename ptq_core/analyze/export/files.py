"""JSON and CSV of an analysis, and which files were asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ptq_core.analyze.export.html import page
from ptq_core.analyze.report import Analysis, Operator
from ptq_core.files import check_outputs as check_files
from ptq_core.files import write_text
from ptq_core.pages.csv_text import csv_text

SCHEMA = 1


def to_json(report: Analysis) -> str:
    """The records under their names. A dB that is no number is `exact` (nothing differs) or `lost` (there is no signal)."""
    document = {"schema": SCHEMA, "tool": "ptq analyze", **asdict(report)}
    return json.dumps(_plain(document), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return "exact" if value > 0 else "lost"
    return value


COLUMNS: Mapping[str, Callable[[Operator], Any]] = {
    "index": lambda each: each.index,
    "rank": lambda each: each.rank,
    "name": lambda each: each.name,
    "op_type": lambda each: each.op_type,
    "weights_db": lambda each: each.weights_db,
    "input": lambda each: each.worst_input and each.worst_input.name,
    "input_low": lambda each: each.worst_input and each.worst_input.low,
    "input_high": lambda each: each.worst_input and each.worst_input.high,
    "input_clipped_share": lambda each: each.worst_input and each.worst_input.clipped_share,
    "input_rounding_db": lambda each: each.worst_input and each.worst_input.rounding_db,
    "input_db": lambda each: each.worst_input and each.worst_input.total_db,
    "output_db": lambda each: each.output_db,
    "alone_int8_db": lambda each: each.alone_db,
    "alone_float_db": lambda each: each.without_db,
    "alone_float_gain_db": lambda each: each.gain_db,
    "macs_share": lambda each: each.macs_share,
    "latency_share": lambda each: each.latency_share,
}
"""Columns of the CSV: a row per operator, in graph order. The input is the one that is hurt most."""


def to_csv(report: Analysis) -> str:
    """The table of operators."""
    return csv_text(
        list(COLUMNS),
        ([_plain(value(each)) for value in COLUMNS.values()] for each in report.operators),
    )


FORMATS: Mapping[str, Callable[[Analysis], str]] = {"JSON": to_json, "CSV": to_csv, "HTML": page}


def check_outputs(paths: Mapping[str, Path | None]) -> dict[str, Path]:
    """Format → file of what was asked for, all known to be writable, each another. Raises InputError."""
    check_files(paths.values())
    return {name: path for name, path in paths.items() if path is not None}


def write(report: Analysis, paths: Mapping[str, Path]) -> None:
    """Write every file, each complete or not at all."""
    for name, path in paths.items():
        write_text(path, FORMATS[name](report))
