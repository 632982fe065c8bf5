"""Small ONNX graphs for the lowering tests, float and QDQ; built on tests.models.Builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from tests.models import Builder

Graph = Callable[["Qdq"], str]


class Qdq(Builder):
    """A builder that can also put QuantizeLinear/DequantizeLinear pairs around values."""

    def quantize(self, name: str, x: str, scale: float, zero_point: int = 0) -> str:
        """QuantizeLinear → DequantizeLinear; the int8 tensor is ``<name>/q/out``."""
        s = self.constant(f"{name}/scale", np.float32(scale))
        z = self.constant(f"{name}/zero", np.int8(zero_point))
        q = self.node("QuantizeLinear", f"{name}/q", [x, s, z])
        return self.node("DequantizeLinear", f"{name}/dq", [q, s, z])

    def int8_weight(self, name: str, *shape: int, axis: int | None = 0) -> tuple[str, np.ndarray]:
        """A dequantized int8 weight (per channel along ``axis``, per tensor if None) and its scales."""
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        count = 1 if axis is None else shape[axis]
        scales = self.random.uniform(0.002, 0.02, count).astype(np.float32)
        s = self.constant(f"{name}/scale", scales[0] if axis is None else scales)
        inputs = [self.constant(f"{name}/q", values), s]
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", f"{name}/dq", inputs, **attributes), scales

    def int32_bias(self, name: str, count: int, s_in: float, s_w: np.ndarray) -> str:
        """A dequantized int32 bias with scale s_in · s_w."""
        values = self.random.integers(-3000, 3000, count).astype(np.int32)
        scales = np.float32(s_in) * s_w
        per_channel = len(scales) > 1
        s = self.constant(f"{name}/scale", scales if per_channel else scales[0])
        attributes: dict[str, Any] = {"axis": 0} if per_channel else {}
        return self.node(
            "DequantizeLinear", f"{name}/dq", [self.constant(f"{name}/q", values), s], **attributes
        )

    def qconv(
        self,
        name: str,
        x: str,
        cin: int,
        cout: int,
        s_in: float,
        *,
        k: int = 3,
        bias: str = "int32",
        **attributes: Any,
    ) -> str:
        """Conv with int8 weights; ``bias`` is int32, float or none. Not yet quantized at its output."""
        weight_axis = attributes.pop("weight_axis", 0)
        groups = attributes.get("group", 1)
        w, scales = self.int8_weight(f"{name}/w", cout, cin // groups, k, k, axis=weight_axis)
        inputs = [x, w]
        if bias == "int32":
            inputs.append(self.int32_bias(f"{name}/b", cout, s_in, scales))
        elif bias == "float":
            inputs.append(self.weight(f"{name}/b", cout))
        if "auto_pad" not in attributes:
            attributes.setdefault("pads", [k // 2] * 4)
        return self.node("Conv", name, inputs, **attributes)

    def clip(self, name: str, x: str, lo: float, hi: float) -> str:
        """Clip with constant bounds."""
        return self.node(
            "Clip",
            name,
            [x, self.constant(f"{name}/lo", np.float32(lo)), self.constant(f"{name}/hi", np.float32(hi))],
        )

    def ints(self, name: str, *values: int) -> str:
        """An int64 constant."""
        return self.constant(name, np.array(values, np.int64))


def build(
    graph: Graph,
    shape: tuple[int | str, ...] = (1, 8, 13, 11),
    opset: int = 17,
    output_type: int = TensorProto.FLOAT,
) -> ir.Model:
    """The model of ``graph``, whose input is called `input`; shapes inferred as load_model does."""
    return ir.from_proto(build_proto(graph, shape, opset, output_type))


def build_proto(
    graph: Graph,
    shape: tuple[int | str, ...] = (1, 8, 13, 11),
    opset: int = 17,
    output_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """As `build`, as a protobuf."""
    b = Qdq(seed=7)
    output = graph(b)
    proto = helper.make_model(
        helper.make_graph(
            b.nodes,
            "test",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(output, output_type, None)],
            b.constants,
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    onnx.checker.check_model(proto)
    return proto
