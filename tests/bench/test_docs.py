"""docs/bench.md names what there is: every warning, every field of the JSON."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from ptq_core.bench.advice import ADVICE
from ptq_core.bench.context import Battery, Cluster, DeviceContext, MachineState
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.report import (
    Advice,
    BenchReport,
    CaseResult,
    DeviceReport,
    ModelResult,
    Settings,
    StopRule,
)
from ptq_core.bench.statistics import Drift, Latency, Ratio

PAGE = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")


def test_the_table_of_warnings_is_the_closed_list() -> None:
    section = PAGE.split("\n## Warnings\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ADVICE)


@pytest.mark.parametrize(
    "record",
    [
        BenchReport,
        Settings,
        StopRule,
        DeviceReport,
        DeviceContext,
        Cluster,
        Battery,
        CaseResult,
        MachineState,
        ModelResult,
        OpTime,
        Latency,
        Drift,
        Ratio,
        Advice,
    ],
)
def test_every_field_of_the_json_is_named(record: type) -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {field.name for field in fields(record)} <= named
