"""Weights for kernels that add two products of uint8 and int8 in int16, which saturates (vpmaddubsw, on x86 without VNNI).

Kernels of onnxruntime and OpenVINO take inputs two by two in the order of the depth: the channels 2i and 2i + 1 of a 1 × 1
convolution or a matrix, of others the channels of a tap or the taps of a channel. Depthwise ones multiply in int32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import add_constant, constant_array, producer_of
from ptq_core.graph.op_types import is_depthwise
from ptq_core.numerics import qparams
from ptq_core.quantize.deploy.small_integers import is_small
from ptq_core.quantize.weights import channel_axis

MOST_PAIR = 32767 // 255 - 2
"""Two weights of which the magnitudes add up to no more cannot saturate, whatever the activations are and however each is
rounded: 126."""


def limit_pairs(graph: ir.Graph, floats: Mapping[str, NDArray[Any]]) -> None:
    """Raise the scales of weights that could saturate; ``floats`` has the weights of each node, by its name, before quantization.

    Where activations are at most 127, two products fit whatever the weights are: 127 · (127 + 127).
    """
    for node in list(graph):
        if node.op_type not in ("Conv", "Gemm", "MatMul") or str(node.name) not in floats:
            continue
        data, weight = _dequantizer(node, 0), _dequantizer(node, 1)
        if data is None or weight is None or is_depthwise(node) or is_small(data.inputs[0]):
            continue
        scales = constant_array(weight.inputs[1])
        assert scales is not None
        values, axis = floats[str(node.name)], channel_axis(node)
        raised = np.maximum(scales, _largest_pairs(values, axis, per_channel=scales.ndim > 0) / MOST_PAIR)
        if np.array_equal(raised, scales):
            continue
        integers = qparams.quantize(values, raised, axis=axis if raised.ndim else None)
        _replace(graph, weight, integers, raised.astype(np.float32))
        bias = _dequantizer(node, 2)
        if bias is not None:
            _rescale_bias(graph, bias, (raised / scales).astype(np.float64))


def _largest_pairs(values: NDArray[Any], axis: int, *, per_channel: bool) -> NDArray[np.float32]:
    """The largest |a| + |b| of neighbours in either order of the depth, for each output channel or for all."""
    channels = np.abs(np.moveaxis(values, axis, 0))
    by_channel = channels.reshape(len(channels), -1)
    by_tap = np.moveaxis(channels, 1, -1).reshape(len(channels), -1)
    sums = np.zeros(len(channels), np.float32)
    for order in (by_channel, by_tap):
        even = np.pad(order, ((0, 0), (0, order.shape[1] % 2)))
        sums = np.maximum(sums, (even[:, 0::2] + even[:, 1::2]).max(axis=1))
    return sums if per_channel else np.asarray(sums.max(), np.float32)


def _dequantizer(node: ir.Node, place: int) -> ir.Node | None:
    producer = producer_of(node, place)
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None


def _rescale_bias(graph: ir.Graph, bias: ir.Node, factor: NDArray[np.float64]) -> None:
    integers, scales = constant_array(bias.inputs[0]), constant_array(bias.inputs[1])
    assert integers is not None
    assert scales is not None
    fewer = np.rint(integers.astype(np.float64) / factor).astype(np.int32)
    _replace(graph, bias, fewer, (scales * factor).astype(np.float32))


def _replace(
    graph: ir.Graph, dequantize: ir.Node, integers: NDArray[Any], scales: NDArray[np.float32]
) -> None:
    for index, array in enumerate((integers, scales)):
        old = dequantize.inputs[index]
        assert old is not None
        dequantize.replace_input_with(index, add_constant(graph, f"{old.name}/int16_pairs", array))
