"""Large constants apart from the rest of a model: checked, held once, so that what copies the model copies no weights.

onnx's checker, converter and shape inference serialize the model that they get, and parse it again in C++.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.errors import InputError
from ptq_core.graph.wire import MIN_BYTES

Array = NDArray[Any]

_TYPES = {
    onnx.TensorProto.BFLOAT16: onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16),
    **{
        getattr(onnx.TensorProto, name): np.dtype(code)
        for name, code in (
            ("FLOAT", "<f4"), ("DOUBLE", "<f8"), ("FLOAT16", "<f2"), ("BOOL", "?"), ("INT8", "i1"), ("UINT8", "u1"),
            ("INT16", "<i2"), ("UINT16", "<u2"), ("INT32", "<i4"), ("UINT32", "<u4"), ("INT64", "<i8"), ("UINT64", "<u8"),
        )
    },
}  # fmt: skip
"""Types whose bytes NumPy reads as they lie in the file; tensors of others stay in the model."""


def detach(proto: onnx.ModelProto, folder: Path) -> dict[str, Array]:
    """Take the large constants out of ``proto``, whose graph has inputs of their type and shape instead; name → values.

    External data is mapped from its file in ``folder``, not read. Raises InputError where dims and bytes do not fit.
    """
    weights: dict[str, Array] = {}
    kept: list[onnx.TensorProto] = []
    for tensor in proto.graph.initializer:
        array = _array(tensor, folder)
        if array is None or array.nbytes < MIN_BYTES or tensor.name in weights:
            kept.append(tensor)
            continue
        weights[tensor.name] = array
        proto.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    left = onnx.GraphProto(initializer=kept)
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(left.initializer)
    return weights


def attach(model: ir.Model, weights: Mapping[str, Array], order: Mapping[str, int]) -> None:
    """Make the inputs that `detach` left constants again; all constants are brought into ``order`` (name → rank)."""
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in weights]:
        graph.inputs.remove(value)
        value.const_value = ir.tensor(weights[str(value.name)], name=value.name)
        graph.register_initializer(value)
    values = sorted(graph.initializers.values(), key=lambda value: order.get(str(value.name), len(order)))
    graph.initializers.clear()
    for value in values:
        graph.register_initializer(value)


def release_constants(model: ir.Model) -> None:
    """Drop the values of all constants; ``model`` must not be used any more."""
    for value in model.graph.initializers.values():
        value.const_value = None


def all_tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every constant of ``proto``: initializers, sparse ones too, and attributes of nodes, in functions and inner graphs too."""
    yield from _tensors_of_graph(proto.graph)
    for function in proto.functions:
        yield from _tensors_of_nodes(function.node)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (tensor for tensor in (attribute.t, *attribute.tensors) if tensor.ByteSize())
            for inner in (attribute.g, *attribute.graphs):
                if inner.ByteSize():
                    yield from _tensors_of_graph(inner)


def location(tensor: onnx.TensorProto) -> dict[str, str]:
    """The external data of ``tensor`` as key → value; empty if it holds its data itself."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return {}
    return {entry.key: entry.value for entry in tensor.external_data}


def _array(tensor: onnx.TensorProto, folder: Path) -> Array | None:
    """The values of ``tensor``; None where they lie in the fields for single numbers, or are of a type that NumPy lacks."""
    dtype = _TYPES.get(tensor.data_type)
    where = location(tensor)
    if dtype is None or not (where or tensor.HasField("raw_data")):
        return None
    dims = tuple(tensor.dims)
    if any(d < 0 for d in dims):
        raise _misfit(tensor, "a dimension is negative")
    size = math.prod(dims) * dtype.itemsize
    if where:
        return _mapped(tensor, folder, where, dtype, size)
    data = tensor.raw_data
    if len(data) != size:
        raise _misfit(tensor, f"it has {len(data)} bytes, its dims {list(dims)} need {size}")
    return np.frombuffer(data, dtype).reshape(dims)


def _mapped(
    tensor: onnx.TensorProto, folder: Path, where: Mapping[str, str], dtype: np.dtype[Any], size: int
) -> Array:
    path = folder / where["location"]
    available = path.stat().st_size
    try:
        offset, length = int(where.get("offset", 0)), int(where.get("length", size))
    except ValueError:
        raise _misfit(tensor, "offset or length of its external data is no number") from None
    if length != size or offset < 0 or offset + size > available:
        raise _misfit(
            tensor,
            f"offset {offset}, length {length} in {path.name} of {available} bytes; its dims {list(tensor.dims)} need {size}",
        )
    if size == 0:
        return np.zeros(tuple(tensor.dims), dtype)
    return np.memmap(path, dtype, "r", offset, tuple(tensor.dims))


def _misfit(tensor: onnx.TensorProto, problem: str) -> InputError:
    return InputError(
        f"constant `{tensor.name}`: {problem}",
        rule="dims and data of a constant fit, and external data lies inside its file",
        fix="export the model again, or copy it again with its external data",
    )
