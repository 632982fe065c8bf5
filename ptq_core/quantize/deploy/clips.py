"""Clamps between two equal Q/DQ pairs: on the integers, or in front of one pair; gone where the integers' type clamps already.

    x → Q → DQ → Clip → Q → DQ    becomes    x → Q → Clip → DQ    or    x → Clip → Q → DQ    or    x → Q → DQ

The integers are the same: rounding is monotonic, so Q(clip(x, lo, hi)) = clip(Q(x), Q(lo), Q(hi)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.dialects.integers import same_scale
from ptq_core.graph.edits import add_constant, constant_array, only_reader
from ptq_core.numerics import qparams


def clips_on_integers(graph: ir.Graph) -> None:
    """QuantizeLinear directly behind the operator, the clamp behind it."""
    for found in _found(graph):
        if found.implied:
            found.leave_one_pair()
            continue
        name = str(found.clamps[-1].name)
        bounds = [
            add_constant(graph, f"{name}/{word}", np.asarray(bound, found.zero_point.dtype))
            for word, bound in zip(("q_min", "q_max"), found.integers, strict=True)
        ]
        clip = ir.node("Clip", [found.first.outputs[0], *bounds], num_outputs=1, name=f"{name}/integers")
        clip.outputs[0].name = f"{name}/integers/out"
        clip.outputs[0].shape, clip.outputs[0].type = (
            found.first.outputs[0].shape,
            found.first.outputs[0].type,
        )
        graph.insert_before(found.clamps[0], clip)
        found.leave_one_pair(clip.outputs[0])


def clips_before_quantize(graph: ir.Graph) -> None:
    """The clamp directly behind the operator, to what the integers stand for, and QuantizeLinear behind it."""
    for found in _found(graph):
        if not found.implied:
            source, name = found.first.inputs[0], str(found.clamps[-1].name)
            assert source is not None
            bounds = [
                add_constant(graph, f"{name}/{word}", bound)
                for word, bound in zip(("min", "max"), found.reals, strict=True)
            ]
            clip = ir.node("Clip", [source, *bounds], num_outputs=1, name=f"{name}/before")
            clip.outputs[0].name = f"{name}/before/out"
            clip.outputs[0].shape, clip.outputs[0].type = source.shape, source.type
            graph.insert_before(found.first, clip)
            found.first.replace_input_with(0, clip.outputs[0])
        found.leave_one_pair()


@dataclass(frozen=True)
class _Found:
    """``first`` (QuantizeLinear) → ``dequantize`` → ``clamps`` → ``second`` (QuantizeLinear)."""

    first: ir.Node
    dequantize: ir.Node
    clamps: list[ir.Node]
    second: ir.Node

    @property
    def zero_point(self) -> NDArray[Any]:
        """Of both pairs, int8."""
        zero_point = constant_array(self.first.inputs[2])
        assert zero_point is not None
        return zero_point

    @property
    def integers(self) -> tuple[int, int]:
        """What the clamps leave, as integers."""
        info, scale = np.iinfo(self.zero_point.dtype), constant_array(self.first.inputs[1])
        assert scale is not None
        lows, highs = zip(*(_bounds(clamp) for clamp in self.clamps), strict=True)
        ends = np.array([max(lows), min(highs)], np.float32)
        low, high = qparams.quantize_affine(ends, np.float32(scale), int(self.zero_point), info.min, info.max)
        return int(low), int(high)

    @property
    def reals(self) -> list[NDArray[np.float32]]:
        """What the `integers` stand for."""
        scale = constant_array(self.first.inputs[1])
        return [np.asarray(np.float32(q - int(self.zero_point)) * np.float32(scale)) for q in self.integers]

    @property
    def implied(self) -> bool:
        """Whether the integers' type clamps as much."""
        info = np.iinfo(self.zero_point.dtype)
        return self.integers == (info.min, info.max)

    def leave_one_pair(self, integers: ir.Value | None = None) -> None:
        """Give the readers of ``second`` the ``integers``, by default those of ``first``, and remove what lies between."""
        graph = self.second.graph
        assert graph is not None
        self.second.outputs[0].replace_all_uses_with(integers or self.first.outputs[0])
        graph.remove(self.second, safe=True)
        for node in (*reversed(self.clamps), self.dequantize):
            if not any(output.uses() for output in node.outputs):
                graph.remove(node, safe=True)


def _found(graph: ir.Graph) -> Iterator[_Found]:
    for first in list(graph):
        if first.op_type != "QuantizeLinear" or any(constant_array(v) is None for v in first.inputs[1:]):
            continue
        dequantize = only_reader(first.outputs[0])
        if dequantize is None or dequantize.op_type != "DequantizeLinear":
            continue
        clamps, last = list[ir.Node](), dequantize
        node = only_reader(last.outputs[0])
        while node is not None and node.inputs[0] is last.outputs[0] and _is_clamp(node):
            clamps.append(node)
            last, node = node, only_reader(node.outputs[0])
        if node is None or not clamps or node.inputs[0] is not last.outputs[0]:
            continue
        if node.op_type == "QuantizeLinear" and same_scale(first, node):
            yield _Found(first, dequantize, clamps, node)


def _is_clamp(node: ir.Node) -> bool:
    bounds = node.inputs[1:] if node.op_type == "Clip" else []
    return node.op_type in ("Relu", "Clip") and all(
        b is None or constant_array(b) is not None for b in bounds
    )


def _bounds(clamp: ir.Node) -> tuple[float, float]:
    ends = [0.0 if clamp.op_type == "Relu" else -np.inf, np.inf]
    for index, value in enumerate(clamp.inputs[1:3]):
        bound = constant_array(value)
        if bound is not None:
            ends[index] = bound.item()  # a scalar, or one in a list
    return ends[0], ends[1]
