"""Reports made by hand: what the comparison, the tables and the page are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ptq_core.bench.advice import advise
from ptq_core.bench.context import Battery, Cluster, DeviceContext, Facts, MachineState, device_context
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.report import (
    BenchReport,
    CaseResult,
    DeviceReport,
    ModelResult,
    Precision,
    Settings,
    to_json,
)
from ptq_core.bench.statistics import speed_up, summarize

PHONE: DeviceContext = replace(
    device_context(Facts(), abi="arm64-v8a", cores=8),
    model="Pixel 7",
    manufacturer="Google",
    soc="GS201",
    android_version="14",
    clusters=(
        Cluster((0, 1, 2, 3), 1803.0, 250, "sched_pixel"),
        Cluster((4, 5), 2348.0, 760, "sched_pixel"),
        Cluster((6, 7), 2850.0, 1024, "sched_pixel"),
    ),
    kernel="5.10.157",
    load_average=1.2,
    battery=Battery(80, False, 31.0),
    airplane_mode=True,
    screen_on=False,
)
STATE = MachineState((1803.0, 2348.0, 2850.0), {"battery": 31.0})
FP32 = (4.0, 4.1, 4.2, 4.1, 4.0, 4.2, 4.1, 4.0, 4.2, 4.1)
INT8 = tuple(ms / 2 for ms in FP32)


def model(precision: Precision, samples_ms: Sequence[float], **changes: Any) -> ModelResult:
    good = ModelResult(
        precision=precision,
        name=f"net_{precision}.nb",
        path=f"out/net_{precision}.nb",
        file_bytes={"fp32": 4_000_000, "int8": 1_000_000}[precision],
        arena_bytes=500_000,
        load_ms=1.5,
        first_ms=1.5 * samples_ms[0],
        output_crc32="0badcafe",
        peak_rss_bytes={"fp32": 12_000_000, "int8": 6_000_000}[precision],
        outputs="identical",
        latency=summarize(samples_ms),
        samples_ms=tuple(samples_ms),
        ops=(),
        model_sha256={"fp32": "f", "int8": "8"}[precision] * 64,
        inputs=("x 1x3x224x224",),
    )
    return replace(good, **changes)


def case(
    fp32: Sequence[float] = FP32,
    int8: Sequence[float] = INT8,
    *,
    ops: tuple[tuple[OpTime, ...], tuple[OpTime, ...]] = ((), ()),
    **changes: Any,
) -> CaseResult:
    good = CaseResult(
        threads=1,
        power_mode="big",
        cpus=(6, 7),
        before=STATE,
        after=STATE,
        stopped="repeats",
        runtime_version="0.1.0",
        abi="arm64-v8a",
        cpu_features="scalar neon dotprod",
        peak_rss_bytes=20_000_000,
        models=(model("fp32", fp32, ops=ops[0]), model("int8", int8, ops=ops[1])),
        speed_up=speed_up(fp32, int8),
    )
    return replace(good, **changes)


def device(
    name: str = "R58M", *cases: CaseResult, context: DeviceContext = PHONE, emulated: bool = False
) -> DeviceReport:
    return DeviceReport(name, context, cases, advise(context, cases, emulated=emulated), None)


def report(*devices: DeviceReport, **settings: Any) -> BenchReport:
    shown = Settings(
        warmup=10, repeats=10, stop=None, cool_down_s=0.0, power_mode="big", threads=(1,), profile=False
    )
    return BenchReport("2026-11-28T01:00:00+00:00", 12.5, replace(shown, **settings), devices, {})


def save(path: Path, saved: BenchReport) -> Path:
    path.write_text(to_json(saved), encoding="utf-8")
    return path


def rich_report() -> BenchReport:
    """Two devices, three cases, one with drift, outliers and a profile: what the page looks like in life."""
    generator = np.random.default_rng(4)

    def series(median_ms: float, spread: float, drift: float = 0.0, slow: int = 0) -> list[float]:
        values = median_ms * generator.lognormal(0, spread, 50) * np.linspace(1, 1 + drift, 50)
        values[generator.choice(50, slow, replace=False)] *= 1.6
        return [round(float(value), 4) for value in values]

    kinds = ("conv2d", "depthwise_conv2d")
    layers = [(f"features.{n // 2}.{n % 2}/Conv", kinds[n % 2]) for n in range(26)]
    fp32_us = generator.uniform(150, 900, 26)
    int8_us = fp32_us / generator.uniform(1.9, 3.2, 26)
    int8_us[5] = 0.93 * fp32_us[5]
    profiled = tuple(
        tuple(OpTime(name, kind, "kernel", float(us)) for (name, kind), us in zip(layers, times, strict=True))
        + tail
        for times, tail in (
            (fp32_us, (OpTime("softmax", "softmax", "kernel", 11.0),)),
            (int8_us, (OpTime("input/Quantize", "quantize", "kernel", 61.0),)),
        )
    )
    one = case(series(24.6, 0.012, slow=2), series(10.9, 0.015, slow=3), ops=(profiled[0], profiled[1]))
    two = case(
        series(13.8, 0.02),
        series(6.6, 0.02, drift=0.09),
        threads=2,
        after=MachineState((1803.0, 2348.0, 2401.0), {"battery": 36.0, "cpu-1-7": 78.0}),
    )
    old = replace(
        PHONE,
        model="Redmi 7A",
        manufacturer="Xiaomi",
        soc="SDM439",
        clusters=(
            Cluster((0, 1, 2, 3), 1459.0, 400, "powersave"),
            Cluster((4, 5, 6, 7), 2016.0, 1024, "powersave"),
        ),
        battery=Battery(57, True, 33.0),
        airplane_mode=False,
    )
    slow = case(
        series(171.0, 0.03),
        series(139.0, 0.04, slow=1),
        cpu_features="scalar neon",
        cpus=(4, 5, 6, 7),
        before=MachineState((1459.0, 2016.0), {}),
        after=MachineState((1459.0, 2016.0), {}),
    )
    return report(
        device("2A091FDH2002", one, two), device("9c3f77d0", slow, context=old), repeats=50, profile=True
    )
