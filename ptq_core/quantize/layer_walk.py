"""Walk through the float model and its quantized simulation side by side, layer by layer, with all samples at once.

A refinement sees for each layer the input x of the float model and the input x̂ of the quantized one, in which every layer
before is refined already. Because the tensors alive between two layers are kept for all samples, the whole walk costs one
forward pass of each model, whatever the number of layers. What is kept is bounded: `MEMORY_BYTES` decides how many samples
are taken, every 2^k-th of them, and the others are not kept even while they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.graph.session import open_session
from ptq_core.graph.values import reads
from ptq_core.quantize.plan import QuantizationPlan, Samples
from ptq_core.quantize.selection import Unit
from ptq_core.quantize.simulation import float_bias, simulated_model
from ptq_core.quantize.weights import QuantizedWeights

FloatArray = NDArray[np.float32]

MEMORY_BYTES = 400 * 2**20
"""Upper bound of the tensors kept between two layers, both models together."""


class LayerWalk:
    """The two models at the same layer. Visit the weighted units in graph order, each once."""

    def __init__(self, plan: QuantizationPlan, samples: Samples) -> None:
        """Raises InputError if there are no samples or the model does not run on them."""
        self.plan = plan
        original = onnx.ModelProto.FromString(io.to_bytes(plan.model))
        simulated = simulated_model(plan)
        batches = _batches(original, plan.input_name, samples)
        first = next(batches, None)
        if first is None:
            raise InputError(
                "there are no samples to refine the weights with",
                rule="bias_correction and adaround need calibration samples",
                fix="give it pictures",
            )
        units = plan.weighted_units
        peak = max(
            (_peak_bytes(proto, plan.input_name, first, units) for proto in (original, simulated)), default=1
        )
        fitting = max(1, int(MEMORY_BYTES // max(1, 2 * peak)))
        kept = _thinned(chain([first], batches), fitting)
        self._float = Stepper(original, plan.input_name, kept)
        self._simulated = Stepper(simulated, plan.input_name, kept)

    def inputs(self, unit: Unit) -> tuple[list[FloatArray], list[FloatArray]]:
        """x and x̂ of ``unit``, float32, one array [batch, …] for each micro-batch."""
        name = str(unit.node.name)
        return self._float.input_of(name), self._simulated.input_of(name)

    def replace(self, unit: Unit, weights: QuantizedWeights) -> None:
        """Let the quantized model go on with ``weights``; before the next call of ``inputs``."""
        self._simulated.replace(str(unit.node.name), weights.dequantized(), float_bias(weights))

    def mean_outputs(self, unit: Unit, x: Sequence[FloatArray], x_hat: Sequence[FloatArray]) -> FloatArray:
        """E[y] − E[ỹ] per output channel, float32 [channels]: the layers are linear, so mean inputs are enough."""
        name = str(unit.node.name)
        outputs = [
            stepper.run_node(name, _mean_sample(batches))
            for stepper, batches in ((self._float, x), (self._simulated, x_hat))
        ]
        difference = outputs[0].astype(np.float64) - outputs[1]
        axis = 1 if unit.node.op_type.startswith("Conv") else difference.ndim - 1
        result: FloatArray = difference.mean(
            axis=tuple(d for d in range(difference.ndim) if d != axis)
        ).astype(np.float32)
        return result


class Stepper:
    """One model, run piece by piece; what later nodes read stays alive for all micro-batches."""

    def __init__(self, proto: onnx.ModelProto, input_name: str, batches: Sequence[FloatArray]) -> None:
        self._proto, self._nodes = proto, list(proto.graph.node)
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._index = {node.name: index for index, node in enumerate(self._nodes)}
        self._last_use = {name: i for i, node in enumerate(self._nodes) for name in reads(node)}
        self._alive: dict[str, list[FloatArray]] = {input_name: list(batches)}
        self._position = 0
        self._count = len(batches)

    def input_of(self, node_name: str) -> list[FloatArray]:
        """The data input of a node, after running all nodes before it."""
        self._advance(self._index[node_name])
        return self._alive[self._nodes[self._index[node_name]].input[0]]

    def bytes_alive(self) -> int:
        """Size of what is kept."""
        return sum(array.nbytes for arrays in self._alive.values() for array in arrays)

    def replace(self, node_name: str, weight: FloatArray, bias: FloatArray | None) -> None:
        """Other weights for a node that did not run yet."""
        node = self._nodes[self._index[node_name]]
        for index, array in ((1, weight), (2, bias)):
            if array is not None and len(node.input) > index:
                self._constants[node.input[index]] = numpy_helper.from_array(array, node.input[index])

    def run_node(self, node_name: str, x: FloatArray) -> FloatArray:
        """The output of one node for the data input ``x``."""
        node = self._nodes[self._index[node_name]]
        session = self._session([node], [node.input[0]], [node.output[0]], {node.input[0]: x})
        result: FloatArray = session.run(None, {node.input[0]: x})[0]
        return result

    def _advance(self, end: int) -> None:
        if end <= self._position:
            return
        nodes = self._nodes[self._position : end]
        produced = [name for node in nodes for name in node.output if name]
        read = {name for node in nodes for name in reads(node)}
        inputs = [name for name in self._alive if name in read]
        outputs = [name for name in produced if self._last_use.get(name, -1) >= end]
        if outputs:
            session = self._session(nodes, inputs, outputs, {name: self._alive[name][0] for name in inputs})
            made: dict[str, list[FloatArray]] = {name: [] for name in outputs}
            for index in range(self._count):
                results = session.run(outputs, {name: self._alive[name][index] for name in inputs})
                for name, array in zip(outputs, results, strict=True):
                    made[name].append(array)
            self._alive |= made
        self._alive = {name: v for name, v in self._alive.items() if self._last_use.get(name, -1) >= end}
        self._position = end

    def _session(
        self,
        nodes: Sequence[onnx.NodeProto],
        inputs: Sequence[str],
        outputs: Sequence[str],
        examples: dict[str, FloatArray],
    ) -> onnxruntime.InferenceSession:
        read = {name for node in nodes for name in reads(node)}
        graph = helper.make_graph(
            nodes,
            "piece",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(examples[name].dtype), None
                )
                for name in inputs
            ],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [self._constants[name] for name in read if name in self._constants],
        )
        proto = self._proto
        model = helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
        model.functions.extend(proto.functions)
        return open_session(model.SerializeToString(), low_memory=True)


def _mean_sample(batches: Sequence[FloatArray]) -> FloatArray:
    """The mean over all samples, with a batch dimension of 1; summed in float64."""
    total = np.zeros(batches[0].shape[1:])
    for batch in batches:
        total += batch.sum(axis=0, dtype=np.float64)
    return (total[np.newaxis] / sum(len(batch) for batch in batches)).astype(np.float32)


def _batches(proto: onnx.ModelProto, input_name: str, samples: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Micro-batches of the size that the model is fixed to, or of one sample: exporters often reshape to a batch of 1."""
    dims = next(v for v in proto.graph.input if v.name == input_name).type.tensor_type.shape.dim
    size = max(1, dims[0].dim_value if dims else 1)
    waiting = iter(samples)
    while batch := list(islice(waiting, size)):
        yield np.stack(batch + batch[-1:] * (size - len(batch)))


def _thinned(batches: Iterable[FloatArray], most: int) -> list[FloatArray]:
    """Every 2^k-th of ``batches`` with the smallest k that leaves no more than ``most``; at most those are held at a time."""
    kept: list[FloatArray] = []
    stride = 1
    for index, batch in enumerate(batches):
        if index % stride == 0 and len(kept) == most:
            kept, stride = kept[::2], 2 * stride
        if index % stride == 0:
            kept.append(batch)
    return kept


def _peak_bytes(proto: onnx.ModelProto, input_name: str, batch: FloatArray, units: Sequence[Unit]) -> int:
    stepper, peak = Stepper(proto, input_name, [batch]), batch.nbytes
    for unit in units:
        before = stepper.bytes_alive()
        stepper.input_of(str(unit.node.name))
        peak = max(peak, before + stepper.bytes_alive())
    return peak
