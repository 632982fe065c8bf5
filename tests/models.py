"""Small ONNX models for tests, built node by node with seeded weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and initializers; each method adds one node and returns its output's name (``<node>/out``)."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, name: str, *shape: int, scale: float = 0.5) -> str:
        return self.constant(name, (self.random.standard_normal(shape) * scale).astype(np.float32))

    def node(self, op_type: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [f"{name}/out"], name=name, **attributes))
        return f"{name}/out"

    def conv(
        self, name: str, x: str, cin: int, cout: int, *, k: int = 3, bias: bool = True, **attributes: Any
    ) -> str:
        group = attributes.get("group", 1)
        inputs = [x, self.weight(f"{name}/weight", cout, cin // group, k, k)]
        if bias:
            inputs.append(self.weight(f"{name}/bias", cout))
        attributes.setdefault("pads", [k // 2] * 4)
        return self.node("Conv", name, inputs, kernel_shape=[k, k], **attributes)

    def batch_norm(self, name: str, x: str, channels: int) -> str:
        random = self.random
        inputs = [
            self.constant(f"{name}/{kind}", values.astype(np.float32))
            for kind, values in (
                ("gamma", random.uniform(0.5, 2, channels)),
                ("beta", random.uniform(-1, 1, channels)),
                ("mean", random.uniform(-1, 1, channels)),
                ("var", random.uniform(0.2, 2, channels)),
            )
        ]
        return self.node("BatchNormalization", name, [x, *inputs], epsilon=1e-3)

    def relu6(self, name: str, x: str) -> str:
        low = self.constant(f"{name}/min", np.float32(0))
        return self.node("Clip", name, [x, low, self.constant(f"{name}/max", np.float32(6))])

    def model(
        self, output: str, *, shape: Sequence[int | str | None] = ("N", 3, 16, 16), opset: int = 17
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        inferred = onnx.shape_inference.infer_shapes(model)
        model.graph.output[0].CopyFrom(inferred.graph.output[0])
        return model


def mobile_block(opset: int = 17) -> onnx.ModelProto:
    """conv-bn-relu6, depthwise-bn-relu6, pointwise-bn-relu6, a residual Add, skip_quant/pool, Gemm, Softmax."""
    b = Builder()
    x = b.relu6("stem/relu6", b.batch_norm("stem/bn", b.conv("stem/conv", "input", 3, 8, bias=False), 8))
    y = b.conv("body/depthwise", x, 8, 8, bias=False, group=8)
    y = b.relu6("body/relu6", b.batch_norm("body/bn", y, 8))
    y = b.batch_norm("body/project_bn", b.conv("body/project", y, 8, 8, k=1, bias=False), 8)
    y = b.node("Relu", "body/relu", [b.node("Add", "body/add", [x, y])])
    y = b.node("GlobalAveragePool", "skip_quant/pool", [y])
    y = b.node("Flatten", "head/flatten", [y])
    weight, bias = b.weight("head/weight", 10, 8), b.weight("head/bias", 10)
    y = b.node("Gemm", "head/logits", [y, weight, bias], transB=1)
    return b.model(b.node("Softmax", "head/softmax", [y]), opset=opset)


def save(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Save ``model`` as ``folder/name`` and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / name))
    return folder / name
