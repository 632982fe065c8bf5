"""float16, bfloat16 and float64 become float32 on the way in: every later step computes with one type of float."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import onnx_ir as ir

from ptq_core.errors import InputError
from ptq_core.graph.guards import doubles
from ptq_core.graph.known_values import known_values
from ptq_core.graph.type_check import check_constant_types
from ptq_core.graph.weights import Array

FLOAT = onnx.TensorProto.FLOAT

OTHERS = {
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BFLOAT16: "bfloat16",
    onnx.TensorProto.DOUBLE: "float64",
}
"""The types that become float32 → their names."""

_TYPE_ATTRIBUTES = frozenset(
    {"to", "dtype", "output_datatype", "output_dtype", "stash_type", "softmax_precision", "precision"}
)
"""Integer attributes of ONNX's operators that are a type of tensors."""

_NOTE = "float32"
"""Where a loaded model keeps the sentence of `conversion_note`."""


def to_float32(proto: onnx.ModelProto, weights: dict[str, Array]) -> str:
    """Make ``proto``, whose functions are inlined, and its ``weights`` float32 where they are of OTHERS, in place.

    Returns a sentence that says so; "" where there was nothing to do. Whole numbers that follow from constants and known
    dimensions, as sizes do, are computed before, in the model's own types. What is finite stays so: beyond float32's range
    it becomes its largest number, and what would vanish its smallest normal one (an epsilon keeps a division from 0).
    Raises InputError for constants of a type that their operator does not take, and where bits are looked at (BitCast).
    """
    found = other_floats(proto)
    if not found:
        return ""
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=not doubles(proto.graph)))
    check_constant_types(model, weights)  # afterwards all types are one
    _settle_whole_numbers(proto, model)
    narrowing = _Narrowing(found)
    narrowing.graph(proto.graph)
    for name, array in weights.items():
        if array.dtype in _DTYPES:
            weights[name] = narrowing.array(array)
    return narrowing.note()


def note_conversion(model: ir.Model, sentence: str) -> None:
    """Remember what `to_float32` said with the loaded ``model``; its file does not have it."""
    model.meta[_NOTE] = sentence


def conversion_note(model: ir.Model) -> str:
    """The sentence about a model of another type of float that became float32 when it was loaded; "" for others."""
    return str(model.meta.get(_NOTE, ""))


_DTYPES = frozenset(onnx.helper.tensor_dtype_to_np_dtype(dtype) for dtype in OTHERS)


class _Narrowing:
    def __init__(self, found: set[int]) -> None:
        self._found = found
        self._beyond = 0

    def note(self) -> str:
        names = " and ".join(name for dtype, name in OTHERS.items() if dtype in self._found)
        beyond = f"; {self._beyond} constants have values beyond its range" if self._beyond else ""
        return f"the model's {names} is computed as float32, at its inputs and outputs too{beyond}"

    def graph(self, graph: onnx.GraphProto) -> None:
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._type(value.type)
        for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
            self._tensor(tensor)
        for node in graph.node:
            if node.op_type == "BitCast":
                raise InputError(
                    f"node `{node.name}` is a BitCast in a model of {self.note().split()[2]}",
                    rule="such a model is computed as float32, whose bits are others",
                    fix="export it as float32",
                )
            for attribute in node.attribute:
                self._attribute(attribute)

    def _attribute(self, attribute: onnx.AttributeProto) -> None:
        if attribute.type == onnx.AttributeProto.INT and attribute.name in _TYPE_ATTRIBUTES:
            attribute.i = FLOAT if attribute.i in OTHERS else attribute.i
        elif attribute.type == onnx.AttributeProto.TENSOR:
            self._tensor(attribute.t)
        elif attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
            self._tensor(attribute.sparse_tensor.values)
        for tensor in attribute.tensors:
            self._tensor(tensor)
        for kind in (attribute.tp, *attribute.type_protos):
            self._type(kind)
        for inner in (attribute.g, *attribute.graphs):
            self.graph(inner)

    def _type(self, kind: onnx.TypeProto) -> None:
        match kind.WhichOneof("value"):
            case "tensor_type" if kind.tensor_type.elem_type in OTHERS:
                kind.tensor_type.elem_type = FLOAT
            case "sparse_tensor_type" if kind.sparse_tensor_type.elem_type in OTHERS:
                kind.sparse_tensor_type.elem_type = FLOAT
            case "sequence_type":
                self._type(kind.sequence_type.elem_type)
            case "optional_type":
                self._type(kind.optional_type.elem_type)

    def _tensor(self, tensor: onnx.TensorProto) -> None:
        if tensor.data_type in OTHERS:
            narrow = self.array(onnx.numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx.numpy_helper.from_array(narrow, tensor.name))

    def array(self, array: Array) -> Array:
        limits = np.finfo(np.float32)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            narrow = np.asarray(array.astype(np.float32))
        if array.dtype != np.float64:
            return narrow
        too_large = np.isinf(narrow) & np.isfinite(array)
        vanished = (narrow == 0) & (array != 0)
        if too_large.any() or vanished.any():
            self._beyond += 1
            signs = np.sign(array)
            narrow = np.where(too_large, signs * limits.max, narrow)
            narrow = np.where(vanished, signs * limits.smallest_normal, narrow)
        return np.asarray(narrow, np.float32)


def other_floats(proto: onnx.ModelProto) -> set[int]:
    """Those of OTHERS that ``proto`` names: a value in between is made by a node with such an attribute, or of such inputs."""
    found: set[int] = set()

    def of_graph(graph: onnx.GraphProto) -> None:
        for value in (*graph.input, *graph.output, *graph.value_info):
            of_type(value.type)
        found.update(tensor.data_type for tensor in graph.initializer)
        found.update(sparse.values.data_type for sparse in graph.sparse_initializer)
        of_nodes(graph.node)

    def of_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
        for node in nodes:
            for attribute in node.attribute:
                of_attribute(attribute)

    def of_attribute(attribute: onnx.AttributeProto) -> None:
        if attribute.type == onnx.AttributeProto.INT and attribute.name in _TYPE_ATTRIBUTES:
            found.add(attribute.i)
        found.update(tensor.data_type for tensor in (attribute.t, *attribute.tensors))
        found.add(attribute.sparse_tensor.values.data_type)
        for kind in (attribute.tp, *attribute.type_protos):
            of_type(kind)
        for inner in (attribute.g, *attribute.graphs):
            of_graph(inner)

    def of_type(kind: onnx.TypeProto) -> None:
        found.add(kind.tensor_type.elem_type)
        found.add(kind.sparse_tensor_type.elem_type)
        for inner in (kind.sequence_type, kind.optional_type):
            if inner.HasField("elem_type"):
                of_type(inner.elem_type)

    of_graph(proto.graph)
    for function in proto.functions:
        of_nodes(function.node)
        for attribute in function.attribute_proto:
            of_attribute(attribute)
        for value in function.value_info:
            of_type(value.type)
    return found & set(OTHERS)


def _settle_whole_numbers(proto: onnx.ModelProto, model: ir.Model) -> None:
    """Let Constants stand for what is computed of floats of OTHERS and counts: whole numbers, conditions, Ranges.

    floor(20 · 1.05) is 21 in float64 and 20 in float32. ``model`` is ``proto`` with its types.
    """
    counting = [node.outputs[0] for node in model.graph if len(node.outputs) == 1 and _counts(node)]
    known = known_values(model, counting)
    arrays = {str(value.name): known[value] for value in counting if value in known}
    for node in proto.graph.node:
        if len(node.output) == 1 and node.output[0] in arrays:
            value = onnx.numpy_helper.from_array(arrays[node.output[0]])
            node.CopyFrom(
                onnx.helper.make_node("Constant", [], list(node.output), name=node.name, value=value)
            )


def _counts(node: ir.Node) -> bool:
    if not _any_of_others(node.inputs):
        return False
    output = node.outputs[0]
    return node.op_type == "Range" or (output.dtype is not None and not output.dtype.is_floating_point())


def _any_of_others(values: Iterable[ir.Value | None]) -> bool:
    return any(
        value is not None and value.dtype is not None and int(value.dtype) in OTHERS for value in values
    )
