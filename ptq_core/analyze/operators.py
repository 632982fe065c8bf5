"""The row of every int8 operator: its own errors, what it does at the model's outputs, its share of the work, its rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ptq_core.analyze.outputs import OutputNoise
from ptq_core.analyze.ranges import range_error, weights_db
from ptq_core.analyze.report import InputRange, Operator
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.numerics.metrics import Noise
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.selection import Unit


def operator_rows(
    plan: QuantizationPlan,
    statistics: Mapping[str, TensorStatistics],
    base: OutputNoise,
    inside: Mapping[str, Noise],
    pairs: Sequence[tuple[OutputNoise, OutputNoise]],
    counts: Mapping[str, int | None],
    latency: Sequence[float | None],
) -> tuple[Operator, ...]:
    """Rows in graph order. ``pairs``: for each of the plan's units the outputs' noise alone in int8, and alone in float.

    ``inside`` is the noise of values in the model of ``base``; ``counts`` the MACs of all nodes,
    ``latency`` the units' shares of the time. Ranks are by the noise that
    an operator adds where it alone is int8: what is won where it alone is float says little while others spoil the output.
    """
    total = sum(count or 0 for count in counts.values())
    order = sorted(range(len(pairs)), key=lambda index: -pairs[index][0].worst_ratio)
    rank = {index: place for place, index in enumerate(order, start=1)}
    rows = []
    for index, (unit, (alone, without)) in enumerate(zip(plan.selection.units, pairs, strict=True)):
        name = str(unit.node.name)
        weights, own = plan.weights.get(name), counts[name]
        rows.append(
            Operator(
                index=index,
                name=name,
                op_type=unit.node.op_type,
                weights_db=None if weights is None else weights_db(unit.node, weights),
                inputs=_inputs(unit, plan.params, statistics),
                output_db=inside[str(unit.output.name)].sqnr_db,
                alone_db=alone.worst_db,
                without_db=without.worst_db,
                gain_db=_gain(base.worst_db, without.worst_db),
                macs_share=own / total if own is not None and total else None,
                latency_share=latency[index],
                rank=rank[index],
            )
        )
    return tuple(rows)


def _gain(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    return 0.0 if before == after or math.isnan(after - before) else after - before


def _inputs(
    unit: Unit, params: Mapping[ir.Value, ActivationParams], statistics: Mapping[str, TensorStatistics]
) -> tuple[InputRange, ...]:
    rows = []
    for value in dict.fromkeys(unit.inputs):
        param, known = params.get(value), statistics.get(str(value.name))
        if param is None:  # weight_only
            continue
        error = None if known is None else range_error(known, param)
        figures = (None,) * 3 if error is None else (error.clipped_share, error.rounding_db, error.total_db)
        rows.append(InputRange(str(value.name), param.low, param.high, *figures))
    return tuple(rows)
