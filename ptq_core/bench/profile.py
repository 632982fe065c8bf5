"""Operators of both models side by side, joined by piece of the network, and what eats the gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptq_core.bench.pieces import Key, piece_keys
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.report import CaseResult, Precision

MIN_LOSS_SHARE = 0.03
"""Share of the INT8 model's time that one operator must lose before it is named: less is within the noise of a profile."""


@dataclass(frozen=True)
class OpPair:
    """A piece of the network: the operators that compute it in each file, in execution order; none where a file has none."""

    fp32: tuple[OpTime, ...]
    int8: tuple[OpTime, ...]

    @property
    def name(self) -> str:
        """Of its last operator, in the INT8 model if it has one."""
        return (self.int8 or self.fp32)[-1].name

    @property
    def kind(self) -> str:
        """The operators' kinds: `conv2d`, or where the models differ `conv2d_add → conv2d + add`."""
        said = [" + ".join(op.kind for op in ops) for ops in (self.fp32, self.int8) if ops]
        return " → ".join(dict.fromkeys(said))

    @property
    def fp32_us(self) -> float | None:
        """Mean time in microseconds in the FP32 model; None if it has no such operator."""
        return self.time_us("fp32")

    @property
    def int8_us(self) -> float | None:
        """... in the INT8 model."""
        return self.time_us("int8")

    def ops(self, precision: Precision) -> tuple[OpTime, ...]:
        """Its operators in the model of that precision."""
        return self.fp32 if precision == "fp32" else self.int8

    def time_us(self, precision: Precision) -> float | None:
        """Their time in microseconds; None if there are none."""
        ops = self.ops(precision)
        return sum(op.mean_us for op in ops) if ops else None

    def parts(self) -> tuple[OpPair, ...]:
        """Each operator of a piece that has several in a model, by itself; empty of others."""
        if max(len(self.fp32), len(self.int8)) < 2:
            return ()
        return (*(OpPair((op,), ()) for op in self.fp32), *(OpPair((), (op,)) for op in self.int8))


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
    """The pieces of the case's network (see `pieces`), every operator in one of them.

    They are in the order in which INT8 runs them, then those of FP32 alone; empty without a profile.
    """
    fp32, int8 = (model.ops if model else () for model in (case.model("fp32"), case.model("int8")))
    keys = piece_keys(fp32, int8)
    ops: dict[Key, tuple[list[OpTime], list[OpTime]]] = {}
    for index, side in ((1, int8), (0, fp32)):
        for key, op in zip(keys[index], side, strict=True):
            ops.setdefault(key, ([], []))[index].append(op)
    return tuple(OpPair(tuple(mine), tuple(other)) for mine, other in ops.values())


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
