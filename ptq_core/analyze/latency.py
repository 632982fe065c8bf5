"""Each operator's share of the latency, from what `ptq bench --profile --json` saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from ptq_core.bench.compare import load_report
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.report import BenchReport
from ptq_core.errors import InputError


def latency_shares(path: Path, names: Iterable[Iterable[str]]) -> list[float | None]:
    """For each group of node names their share in [0, 1] of the profiled model's time; None where it has none of them.

    The INT8 model of the first case that has a profile, else the FP32 model. What is fused is found under one of its names.
    Raises InputError for a file without a profile, and for one of another model.
    """
    times: dict[str, float] = defaultdict(float)
    for op in _profile(path, load_report(path)):
        times[op.name] += op.mean_us
    total = sum(times.values())
    shares = [_share(group, times, total) for group in names]
    if total == 0 or all(share is None for share in shares):
        raise InputError(
            f"{path} profiles another model: none of its operators is one of this model",
            rule="`profile=` is a profile of this model, INT8 or FP32",
            fix="profile the model that `ptq quantize` made of it",
        )
    return shares


def _profile(path: Path, report: BenchReport) -> tuple[OpTime, ...]:
    cases = [case for device in report.devices for case in device.cases]
    for precision in ("int8", "fp32"):
        for case in cases:
            for model in case.models:
                if model.precision == precision and model.ops:
                    return model.ops
    raise InputError(
        f"{path} holds no times of operators",
        rule="`profile=` is a report of `ptq bench` with its switch for profiles",
        fix="ptq bench --profile --json FILE",
    )


def _share(names: Iterable[str], times: Mapping[str, float], total: float) -> float | None:
    found = [times[name] for name in dict.fromkeys(names) if name in times]
    return sum(found) / total if found and total else None
