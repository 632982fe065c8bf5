"""An ONNX classifier as a .tflite, so that LiteRT and XNNPACK can be measured: the operators of MobileNetV1, V2 and ResNet only.

Quantized where the ONNX model is (QDQ), NHWC, BatchNormalization folded, activations fused: what any converter makes of it.
Two things differ from the ONNX model, in favour of the peer or without effect on its time. Padded windows get LiteRT's own SAME,
which for stride 2 pads only the far side, and needs no Pad operator. The logits of a quantized model are int8 with the scale
LOGITS_SCALE, as LiteRT has no int8 layer with a float output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

LOGITS_SCALE = 0.0625
RELU, RELU6 = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6
TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
VERSIONS = {"QUANTIZE": 2, "DEQUANTIZE": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2,
            "MEAN": 2, "MAX_POOL_2D": 2}  # fmt: skip
"""Operator → its first version with int8, per channel where it has weights."""


class ConversionError(Exception):
    """The model has something that this small converter does not know."""


@dataclass
class Tensor:
    """Type and, if int8 or a bias, scale and zero point; `axis` where there is a scale per channel. Constants have `data`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: np.ndarray | None = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray | None = None


@dataclass
class Operator:
    """`options` is the schema's object, with a `fusedActivationFunction` where activations can be fused."""

    code: str
    inputs: list[Tensor]
    output: Tensor
    options: Any = None


class Converter:
    """Walks the ONNX graph once. ``values`` has the tensor of every ONNX value; Q and DQ become properties of tensors."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.operators: list[Operator] = []
        self.values: dict[str, Tensor] = {}
        for constant in model.graph.initializer:
            data = numpy_helper.to_array(constant)
            self.values[constant.name] = Tensor(data.shape, data.dtype, data=data)
        shapes = onnx.shape_inference.infer_shapes(model).graph
        self.shapes = {
            v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
            for v in (*shapes.input, *shapes.value_info, *shapes.output)
        }
        self.input = self.float_tensor(model.graph.input[0].name)
        for node in model.graph.node:
            convert = CONVERT.get(node.op_type)
            if convert is None:
                raise ConversionError(f"{node.name}: no row for {node.op_type}")
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            self.values[node.output[0]] = convert(self, node, attributes)
        self.output = self.to_float(self.values[model.graph.output[0].name])

    def float_tensor(self, name: str) -> Tensor:
        """A new tensor for the ONNX value ``name``, NHWC where that is NCHW."""
        shape = self.shapes[name]
        if len(shape) == 4:
            shape = (shape[0], shape[2], shape[3], shape[1])
        self.values[name] = Tensor(shape, np.dtype(np.float32))
        return self.values[name]

    def add(self, code: str, inputs: list[Tensor], output: Tensor, options: Any = None) -> Tensor:
        self.operators.append(Operator(code, inputs, output, options))
        return output

    def maker(self, tensor: Tensor) -> Operator:
        """The operator that writes ``tensor``."""
        return next(o for o in reversed(self.operators) if o.output is tensor)

    def to_float(self, tensor: Tensor) -> Tensor:
        """The model's output: a float written by an int8 operator becomes int8 first."""
        maker = self.maker(tensor)
        if maker.inputs[0].scale is not None and tensor.scale is None:
            tensor.dtype, tensor.scale = np.dtype(np.int8), np.array([LOGITS_SCALE], np.float32)
        if tensor.scale is None:
            return tensor
        return self.add("DEQUANTIZE", [tensor], Tensor(tensor.shape, np.dtype(np.float32)))

    def quantize(self, node: onnx.NodeProto, _: dict[str, Any]) -> Tensor:
        x, scale, zero_point = (self.values[name] for name in node.input)
        wanted, zero = np.atleast_1d(np.asarray(scale.data)), int(np.asarray(zero_point.data))
        if x.scale is not None and np.array_equal(x.scale, wanted) and x.zero_point == zero:
            return x
        if x.scale is None and x is not self.input:
            x.dtype, x.scale, x.zero_point = np.dtype(np.int8), wanted, zero
            return x
        return self.add("QUANTIZE", [x], Tensor(x.shape, np.dtype(np.int8), wanted, zero))

    def dequantize(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Tensor:
        x = self.values[node.input[0]]
        if x.data is not None:
            scale = np.asarray(self.values[node.input[1]].data)
            x.scale, x.axis = np.atleast_1d(scale), attributes.get("axis", 1)
        return x

    def conv(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Tensor:
        x, weight = self.values[node.input[0]], self.values[node.input[1]]
        assert weight.data is not None
        depthwise = attributes["group"] > 1
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        data = weight.data.transpose(order)
        weight = Tensor(data.shape, weight.dtype, weight.scale, axis=3 if depthwise else 0, data=data)
        channels = weight.shape[weight.axis]
        zeros = Tensor((channels,), np.dtype(np.float32), data=np.zeros(channels, np.float32))
        bias = self.values[node.input[2]] if len(node.input) > 2 else zeros
        bias.axis = 0
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = 1
        set_window(options, attributes)
        code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        return self.add(code, [x, weight, bias], self.float_tensor(node.output[0]), options)

    def batch_norm(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Tensor:
        x, gamma, beta, mean, variance = (self.values[name] for name in node.input)
        _, weight, bias = self.maker(x).inputs
        assert weight.data is not None
        assert bias.data is not None
        factor = gamma.data / np.sqrt(variance.data + attributes["epsilon"])
        shape = [1, 1, 1, 1]
        shape[weight.axis] = -1
        weight.data = weight.data * factor.reshape(shape)
        bias.data = (bias.data - mean.data) * factor + beta.data
        return x

    def activation(self, node: onnx.NodeProto, _: dict[str, Any]) -> Tensor:
        kind = RELU
        if node.op_type == "Clip":
            if [float(np.asarray(self.values[name].data)) for name in node.input[1:]] != [0, 6]:
                raise ConversionError(f"{node.name}: a Clip that is not Relu6")
            kind = RELU6
        x = self.values[node.input[0]]
        self.maker(x).options.fusedActivationFunction = kind
        return x

    def binary(self, node: onnx.NodeProto, _: dict[str, Any]) -> Tensor:
        inputs = [self.values[name] for name in node.input]
        return self.add("ADD", inputs, self.float_tensor(node.output[0]), schema.AddOptionsT())

    def max_pool(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Tensor:
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = attributes["kernel_shape"]
        set_window(options, attributes)
        x = self.values[node.input[0]]
        return self.add("MAX_POOL_2D", [x], self.float_tensor(node.output[0]), options)

    def global_average(self, node: onnx.NodeProto, _: dict[str, Any]) -> Tensor:
        x = self.values[node.input[0]]
        axes = Tensor((2,), np.dtype(np.int32), data=np.array([1, 2], np.int32))
        output = Tensor((x.shape[0], x.shape[3]), np.dtype(np.float32))
        return self.add("MEAN", [x, axes], output, schema.ReducerOptionsT(keepDims=False))

    def flatten(self, node: onnx.NodeProto, _: dict[str, Any]) -> Tensor:
        x = self.values[node.input[0]]
        if len(x.shape) != 2:
            raise ConversionError(f"{node.name}: flattens more than a global average")
        return x

    def gemm(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Tensor:
        if attributes.get("transB") != 1:
            raise ConversionError(f"{node.name}: transB is not 1")
        inputs = [self.values[name] for name in node.input]
        inputs[1].axis = inputs[2].axis = 0
        return self.add(
            "FULLY_CONNECTED", inputs, self.float_tensor(node.output[0]), schema.FullyConnectedOptionsT()
        )


CONVERT: dict[str, Callable[[Converter, onnx.NodeProto, dict[str, Any]], Tensor]] = {
    "Add": Converter.binary,
    "BatchNormalization": Converter.batch_norm,
    "Clip": Converter.activation,
    "Conv": Converter.conv,
    "DequantizeLinear": Converter.dequantize,
    "Flatten": Converter.flatten,
    "Gemm": Converter.gemm,
    "GlobalAveragePool": Converter.global_average,
    "MaxPool": Converter.max_pool,
    "QuantizeLinear": Converter.quantize,
    "Relu": Converter.activation,
}


def set_window(options: Any, attributes: dict[str, Any]) -> None:
    """Strides and padding of a window operator."""
    kernel, pads = attributes["kernel_shape"], attributes.get("pads", [0] * 4)
    options.strideH, options.strideW = attributes["strides"]
    if not any(pads):
        options.padding = schema.Padding.VALID
    elif list(pads) == [(k - 1) // 2 for k in (*kernel, *kernel)]:
        options.padding = schema.Padding.SAME
    else:
        raise ConversionError(f"pads {pads} of a {kernel} window")


def serialize(converted: Converter) -> bytes:
    """The .tflite file."""
    model = schema.ModelT(version=3, description="benchmark", buffers=[schema.BufferT()], operatorCodes=[])
    graph = schema.SubGraphT(name="main", tensors=[], operators=[])
    indices: dict[int, int] = {}

    def index_of(tensor: Tensor) -> int:
        if id(tensor) in indices:
            return indices[id(tensor)]
        t = schema.TensorT(shape=list(tensor.shape), name=f"t{len(graph.tensors)}", type=TYPES[tensor.dtype])
        if tensor.data is not None:
            data = np.ascontiguousarray(tensor.data, tensor.dtype)
            t.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT(data=np.frombuffer(data.tobytes(), np.uint8)))
        if tensor.scale is not None:
            t.quantization = schema.QuantizationParametersT(
                scale=np.asarray(tensor.scale, np.float32),
                zeroPoint=np.full(len(tensor.scale), tensor.zero_point, np.int64),
                quantizedDimension=tensor.axis,
            )
        indices[id(tensor)] = len(graph.tensors)
        graph.tensors.append(t)
        return indices[id(tensor)]

    codes = sorted({operator.code for operator in converted.operators})
    for code in codes:
        number = getattr(schema.BuiltinOperator, code)
        model.operatorCodes.append(
            schema.OperatorCodeT(
                deprecatedBuiltinCode=min(number, 127), version=VERSIONS[code], builtinCode=number
            )
        )
    for operator in converted.operators:
        o = schema.OperatorT(opcodeIndex=codes.index(operator.code), inputs=[index_of(t) for t in operator.inputs],
                             outputs=[index_of(operator.output)])  # fmt: skip
        if operator.options is not None:
            o.builtinOptions = operator.options
            kind = type(operator.options).__name__.removesuffix("T")
            o.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        graph.operators.append(o)
    graph.inputs, graph.outputs = [index_of(converted.input)], [index_of(converted.output)]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def convert(onnx_file: Path, out: Path) -> None:
    """Write ``out`` from ``onnx_file``. Raises ConversionError."""
    out.write_bytes(serialize(Converter(onnx.load(onnx_file))))
