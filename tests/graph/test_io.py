"""Loading: what is completed, and what each broken model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from ptq_core.errors import InputError
from ptq_core.graph import io, opsets
from ptq_core.graph.input_shapes import static_shape
from ptq_core.graph.session import open_session
from ptq_core.options.shapes import parse_shapes
from tests.models import Builder, mobile_block, save


def test_find_model(tmp_path: Path) -> None:
    path = save(mobile_block(), tmp_path / "one")
    assert io.find_model(tmp_path / "one") == path
    assert io.find_model(path) == path
    save(mobile_block(), tmp_path / "one", "other.onnx")
    assert io.find_model(tmp_path / "one", "other.onnx").name == "other.onnx"
    with pytest.raises(InputError, match=r"2 \.onnx files \(model\.onnx, other\.onnx\)"):
        io.find_model(tmp_path / "one")
    with pytest.raises(InputError, match=r"no file modle\.onnx[\s\S]*did you mean `model\.onnx`"):
        io.find_model(tmp_path / "one", "modle.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"0 \.onnx files"):
        io.find_model(tmp_path / "empty")
    with pytest.raises(InputError, match="no model folder"):
        io.find_model(tmp_path / "none")


def test_unnamed_and_equal_names_become_unique(tmp_path: Path) -> None:
    model = mobile_block()
    for node in model.graph.node[:3]:
        node.name = ""
    for node in model.graph.node[3:5]:
        node.name = "twin"
    loaded = io.load_model(save(model, tmp_path))
    names = [str(node.name) for node in loaded.graph]
    assert len(set(names)) == len(names) == len(model.graph.node)
    assert names[0] == "Conv_0"
    assert names[3] == "twin"


def test_old_opsets_are_converted_and_compute_the_same(tmp_path: Path) -> None:
    b = Builder()
    model = b.model(b.node("Relu", "relu", [b.conv("conv", "input", 3, 4)]), opset=9)
    model.opset_import.append(helper.make_opsetid("com.unused", 1))
    path = save(model, tmp_path)
    loaded = io.load_model(path)
    assert loaded.graph.opset_imports[""] >= opsets.MIN_OPSET
    assert "com.unused" not in loaded.graph.opset_imports
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    expected = open_session(path).run(None, {"input": x})[0]
    np.testing.assert_array_equal(open_session(io.to_bytes(loaded)).run(None, {"input": x})[0], expected)


def test_initializers_listed_as_inputs_are_constants(tmp_path: Path) -> None:
    model = mobile_block()
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    assert io.picture_input(io.load_model(save(model, tmp_path))).name == "input"


def external(folder: Path, location: str = "weights.bin") -> Path:
    path = folder / "model.onnx"
    onnx.save(mobile_block(), str(path), save_as_external_data=True, location=location, size_threshold=0)
    return path


def test_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    assert len(io.load_model(path, params_filename="weights.bin").graph.initializers) > 10
    assert io.size_bytes(path) == path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    with pytest.raises(InputError, match=r"`other`.*keeps its weights in weights\.bin"):
        io.load_model(path, params_filename="other")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"weights\.bin, which is missing"):
        io.load_model(path)


def test_external_data_may_not_leave_the_folder(tmp_path: Path) -> None:
    path = external(tmp_path)
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../weights.bin" if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="outside its folder"):
        io.load_model(path)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x08" + b"\xff" * 40])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError):
        io.load_model(path)


@pytest.mark.parametrize("number", [0, 8, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 99, -1])
def test_a_constant_of_another_type_than_its_data(tmp_path: Path, number: int) -> None:
    model = mobile_block()
    model.graph.initializer[0].data_type = number
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        InputError,
        match=rf"{model.graph.initializer[0].name}.* of type {number} |: it has 864 bytes|not a valid",
    ):
        io.load_model(path)


@pytest.mark.parametrize("name", ["INT8", "UINT4", "BFLOAT16", "FLOAT16", "DOUBLE", "FLOAT8E4M3FN"])
def test_a_constant_of_a_type_that_its_operator_does_not_take(tmp_path: Path, name: str) -> None:
    b = Builder()
    model = b.model(b.conv("conv", "input", 3, 4))
    weight = model.graph.initializer[0]
    number = onnx.TensorProto.DataType.Value(name)
    weight.CopyFrom(helper.make_tensor(weight.name, number, weight.dims, np.ones(4 * 3 * 3 * 3)))
    with pytest.raises(
        InputError, match=rf"constant `{weight.name}` is {name}, an input `W` of the Conv `conv`"
    ):
        io.load_model(save(model, tmp_path))


@pytest.mark.parametrize("field", ["name", "op_type", "input"])
def test_text_that_is_not_utf8(tmp_path: Path, field: str) -> None:
    b = Builder()
    model = b.model(b.node("Relu", "marker1", ["input"]))
    node = model.graph.node[0]
    node.input[0] = "marker0"
    model.graph.input[0].name = "marker0"
    text = {"name": node.name, "op_type": "Relu", "input": "marker0"}[field].encode()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString().replace(text, b"\xff\xfe\xfd\xfc" + text[4:]))
    with pytest.raises(InputError, match="is not UTF-8"):
        io.load_model(path)


def test_a_shape_of_too_many_values(tmp_path: Path) -> None:
    b = Builder()
    model = b.model(b.node("Relu", "relu", ["input"]), shape=(2**40, 3, 8, 8))
    with pytest.raises(InputError, match=r"`input` has the shape \[1099511627776, 3, 8, 8\]"):
        io.load_model(save(model, tmp_path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model file"):
        io.load_model(tmp_path / "none.onnx")


def test_an_invalid_graph(tmp_path: Path) -> None:
    model = mobile_block()
    model.graph.node[1].input[0] = "nowhere"
    with pytest.raises(InputError, match="not a valid ONNX model"):
        io.load_model(save(model, tmp_path))


def test_input_shapes(tmp_path: Path) -> None:
    b = Builder()
    model = b.model(b.conv("conv", "input", 3, 4), shape=("N", 3, "H", "W"))
    path = save(model, tmp_path)
    with pytest.raises(InputError, match=r"open shape \['N', 3, 'H', 'W'\][\s\S]*set input_shape"):
        static_shape(io.picture_input(io.load_model(path)))
    loaded = io.load_model(path, input_shape=(1, 3, 8, 12))
    assert static_shape(io.picture_input(loaded)) == (1, 3, 8, 12)
    assert loaded.graph.outputs[0].shape == (1, 4, 8, 12)
    for wrong in ((1, 4, 8, 8), (3, 8, 8)):
        with pytest.raises(InputError, match="does not fit input"):
            io.load_model(path, input_shape=wrong)


@pytest.mark.parametrize(
    ("shapes", "example"),
    [
        ({"x": ["N", 3, "H", "W"]}, "1,3,224,224"),
        ({"x": ["N", "C", "H", "W"]}, "1,3,224,224"),
        ({"x": ["N", 1, 32, "W"]}, "1,1,32,224"),
        ({"x": ["N", "H", "W", 3]}, "1,224,224,3"),
        ({"x": ["N", "samples"]}, "1,100"),
        ({"x": ["N", 80, "frames"]}, "1,80,100"),
        ({"x": ["N", 1, "samples"]}, "1,1,100"),
        ({"x": ["N", "T"], "y": ["N", 4, "T"]}, "x:1,100 and y:1,4,100"),
        ({"x": ["N", 4], "y": [2, "N", "T"]}, "y:2,1,100"),
        ({"x": ["N", 4], "y": [2, "M", 4]}, "y:2,100,4"),
    ],
)
def test_shapes_of_a_hint_fit(tmp_path: Path, shapes: dict[str, Any], example: str) -> None:
    inputs = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in shapes.items()]
    nodes = [helper.make_node("Relu", [name], [f"{name}/out"], name=name) for name in shapes]
    outputs = [
        helper.make_tensor_value_info(f"{n}/out", onnx.TensorProto.FLOAT, s) for n, s in shapes.items()
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = save(model, tmp_path)
    loaded = io.load_model(path)
    with pytest.raises(InputError) as caught:
        _ = [static_shape(value) for value in loaded.graph.inputs]
    assert caught.value.fix == f"set input_shape, e.g. {example}"
    given = parse_shapes(example.split(" and "))
    for value in io.load_model(path, input_shape=given).graph.inputs:
        assert min(static_shape(value)) > 0


def test_a_name_of_a_dimension_is_one_size(tmp_path: Path) -> None:
    b = Builder()
    model = b.model(b.node("Mul", "mul", ["input", "other"]), shape=("N", 3, "H", "W"))
    model.graph.input.append(helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [1, 1, "H", "K"]))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("mul/out", onnx.TensorProto.FLOAT, ["N", 3, "H", "W"])
    )
    loaded = io.load_model(save(model, tmp_path), input_shape={"input": (1, 3, 8, 12)})
    assert [str(d) for d in loaded.graph.inputs[1].shape or ()] == ["1", "1", "8", "K"]


def test_one_float_input_is_needed(tmp_path: Path) -> None:
    model = mobile_block()
    model.graph.input.append(helper.make_tensor_value_info("second", onnx.TensorProto.FLOAT, [1]))
    with pytest.raises(InputError, match=r"2 inputs \(input, second\)"):
        io.picture_input(io.load_model(save(model, tmp_path)))
    model = mobile_block()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    with pytest.raises(InputError):
        io.picture_input(io.load_model(save(model, tmp_path)))


@pytest.mark.parametrize("name", io.PADDLE_FILES)
def test_a_paddle_model_is_recognised(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="PaddlePaddle model") as caught:
        io.find_model(tmp_path)
    assert "paddle2onnx" in caught.value.fix


def old_prelu() -> onnx.ModelProto:
    """A model of opset 6: PRelu of `x/out`, a copy of the input, with three slopes."""
    b = Builder()
    slopes = b.constant("slopes", np.array([0.5, 2, 3], np.float32))
    model = b.model(b.node("PRelu", "prelu", [b.node("Identity", "x", ["input"]), slopes]), opset=17)
    model.opset_import[0].version = 6
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("prelu/out", onnx.TensorProto.FLOAT, ["N", 3, 16, 16])
    )
    return model


@pytest.mark.parametrize("is_output", [False, True])
def test_slopes_of_old_prelu_are_one_per_channel(tmp_path: Path, is_output: bool) -> None:
    model = old_prelu()
    if is_output:
        read = helper.make_tensor_value_info("x/out", onnx.TensorProto.FLOAT, ["N", 3, 16, 16])
        model.graph.output.append(read)
    session = open_session(io.to_bytes(io.load_model(save(model, tmp_path))))
    (y,) = session.run(["prelu/out"], {"input": np.full((1, 3, 16, 16), -1, np.float32)})
    assert y[0, :, 0, 0].tolist() == [-0.5, -2, -3]


def test_an_old_prelu_of_unknown_rank_is_refused(tmp_path: Path) -> None:
    model = old_prelu()
    model.graph.input.append(helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, ["rank"]))
    model.graph.node[0].CopyFrom(helper.make_node("Reshape", ["input", "shape"], ["x/out"], name="x"))
    with pytest.raises(InputError, match="`prelu/out` reads a value of unknown rank"):
        io.load_model(save(model, tmp_path))
