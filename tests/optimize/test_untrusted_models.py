"""Models from strangers: every trick ends in one clean error about the input, without reading or allocating what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ptq_core.errors import InputError
from ptq_core.graph.io import load_model
from ptq_core.graph.wire import MIN_BYTES
from ptq_core.optimize.lowering.folding import MAX_GROWTH
from ptq_core.optimize.pipeline import optimize
from tests.models import Builder, save
from tests.optimize.graphs import Graph, Qdq, build_proto

LARGE = 40
"""Channels of `convolution`: its weight is detached, since it has more than MIN_BYTES."""


def convolution() -> onnx.ModelProto:
    b = Builder()
    return b.model(b.conv("conv", "input", 3, LARGE), shape=(1, 3, 8, 8))


def weight_of(model: onnx.ModelProto) -> onnx.TensorProto:
    tensor = next(t for t in model.graph.initializer if t.name == "conv/weight")
    assert len(tensor.raw_data) >= MIN_BYTES
    return tensor


def refused(model: onnx.ModelProto, folder: Path, *said: str) -> None:
    """`optimize` raises InputError with these words, and writes nothing."""
    source = save(model, folder)
    with pytest.raises(InputError) as caught:
        optimize(source, folder / "out" / "x.nb")
    assert caught.value.exit_code == 2
    for words in said:
        assert words in str(caught.value)
    assert not (folder / "out").exists() or not list((folder / "out").iterdir())


@pytest.mark.parametrize(
    ("dims", "said"),
    [
        ([LARGE, 3, 3, 4], "4320 bytes, its dims [40, 3, 3, 4] need 5760"),
        ([2**40, 2**40, 2**40], "need 5316911983139663491615228241121378304"),
        ([2**62, 4], "need 73786976294838206464"),
        ([-LARGE, -3, 3, 3], "a dimension is negative"),
    ],
    ids=str,
)
def test_dims_that_are_not_those_of_the_data(tmp_path: Path, dims: list[int], said: str) -> None:
    model = convolution()
    tensor = weight_of(model)
    del tensor.dims[:]
    tensor.dims.extend(dims)
    refused(model, tmp_path, "conv/weight", said)


def external(tensor: onnx.TensorProto, **entries: object) -> None:
    """Let ``tensor`` say that its data lies elsewhere."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": 8}, "offset 8, length 4320 in w.bin of 4324 bytes"),
        ({"offset": -4}, "offset -4"),
        ({"offset": 2**63}, f"offset {2**63}"),
        ({"offset": "x"}, "no number"),
        ({"length": 2**40}, f"length {2**40}"),
        ({"length": 8}, "length 8"),
    ],
    ids=str,
)
def test_external_data_that_is_not_in_its_file(tmp_path: Path, entries: dict[str, object], said: str) -> None:
    model = convolution()
    (tmp_path / "w.bin").write_bytes(bytes(4324))
    external(weight_of(model), location="w.bin", **entries)
    refused(model, tmp_path, "conv/weight", said)


def test_external_data_in_its_file(tmp_path: Path) -> None:
    model = convolution()
    data = weight_of(model).raw_data
    (tmp_path / "w.bin").write_bytes(bytes(4) + data)
    external(weight_of(model), location="w.bin", offset=4, length=len(data))
    loaded = load_model(save(model, tmp_path)).graph.initializers["conv/weight"].const_value
    assert loaded is not None
    assert loaded.numpy().tobytes() == data


def in_initializer(model: onnx.ModelProto) -> onnx.TensorProto:
    return weight_of(model)


def in_constant_node(model: onnx.ModelProto) -> onnx.TensorProto:
    value = onnx.numpy_helper.from_array(np.ones(2000, np.float32), "value")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], name="constant", value=value))
    return model.graph.node[0].attribute[0].t


def in_graph_of_a_node(model: onnx.ModelProto) -> onnx.TensorProto:
    tensor = onnx.numpy_helper.from_array(np.ones(2000, np.float32), "inner")
    out = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2000])
    branch = helper.make_graph([], "branch", [], [out], [tensor])
    node = helper.make_node(
        "If", ["condition"], ["unused"], name="if", then_branch=branch, else_branch=branch
    )
    model.graph.node.insert(0, node)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "condition"))
    return model.graph.node[0].attribute[0].g.initializer[0]


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", "w\0bin"])
@pytest.mark.parametrize("place", [in_initializer, in_constant_node, in_graph_of_a_node])
def test_external_data_may_not_leave_the_folder(
    tmp_path: Path, place: Callable[[onnx.ModelProto], onnx.TensorProto], location: str
) -> None:
    (tmp_path / "secret").write_bytes(bytes(8000))
    model = convolution()
    external(place(model), location=location)
    refused(model, tmp_path / "model", "outside its folder")


def test_a_link_may_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(4320))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    model = convolution()
    external(weight_of(model), location="w.bin")
    refused(model, tmp_path / "model", "outside its folder")


def model_of(graph: Graph, shape: tuple[int, ...]) -> onnx.ModelProto:
    """Its output has open dimensions, whatever they would be."""
    b = Qdq(seed=7)
    model = b.model(graph(b), shape=shape)
    open_dims = [f"d{i}" for i in range(len(shape))]
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info(model.graph.output[0].name, TensorProto.FLOAT, open_dims)
    )
    return model


def huge_constant(b: Qdq) -> str:
    return b.node("Add", "add", ["input", b.node("ConstantOfShape", "huge", [b.ints("s", 1 << 30)])])


def huge_expand(b: Qdq) -> str:
    one = b.constant("one", np.ones(1, np.float32))
    return b.node("Add", "add", ["input", b.node("Expand", "huge", [one, b.ints("s", 1 << 15, 1 << 15)])])


def huge_tile(b: Qdq) -> str:
    one = b.constant("one", np.ones((1, 1), np.float32))
    return b.node("Add", "add", ["input", b.node("Tile", "huge", [one, b.ints("s", 1 << 15, 1 << 15)])])


def huge_range(b: Qdq) -> str:
    ends = [b.constant(name, np.float32(value)) for name, value in (("a", 0), ("b", 1e9), ("c", 1))]
    return b.node("Add", "add", ["input", b.node("Range", "huge", ends)])


def many_times_two(b: Qdq) -> str:
    """Each result is twice as large: none is much larger than its input, all are together."""
    x = b.constant("start", np.ones(1 << 11, np.float32))
    for i in range(19):
        x = b.node("Concat", f"twice{i}", [x, x], axis=0)
    return b.node("Add", "add", ["input", x])


def endless_loop(b: Qdq) -> str:
    out = helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        ],
        [out, helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
    )
    start = [
        b.ints("count", 1 << 62),
        b.constant("yes", np.array(True)),
        b.constant("x0", np.ones(1, np.float32)),
    ]
    b.constants[-3].dims.pop()
    return b.node("Add", "add", ["input", b.node("Loop", "forever", start, body=body)])


@pytest.mark.parametrize(
    "graph", [huge_constant, huge_expand, huge_tile, huge_range, many_times_two], ids=lambda g: g.__name__
)
def test_constants_that_grow(tmp_path: Path, graph: Graph) -> None:
    refused(model_of(graph, (1, 4)), tmp_path, f"larger by more than {MAX_GROWTH}")


def test_a_loop_of_constants_is_not_run(tmp_path: Path) -> None:
    refused(model_of(endless_loop, (1, 4)), tmp_path, "Loop (1), a flat file has no loops")


def resized(b: Qdq) -> str:
    return b.node(
        "Resize", "up", ["input", "", b.constant("s", np.array([1, 1, 1e5, 1e5], np.float32))], mode="nearest"
    )


def padded(b: Qdq) -> str:
    return b.node("Pad", "pad", ["input", b.ints("p", 0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20)])


def strided(b: Qdq) -> str:
    return b.conv("conv", "input", 8, 4, strides=[1 << 40, 1])


def spread_far(b: Qdq) -> str:
    return b.conv("conv", "input", 8, 4, pads=[1 << 40, 1, 1 << 40, 1], strides=[1 << 40, 1])


def unequal_bounds(b: Qdq) -> str:
    return b.node("Slice", "part", ["input", b.ints("s", 0, 0), b.ints("e", 4), b.ints("a", 2, 3)])


def statistics_of_others(b: Qdq) -> str:
    return b.batch_norm("norm", "input", 5)


def no_stride(b: Qdq) -> str:
    return b.node("MaxPool", "pool", ["input"], kernel_shape=[1, 1], strides=[0, 1])


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (resized, "`up/out` has the shape [1, 8, 1300000, 1100000]"),
        (padded, "`pad/out` has the shape [1, 8, 1048589, 1048587]"),
        (strided, "more than 32 bits: conv"),
        (spread_far, "more than 32 bits: conv"),
        (no_stride, ": pool"),
        (unequal_bounds, "equally many: part"),
        (statistics_of_others, "[8] channels: norm"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_sizes_that_overflow(tmp_path: Path, graph: Graph, said: str) -> None:
    refused(model_of(graph, (1, 8, 13, 11)), tmp_path, said)


def field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    size, length = len(data), b""
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def test_graphs_in_graphs_in_graphs(tmp_path: Path) -> None:
    """A protobuf bomb: the parser's own limit of depth is an error of the file."""
    graph = b""
    for _ in range(5000):  # GraphProto.node, NodeProto.attribute, AttributeProto.g
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "bomb.onnx"
    path.write_bytes(field(7, graph))
    with pytest.raises(InputError, match="cannot read"):
        load_model(path)


def test_dimensions_below_zero_are_open_ones(tmp_path: Path) -> None:
    """Slices of them would end the process inside onnx's shape inference."""

    def reversed_rows(b: Qdq) -> str:
        bounds = [b.ints(name, value) for name, value in (("s", -1), ("e", -99), ("a", 2), ("t", -1))]
        return b.node("Slice", "reversed", ["input", *bounds])

    model = build_proto(reversed_rows)
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_value = -5
    refused(model, tmp_path, "open shape", "input_shape")
