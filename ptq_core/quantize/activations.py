"""Which activations become integers, which of them share a scale, and the scale and zero point of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.calibration.observers import Range
from ptq_core.graph import op_types
from ptq_core.graph.edits import constant_array
from ptq_core.graph.op_types import Kind
from ptq_core.numerics import qparams
from ptq_core.options.calibration import RangeOptions
from ptq_core.quantize.objections import pad_value, saturates
from ptq_core.quantize.selection import Selection


@dataclass(frozen=True)
class ActivationParams:
    """How one activation tensor is quantized: real = scale · (q − zero_point), q in [q_min, q_max].

    ``low`` ≤ 0 ≤ ``high`` is the calibrated range in units of the tensor; symmetric quantization keeps |x| ≤ ``threshold``.
    """

    low: float
    high: float
    scale: np.float32
    zero_point: int
    bits: int
    q_min: int
    q_max: int

    @property
    def threshold(self) -> float:
        """The largest magnitude in the range."""
        return max(-self.low, self.high)

    @property
    def storage(self) -> np.dtype[Any]:
        """int8 up to 8 bits, int16 up to 16."""
        return qparams.storage_type(self.bits)

    @property
    def bounds(self) -> tuple[np.float32, np.float32] | None:
        """[low, high] in real units that keeps the integers in [q_min, q_max]; None where their type does so by itself."""
        info = np.iinfo(self.storage)
        if (self.q_min, self.q_max) == (info.min, info.max):
            return None
        low, high = (np.float32(q - self.zero_point) * self.scale for q in (self.q_min, self.q_max))
        return np.float32(low), np.float32(high)


@dataclass(frozen=True)
class ScaleGroups:
    """The activations that become integers, in graph order, each with the group that it shares its scale with."""

    group_of: dict[ir.Value, tuple[ir.Value, ...]]
    """Value → all values of its group, itself among them."""

    observed: tuple[ir.Value, ...]
    """The values whose range calibration must find: the others' values are among theirs, or their range is known."""

    fixed: dict[ir.Value, Range]
    """Ranges that are known without calibration: of constants, of what a Pad writes, of functions like Softmax."""


def scale_groups(selection: Selection) -> ScaleGroups:
    """Union-find over what the units read and write: what an operator moves, and what one compares, shares a scale.

    All read activations are integers; outputs as ``Unit.quantized_outputs`` says.
    """
    parent: dict[ir.Value, ir.Value] = {}
    moved: set[ir.Value] = set()
    fixed: dict[ir.Value, Range] = {}

    def root(value: ir.Value) -> ir.Value:
        while parent[value] is not value:
            parent[value] = value = parent[parent[value]]
        return value

    for unit in selection.units:
        values = [*unit.inputs, *unit.quantized_outputs]
        for value in values:
            parent.setdefault(value, value)
            array = constant_array(value)
            if array is not None:
                fixed[value] = Range(min(float(array.min()), 0.0), max(float(array.max()), 0.0))
        if unit.kind in (Kind.MOVES, Kind.COMPARES):
            for value in values[1:]:
                parent[root(value)] = root(values[0])
        if unit.kind is Kind.MOVES:
            moved.update(unit.quantized_outputs)
            if unit.node.op_type == "Pad" and not saturates(unit.node):
                written = pad_value(unit.node) or 0.0
                fixed[unit.output] = Range(min(written, 0.0), max(written, 0.0))
        known = op_types.BY_ONNX_TYPE[unit.node.op_type].output_range
        if known is not None:
            fixed[unit.output] = Range(*known)
    groups: dict[ir.Value, list[ir.Value]] = {}
    for value in parent:
        groups.setdefault(root(value), []).append(value)
    group_of = {value: tuple(groups[root(value)]) for value in parent}
    observed = tuple(value for value in parent if value not in moved and value not in fixed)
    return ScaleGroups(group_of, observed, fixed)


def activation_params(
    groups: ScaleGroups, ranges: Mapping[ir.Value, Range], options: RangeOptions
) -> dict[ir.Value, ActivationParams]:
    """Parameters of every value of ``groups``, from the calibrated ``ranges`` of the observed ones.

    A group's range is the union of those of its members, so that none of them saturates more than it would alone.
    """
    known = {**groups.fixed, **ranges}
    params: dict[ir.Value, ActivationParams] = {}
    for value, group in groups.group_of.items():
        if value in params:
            continue
        found = [known[member] for member in group if member in known]
        low, high = min(r.low for r in found), max(r.high for r in found)
        for member in group:
            params[member] = _params(low, high, options)
    return {value: params[value] for value in groups.group_of}


def _params(low: float, high: float, options: RangeOptions) -> ActivationParams:
    bits, symmetric = options.activation_bits, options.activation_symmetric
    scale, zero_point = qparams.affine_params(low, high, bits, symmetric=symmetric)
    return ActivationParams(
        min(low, 0.0),
        max(high, 0.0),
        scale,
        zero_point,
        bits,
        *qparams.integer_range(bits, symmetric=symmetric),
    )
