"""Small picture folders and an exact model to observe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

PICTURES = 7
SIZE = 8

MakeModel = Callable[..., bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven seeded 8x8 RGB pictures of several formats, and a text file beside them."""
    random = np.random.default_rng(1)
    target = tmp_path / "pictures"
    target.mkdir()
    for index in range(PICTURES):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        suffix = ("png", "JPG", "bmp", "jpeg")[index % 4]
        Image.fromarray(pixels).save(target / f"p{index}.{suffix}")
    (target / "notes.txt").write_text("not a picture", encoding="utf-8")
    return target


@pytest.fixture
def two_steps() -> MakeModel:
    """A model of input [batch, 3, 8, 8]: twice = 2·input, then shifted = twice − 1, and an unused int64 shape."""

    def make(batch: int | str = "N", reshape_to_one: bool = False, op: str = "Mul") -> bytes:
        nodes = [
            helper.make_node(op, ["input", "two"], ["twice"], name="twice"),
            helper.make_node("Sub", ["twice", "one"], ["shifted"], name="shifted"),
            helper.make_node("Shape", ["input"], ["shape"], name="shape"),
        ]
        constants = [
            helper.make_tensor("two", TensorProto.FLOAT, [], [2.0 if op == "Mul" else 0.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        ]
        if reshape_to_one:
            constants.append(helper.make_tensor("flat", TensorProto.INT64, [4], [1, 3, 8, 8]))
            nodes.append(helper.make_node("Reshape", ["shifted", "flat"], ["reshaped"], name="reshaped"))
        graph = helper.make_graph(
            nodes,
            "two_steps",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 8, 8])],
            [helper.make_tensor_value_info("shifted", TensorProto.FLOAT, [batch, 3, 8, 8])],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    return make
