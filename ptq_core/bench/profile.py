"""Operators of both models side by side, joined by name, and the one that eats the gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptq_core.bench.report import CaseResult, Precision

MIN_LOSS_SHARE = 0.03
"""Share of the INT8 model's time that one operator must lose before it is named: less is within the noise of a profile."""


@dataclass(frozen=True)
class OpPair:
    """An operator's mean time in microseconds in each model; None where a model has no operator of that name."""

    name: str
    kind: str
    fp32_us: float | None
    int8_us: float | None

    def time_us(self, precision: Precision) -> float | None:
        """The operator's time in the model of that precision."""
        return self.fp32_us if precision == "fp32" else self.int8_us


@dataclass(frozen=True)
class GainEater:
    """The operator that costs the INT8 model most of its gain.

    `loss_us` is its INT8 time above what it would take if it had gained as the model did: int8 − fp32 · (Σ int8 / Σ fp32).
    `share` is its share of the INT8 model's time, `model_ratio` Σ fp32 / Σ int8.
    """

    op: OpPair
    loss_us: float
    share: float
    model_ratio: float

    def sentence(self) -> str:
        """What eats the gain, in one sentence."""
        fp32, int8 = self.op.fp32_us, self.op.int8_us or 0.0
        start = f"{self.op.name} ({self.op.kind}) eats the gain: {self.share:.0%} of the INT8 time"
        whole = f"the model as a whole {_gain(self.model_ratio)}"
        if not fp32 or not int8:
            return f"{start}, and FP32 has no such operator; {whole}"
        return f"{start}; it {_gain(fp32 / int8)} ({fp32:.1f} → {int8:.1f} us), {whole}"


def op_pairs(case: CaseResult) -> tuple[OpPair, ...]:
    """The operators of the case in the order in which INT8 runs them, then those of FP32 alone; empty without a profile."""
    fp32, int8 = case.model("fp32"), case.model("int8")
    times = [{op.name: op for op in model.ops} if model else {} for model in (fp32, int8)]
    names = dict.fromkeys(op.name for model in reversed(case.models) for op in model.ops)
    return tuple(
        OpPair(
            name,
            next(ops[name].kind for ops in reversed(times) if name in ops),
            *(ops[name].mean_us if name in ops else None for ops in times),
        )
        for name in names
    )


def gain_eater(pairs: Sequence[OpPair]) -> GainEater | None:
    """The operator with the largest loss; None without both models, or if no loss reaches MIN_LOSS_SHARE."""
    fp32, int8 = (
        sum(us or 0.0 for us in series) for series in ((p.fp32_us for p in pairs), (p.int8_us for p in pairs))
    )
    if fp32 == 0 or int8 == 0:
        return None
    ratio = fp32 / int8
    losses = [(pair.int8_us or 0.0) - (pair.fp32_us or 0.0) / ratio for pair in pairs]
    loss, op = max(zip(losses, pairs, strict=True), key=lambda item: item[0])
    if loss < MIN_LOSS_SHARE * int8:
        return None
    return GainEater(op, loss, (op.int8_us or 0.0) / int8, ratio)


def _gain(ratio: float) -> str:
    return f"is {ratio:.2f}x faster" if ratio >= 1 else f"is {1 / ratio:.2f}x slower"
