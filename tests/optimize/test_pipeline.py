"""`optimize` as a whole: the file, its report, targets, and every refusal with what it must name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.errors import InputError
from ptq_core.flatfile.reader import read_program
from ptq_core.optimize.lowering.operators import OPERATORS
from ptq_core.optimize.pipeline import lower_to_program, optimize, resolve_targets
from tests.models import mobile_block, save
from tests.optimize.graphs import Graph, Qdq, build, build_proto


def test_optimize_writes_a_readable_file(tmp_path: Path) -> None:
    source = save(mobile_block(), tmp_path / "model")
    out = tmp_path / "new" / "mobile.nb"
    report = optimize(source, out, targets=("arm64", "x86"))
    data = out.read_bytes()
    program = read_program(data)
    assert report.path == out
    assert report.size_bytes == len(data)
    assert report.op_count == len(program.ops)
    assert report.int8_op_count == 0
    assert report.arena_bytes == program.arena_size
    assert program.targets == ("arm64", "x86_64", "x86")
    assert program.meta["precision"] == "fp32"
    assert program.meta["model"] == "model"
    assert [t.name for t in (program.tensors[program.inputs[0]], program.tensors[program.outputs[0]])] == [
        "input",
        "head/softmax/out",
    ]
    optimize(source, tmp_path / "again.nb", targets=("x86", "arm64"))
    assert (tmp_path / "again.nb").read_bytes() == data


def test_report_begins_with_simplification_and_lowering(tmp_path: Path) -> None:
    def graph(b: Qdq) -> str:
        x = b.node("Dropout", "dropout", [b.conv("conv", "input", 8, 8)])
        two = b.node("Add", "sum", [b.constant("one", np.float32(1)), b.constant("other", np.float32(1))])
        same = b.node("Reshape", "shape", [x, b.constant("dims", [0, 0, 0, 0])])
        return b.node("Mul", "mul", [b.node("Identity", "same", [same]), two])

    simplified, *lowering = optimize(build(graph), tmp_path / "x.nb").passes[:4]
    assert (simplified.name, simplified.ops_before, simplified.ops_after) == ("simplify", 6, 4)
    nothing = "nothing: it does not change values"
    assert simplified.changes == (f"`dropout` ⇒ {nothing}", f"`same` ⇒ {nothing}")
    assert [(r.name, r.ops_before, r.ops_after) for r in lowering] == [
        ("fold_constants", 4, 3),
        ("remove_identity", 3, 2),
        ("lower", 2, 4),
    ]
    assert lowering[0].changes == ("Add `sum` ⇒ a constant",)
    assert lowering[1].changes == ("Reshape `shape` ⇒ nothing",)
    assert lowering[2].changes[0] == "Conv `conv` ⇒ transpose + conv2d"


def test_a_loaded_model_is_not_changed(tmp_path: Path) -> None:
    model = ir.from_proto(mobile_block())
    before = ir.to_proto(model).SerializeToString()
    optimize(model, tmp_path / "a.nb")
    assert ir.to_proto(model).SerializeToString() == before


def test_the_table_of_operators_is_sorted() -> None:
    assert list(OPERATORS) == sorted(OPERATORS)


def test_targets() -> None:
    assert resolve_targets(("arm",)) == ("arm64", "armv7")
    assert resolve_targets(("x86_64", "arm64")) == ("arm64", "x86_64")
    assert len(resolve_targets(("host",))) == 1
    for wrong in (("mips",), ()):
        with pytest.raises(InputError, match="target"):
            resolve_targets(wrong)


def many_unsupported(b: Qdq) -> str:
    x = b.node("Bernoulli", "head/noise", [b.conv("conv", "input", 8, 8)])
    x = b.node("Conv", "head/running", [x, b.node("RandomNormalLike", "head/normal", [x])])
    scales = b.constant("scales", np.array([1, 1, 2, 2], np.float32))
    x = b.node("Resize", "neck/up", [x, "", scales], mode="linear", coordinate_transformation_mode="middle")
    return b.node("Bernoulli", "neck/noise", [x])


def other_scale(b: Qdq) -> str:
    z = b.constant("z", np.int8(0))
    q = b.node("QuantizeLinear", "q", ["input", b.constant("s1", np.float32(0.1)), z])
    return b.node("DequantizeLinear", "dq", [q, b.constant("s2", np.float32(0.2)), z])


def unknown_shape(b: Qdq) -> str:
    places = b.node("Reshape", "places", [b.node("NonZero", "zero", ["input"]), b.ints("all", -1)])
    pool = b.node("MaxPool", "pool", [b.node("Reshape", "by", ["input", places])], kernel_shape=[3, 3])
    return b.node("Reshape", "flat", [pool, b.ints("shape", 1, -1)])


# graph, opset, what the message names
REFUSED: dict[str, tuple[Graph, int, list[str]]] = {
    "all_at_once": (
        many_unsupported,
        17,
        [
            "Bernoulli (2), it draws random numbers: every run would differ: head/noise, neck/noise",
            "RandomNormalLike (1), it draws random numbers: every run would differ: head/normal",
            "Resize (1), its mode, coordinates or rounding are unknown: linear, middle, round_prefer_floor: neck/up",
            "head/running",
        ],
    ),
    "other_scale": (other_scale, 17, ["differs", ": dq"]),
    "cast": (
        lambda b: b.node(
            "Cast", "back", [b.node("Cast", "cast", ["input"], to=TensorProto.INT16)], to=TensorProto.FLOAT
        ),
        17,
        ["casts a computed value to int16, which is none of", ": cast"],
    ),
    "pad_cuts_all": (
        lambda b: b.node("Pad", "pad", ["input", b.ints("p", 0, 0, -99, 0, 0, 0, 99, 0)]),
        17,
        ["cut off a whole dimension: pad"],
    ),
    "unknown_shape": (  # the pool behind it is no cause
        unknown_shape,
        17,
        ["1 node cannot", "NonZero (1)"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    graph, opset, named = REFUSED[name]
    out = tmp_path / "x.nb"
    with pytest.raises(InputError) as caught:
        optimize(build(graph, opset=opset), out)
    for text in named:
        assert text in str(caught.value)
    assert caught.value.exit_code == 2
    assert not list(tmp_path.iterdir()), "nothing is left half-written"


def test_open_height_needs_an_input_shape(tmp_path: Path) -> None:
    proto = build_proto(lambda b: b.conv("conv", "input", 8, 4), (1, 8, "H", "W"))
    source = save(proto, tmp_path)
    with pytest.raises(InputError, match="'H', 'W'") as caught:
        optimize(source, tmp_path / "x.nb")
    assert "input_shape" in caught.value.fix
    optimize(source, tmp_path / "x.nb", input_shape=(1, 8, 9, 7))
    program = read_program((tmp_path / "x.nb").read_bytes())
    assert program.tensors[program.inputs[0]].dims == (1, 8, 9, 7)


def test_output_without_input() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["input"], ["y"], name="r"),
            helper.make_node("Neg", ["c"], ["z"], name="n"),
        ],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "z")],
        [onnx.numpy_helper.from_array(np.ones(3, np.float32), "c")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(InputError, match="`z` does not depend"):
        lower_to_program(ir.from_proto(model))
