"""Pictures of one colour each and a classifier that tells which channel is brightest: every hit is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (99, 99, 99)}

MakeModel = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with red.png … and labels.txt: three right, then grey, a tie that class 0 wins, labelled 2."""
    for name, colour in COLOURS.items():
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "labels.txt").write_text("red.png 0\ngreen.png 1\nblue.png 2\ngrey.png 2\n", encoding="utf-8")
    (tmp_path / "config.yaml").write_text("preprocess: {resize: [2, 2]}\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def brightest_channel(tmp_path: Path) -> MakeModel:
    """Writes an ONNX classifier of input ``shape``: class k's score is the mean of channel k, output [N, 3, 1, 1]."""

    def make(shape: Sequence[int | str] = ("n", 3, 2, 2), op_type: str = "GlobalAveragePool") -> Path:
        node = helper.make_node(op_type, ["x"], ["y"], name="pool")
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph([node], "g", [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return make
