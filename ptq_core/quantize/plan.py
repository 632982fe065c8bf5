"""What is known between calibration and rewriting: the input of everything that refines weights or biases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.selection import Selection, Unit
from ptq_core.quantize.weights import QuantizedWeights

Samples = Iterable[NDArray[np.float32]]
"""Calibration samples, float32 of the input's shape without the batch; may be iterated more than once."""


@dataclass(frozen=True)
class QuantizationPlan:
    """Everything that decides the INT8 model; ``insertion.insert_qdq`` turns it into a graph.

    A refinement is a function ``refine(plan, options, samples) -> dict[node name, QuantizedWeights]``. It returns the weights
    that it replaces and leaves the plan as it is; ``with_weights`` makes the next plan of them. Only the integers, the
    bias and its integers may change: the scales of the activations are fixed by now.
    """

    model: ir.Model
    """The float model, simplified (batch norms folded, constants lifted, maybe equalized), before QDQ; not to be changed."""

    selection: Selection
    """The operators that run on integers, in graph order."""

    params: Mapping[ir.Value, ActivationParams]
    """Scale and zero point of every activation that becomes integer; keys are values of ``model``. Empty for weight_only."""

    weights: Mapping[str, QuantizedWeights]
    """By node name: the integers as they stand, first those of rounding to nearest."""

    input_name: str
    """The model's input that a sample is fed to."""

    @property
    def weighted_units(self) -> tuple[Unit, ...]:
        """The units with constant weights, in graph order: those with an entry in ``weights``."""
        return tuple(unit for unit in self.selection.units if str(unit.node.name) in self.weights)

    def with_weights(self, replaced: Mapping[str, QuantizedWeights]) -> QuantizationPlan:
        """The plan with the weights of some nodes replaced."""
        weights = {**self.weights, **replaced}
        return QuantizationPlan(self.model, self.selection, self.params, weights, self.input_name)
