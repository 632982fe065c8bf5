"""The plans that an analysis compares: all of the configuration, without some operators, and of one operator alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import onnx_ir as ir

from ptq_core.analyze.rounding import Rounding, rounding_of
from ptq_core.config import QuantizeConfig
from ptq_core.graph import io
from ptq_core.quantize.insertion import insert_qdq
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.planning import Prepared, Ranges, make_plan, refine
from ptq_core.quantize.selection import Selection, Unit, judge, select
from ptq_core.quantize.weights import QuantizedWeights

LEFT_OUT = "left in float by the analysis"


class Variants:
    """Plans of one prepared model from one calibration, as `ptq quantize` would make them."""

    def __init__(self, prepared: Prepared, ranges: Ranges, config: QuantizeConfig) -> None:
        self.prepared, self._ranges, self._config = prepared, ranges, config
        self._judged = judge(prepared.model, config)
        plan = make_plan(prepared.model, prepared.selection, ranges, config)
        self.full = refine(plan, config, None)
        """The plan of the configuration itself, refined."""

    def without(self, nodes: Iterable[str]) -> Rounding:
        """What is rounded where ``nodes`` are skipped too: scales as they then are, refined weights as in the full plan."""
        return rounding_of(self._plan(nodes, like=self.full))

    def only(self, unit: Unit) -> Rounding:
        """What is rounded where ``unit`` alone is int8, with its scales of the full plan."""
        alone = Selection([unit], {})
        values = {*unit.inputs, *unit.quantized_outputs}
        params = {value: param for value, param in self.full.params.items() if value in values}
        return rounding_of(replace(self.full, selection=alone, params=params, weights=self._weights(unit)))

    def written_without(self, nodes: Iterable[str]) -> bytes:
        """The model of `ptq quantize` with ``nodes`` in skip_nodes too, before `deploy`: ModelProto bytes."""
        plan = self.full
        if dropped := list(nodes):
            plan = refine(self._plan(dropped, like=None), self._config, None)
        model = ir.from_proto(ir.to_proto(plan.model))
        places = {str(node.name): node for node in model.graph}
        values = {str(value.name): value for value in _values(model.graph)}
        units = [
            replace(
                unit,
                node=places[str(unit.node.name)],
                activation=unit.activation and places[str(unit.activation.name)],
            )
            for unit in plan.selection.units
        ]
        params = {values[str(value.name)]: param for value, param in plan.params.items()}
        insert_qdq(model, Selection(units), params, plan.weights, store_int4=self._config.store_int4)
        return io.to_bytes(model)

    def selection_without(self, nodes: Iterable[str]) -> Selection:
        """The operators that are quantized where ``nodes`` are skipped too."""
        skipped = {**dict.fromkeys(nodes, LEFT_OUT), **self.prepared.skipped}
        return select(self.prepared.model, self._config, skipped, self._judged)

    def _plan(self, nodes: Iterable[str], like: QuantizationPlan | None) -> QuantizationPlan:
        selection = self.selection_without(nodes)
        return make_plan(self.prepared.model, selection, self._ranges, self._config, like=like)

    def _weights(self, unit: Unit) -> dict[str, QuantizedWeights]:
        name = str(unit.node.name)
        return {name: self.full.weights[name]} if name in self.full.weights else {}


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs
