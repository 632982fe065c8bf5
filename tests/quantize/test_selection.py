"""Which operators are chosen, and the reason for each that is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import onnx
import pytest

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.graph.passes import simplify
from ptq_core.quantize.selection import Selection, absent_types, select, skipped_nodes
from tests.models import Builder, mobile_block, save


def choose(proto: onnx.ModelProto, folder: Path, **keys: Any) -> Selection:
    config = QuantizeConfig(model_dir=folder, save_model_path=folder, **keys)
    model = io.load_model(save(proto, folder))
    skipped = skipped_nodes(model, config)
    simplify(model)
    absent_types(model, config)
    return select(model, config, skipped)


def chosen(selection: Selection) -> list[str]:
    return [str(unit.node.name) for unit in selection.units]


def test_default_types(tmp_path: Path) -> None:
    selection = choose(mobile_block(), tmp_path)
    assert chosen(selection) == ["stem/conv", "body/depthwise", "body/project", "head/logits"]
    assert selection.fused == {"stem/relu6": "stem/conv", "body/relu6": "body/depthwise"}
    assert selection.reasons == {
        "body/add": "elementwise_add is not in quantizable_op_type",
        "body/relu": "relu is not in quantizable_op_type",
        "skip_quant/pool": "in the skip_quant scope `skip_quant`",
        "head/flatten": "flatten is not in quantizable_op_type",
        "head/softmax": "softmax is not in quantizable_op_type",
    }


def test_one_type_only(tmp_path: Path) -> None:
    selection = choose(mobile_block(), tmp_path, quantizable_op_type=("depthwise_conv2d",))
    assert chosen(selection) == ["body/depthwise"]
    assert selection.reasons["stem/conv"] == "conv2d is not in quantizable_op_type"


def test_onnx_names_are_accepted(tmp_path: Path) -> None:
    selection = choose(mobile_block(), tmp_path, quantizable_op_type=("Conv",))
    assert chosen(selection) == ["stem/conv", "body/depthwise", "body/project"]


def test_full_quantize_takes_what_it_can(tmp_path: Path) -> None:
    selection = choose(mobile_block(), tmp_path, is_full_quantize=True, skip_quant=())
    assert chosen(selection) == [
        "stem/conv", "body/depthwise", "body/project", "body/add", "skip_quant/pool", "head/flatten", "head/logits"
    ]  # fmt: skip
    assert selection.fused["body/relu"] == "body/add"
    assert set(selection.reasons) == {"head/softmax"}


def test_full_quantize_leaves_float_what_only_float_reads(tmp_path: Path) -> None:
    """The pool is skipped, so nothing reads the Add's sum in int8; the type's name asks for it all the same."""
    selection = choose(mobile_block(), tmp_path, is_full_quantize=True)
    assert chosen(selection) == ["stem/conv", "body/depthwise", "body/project", "head/flatten", "head/logits"]
    assert "no int8 operator reads its output" in selection.reasons["body/add"]
    named = choose(
        mobile_block(), tmp_path, is_full_quantize=True, quantizable_op_type=("elementwise_add", "softmax")
    )
    assert {"body/add", "head/softmax"} < set(chosen(named))


def test_an_explicit_scope_wins_over_the_default_one(tmp_path: Path) -> None:
    selection = choose(mobile_block(), tmp_path, is_full_quantize=True, skip_quant=("body",))
    assert chosen(selection) == ["stem/conv", "skip_quant/pool", "head/flatten", "head/logits"]
    assert selection.reasons["body/project"] == "in the skip_quant scope `body`"


def test_a_scope_typo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean `body`"):
        choose(mobile_block(), tmp_path, skip_quant=("bdy",))


def test_an_op_type_typo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean `conv2d`"):
        choose(mobile_block(), tmp_path, quantizable_op_type=("conv2d", "conv2"))


def test_op_types_that_the_model_has_not_are_named(tmp_path: Path) -> None:
    model = io.load_model(save(mobile_block(), tmp_path))
    config = QuantizeConfig(
        model_dir=tmp_path,
        save_model_path=tmp_path,
        quantizable_op_type=("conv2d", "mul", "concat", "relu", "argmax"),
    )
    assert absent_types(model, config).startswith(
        "quantizable_op_type: the model has no concat, argmax; it has Add,"
    )
    assert absent_types(model, dataclasses.replace(config, quantizable_op_type=("conv2d", "mul"))) == ""


def test_moves_are_int8_only_where_int8_is_read(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("MaxPool", "pool", [b.conv("conv", "input", 3, 4)], kernel_shape=[2, 2], strides=[2, 2])
    left = b.conv("left", x, 4, 4)
    right = b.node("Sigmoid", "sigmoid", [b.node("Flatten", "flatten", [left])])
    selection = choose(b.model(right, shape=(1, 3, 8, 8)), tmp_path, is_full_quantize=True)
    assert chosen(selection) == ["conv", "pool", "left"]
    assert selection.reasons["flatten"] == "only moves values, and no int8 operator reads its output"


def test_weights_that_are_not_constant(tmp_path: Path) -> None:
    b = Builder()
    weight = b.node("Relu", "computed", [b.weight("raw", 4, 3, 1, 1)])
    x = b.node("Conv", "dynamic", ["input", weight])
    selection = choose(b.model(b.conv("static", x, 4, 4)), tmp_path)
    assert chosen(selection) == ["static"]
    assert selection.reasons["dynamic"] == "its weights are not constant"


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}])
def test_unusual_gemm(tmp_path: Path, attributes: dict[str, float]) -> None:
    b = Builder()
    inputs = ["input", b.weight("weight", 6, 5), b.weight("bias", 5)]
    selection = choose(b.model(b.node("Gemm", "gemm", inputs, **attributes), shape=("N", 6)), tmp_path)
    assert "alpha, beta" in selection.reasons["gemm"]


def test_a_shared_conv_output_keeps_its_activation_apart(tmp_path: Path) -> None:
    b = Builder()
    conv = b.conv("conv", "input", 3, 4)
    selection = choose(b.model(b.node("Add", "add", [conv, b.node("Relu", "relu", [conv])])), tmp_path)
    assert selection.fused == {}
