"""Plain records that the pipelines return; units are in the names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class QuantizeReport:
    """What `quantize` did: where the model lies, what was quantized, what was not and why."""

    model_path: Path
    report_path: Path
    size_fp32_bytes: int
    size_int8_bytes: int
    quantized_ops: int
    float_ops: int
    pictures: int
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class OptimizeReport:
    """What `opt` wrote."""

    path: Path
    size_bytes: int
    arena_bytes: int
    op_count: int
    int8_op_count: int
    seconds: float


@dataclass(frozen=True)
class AccuracyReport:
    """Classification accuracy on a labelled list; top1 and top5 are shares of count in [0, 1]."""

    model: str
    top1: float
    top5: float
    count: int
    seconds: float
