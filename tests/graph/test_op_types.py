"""The names that a node answers to depend on its attributes and neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.graph.op_types import Kind, check_op_types, kind_of, names_of
from tests.models import Builder, save


def node_names(b: Builder, output: str, folder: Path) -> dict[str, tuple[str, ...]]:
    model = io.load_model(save(b.model(output, shape=(1, 4, 8, 8)), folder))
    return {str(node.name): names_of(node) for node in model.graph}


def test_convolutions(tmp_path: Path) -> None:
    b = Builder()
    x = b.conv("grouped", b.conv("depthwise", "input", 4, 4, group=4), 4, 4, group=2)
    y = b.node("ConvTranspose", "up", [x, b.weight("w", 4, 1, 2, 2)], group=4)
    assert node_names(b, y, tmp_path) == {
        "depthwise": ("depthwise_conv2d", "Conv"),
        "grouped": ("conv2d", "Conv"),
        "up": ("depthwise_conv2d_transpose", "ConvTranspose"),
    }


def test_matrix_products(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("MatMul", "constant", ["input", b.weight("w", 8, 8)])
    names = node_names(b, b.node("MatMul", "both", [x, "input"]), tmp_path)
    assert names == {
        "constant": ("mul", "matmul", "matmul_v2", "MatMul"),
        "both": ("matmul", "matmul_v2", "MatMul"),
    }


@pytest.mark.parametrize(("gate", "paddle"), [("Sigmoid", "swish"), ("HardSigmoid", "hard_swish")])
def test_swish_is_two_nodes(tmp_path: Path, gate: str, paddle: str) -> None:
    b = Builder()
    product = b.node("Mul", "product", ["input", b.node(gate, "gate", ["input"])])
    names = node_names(b, b.node("Mul", "other", [product, b.node(gate, "alone", ["input"])]), tmp_path)
    assert paddle in names["gate"]
    assert paddle in names["product"]
    assert paddle not in names["other"]
    assert paddle not in names["alone"]


@pytest.mark.parametrize(
    ("mode", "name", "kind"),
    [
        ("nearest", "nearest_interp", Kind.MOVES),
        ("linear", "bilinear_interp", Kind.ARITHMETIC),
        ("cubic", "Resize", None),
    ],
)
def test_resize(tmp_path: Path, mode: str, name: str, kind: Kind | None) -> None:
    b = Builder()
    y = b.node("Resize", "up", ["input", "", b.constant("s", np.array([1, 1, 2, 2], np.float32))], mode=mode)
    model = io.load_model(save(b.model(y, shape=(1, 4, 8, 8)), tmp_path))
    node = next(iter(model.graph))
    assert names_of(node)[0] == name
    assert kind is None or kind_of(node) is kind


def test_other_operators_have_no_name(tmp_path: Path) -> None:
    b = Builder()
    assert node_names(b, b.node("Exp", "exp", ["input"]), tmp_path) == {"exp": ()}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("conf2d",), "did you mean `conv2d`"),
        (("Relux",), "did you mean `Relu"),
        (("lstm",), "choose from these"),
    ],
)
def test_unknown_names(names: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_op_types(names)
