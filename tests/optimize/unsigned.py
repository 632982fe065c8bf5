"""The same QDQ model with uint8 where it has int8: every integer and zero point 128 more."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

SHIFT = 128


def unsigned(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``proto``, whose int8 stands in QuantizeLinear and DequantizeLinear only, with uint8 instead."""
    copy = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = copy.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        biases = len(node.input) > 0 and constants.get(node.input[0], np.int8()).dtype == np.int32
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) == 2 and not biases:
            zero = np.zeros(constants[node.input[1]].shape, np.int8)
            node.input.append(f"{node.name}/zero")
            graph.initializer.append(numpy_helper.from_array(zero, node.input[2]))
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.INT8:
            more = (numpy_helper.to_array(tensor).astype(np.int16) + SHIFT).astype(np.uint8)
            tensor.CopyFrom(numpy_helper.from_array(more, tensor.name))
    del graph.value_info[:]
    shaped = onnx.shape_inference.infer_shapes(copy, data_prop=True)
    onnx.checker.check_model(shaped)
    return shaped
