"""Outputs that are one value: each is found in the flat file under its own name, with its value, in every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ptq_core.flatfile.reader import load_program
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program
from tests.models import Builder, save

SHAPE = [1, 4, 6, 5]


def model_of(nodes: list[str], outputs: list[str]) -> onnx.ModelProto:
    """Nodes as `op input output`; `conv` is a convolution of the input `x`."""
    b = Builder()
    conv = b.conv("c", "x", 4, 4)
    protos = [*b.nodes, helper.make_node("Identity", [conv], ["conv"])]
    for line in nodes:
        op_type, source, result = line.split()
        attributes: dict[str, Any] = {"perm": [0, 2, 3, 1]} if op_type == "Transpose" else {}
        protos.append(helper.make_node(op_type, [source], [result], **attributes))
    infos = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [SHAPE[i] for i in (0, 2, 3, 1)] if name.startswith("nhwc") else SHAPE
        )
        for name in outputs
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    graph = helper.make_graph(protos, "outputs", [x], infos, b.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CASES: dict[str, tuple[list[str], list[str]]] = {
    "the input": (["Identity x same"], ["same", "conv"]),
    "the input twice": (["Identity x same", "Identity x again"], ["again", "conv", "same"]),
    "two relus of the input": (["Relu x a", "Relu x b"], ["a", "b"]),
    "two relus of a convolution": (["Relu conv a", "Relu conv b"], ["a", "b"]),
    "an identity": (["Relu conv a", "Identity a b", "Identity b d"], ["b", "a", "d"]),
    "one of them goes on": (["Sigmoid conv a", "Sigmoid conv b", "Tanh b d"], ["a", "b", "d"]),
    "in two layouts": (["Transpose conv nhwc1", "Transpose conv nhwc2"], ["nhwc1", "conv", "nhwc2"]),
}


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("fp16", [False, True])
@pytest.mark.parametrize(("nodes", "outputs"), CASES.values(), ids=CASES)
def test_every_output_has_its_name_and_value(
    tmp_path: Path, nodes: list[str], outputs: list[str], fp16: bool
) -> None:
    proto = model_of(nodes, outputs)
    flat = optimize(
        save(proto, tmp_path), tmp_path / "m.nb", targets=("host",), verify=True, enable_fp16=fp16
    ).path
    x = np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32)
    with Program(flat) as program:
        assert [info.name for info in program.outputs] == outputs
        got = program.run(x)
    wanted = open_session(proto.SerializeToString(), optimized=False).run(None, {"x": x})
    for name, mine, theirs in zip(outputs, got, wanted, strict=True):
        np.testing.assert_allclose(
            mine, theirs, rtol=0.02 if fp16 else 1e-5, atol=0.02 if fp16 else 1e-5, err_msg=name
        )
    names = [tensor.name for tensor in load_program(flat).tensors]
    assert len(names) == len(set(names))
