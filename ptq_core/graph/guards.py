"""What is looked at in a model from a stranger before onnx gets it: where its data lies, sizes that onnx does not survive."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from google.protobuf.message import Message

from ptq_core.errors import InputError, PtqError, cut
from ptq_core.graph.weights import all_tensors, location
from ptq_core.inputs import is_lack

MOST_VALUES = 2**31 - 1
"""Of a tensor, as in a flat file."""


@contextmanager
def entrance(path: Path) -> Iterator[None]:
    """What reads the model ``path`` stands in here: whatever a library raises because of it becomes an InputError.

    protobuf, onnx and onnx_ir raise unrelated classes for the same kind of fault. What the system refuses passes.
    """
    try:
        yield
    except (PtqError, MemoryError, OSError):
        raise
    except Exception as error:
        raise InputError(
            f"{path} is not a valid ONNX model: {first_line(error)}",
            rule="a model is what ONNX describes, and its libraries can read it",
            fix="export it again, or copy it again if it was transferred",
        ) from error


def first_line(error: Exception) -> str:
    """What ``error`` says first; the innermost cause where a library wrapped it."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return cut((str(error).strip() or type(error).__name__).splitlines()[0], 300)


def check_text(message: Message) -> None:
    """Raise InputError unless all names and other text in ``message`` are UTF-8: protobuf gives the bytes of others."""
    for field, value in message.ListFields():
        repeated = not isinstance(value, str | bytes | Message) and field.type in (
            field.TYPE_STRING,
            field.TYPE_MESSAGE,
        )
        for item in value if repeated else (value,):
            if field.type == field.TYPE_MESSAGE:
                check_text(item)
            elif field.type == field.TYPE_STRING and isinstance(item, bytes):
                raise InputError(
                    f"`{field.name}` of a {message.DESCRIPTOR.name} is not UTF-8: {cut(repr(item))}",
                    rule="text in an ONNX model is UTF-8",
                    fix="export the model again, or copy it again if it was transferred",
                )


def check_constants(proto: onnx.ModelProto) -> None:
    """Raise InputError for a constant in ``proto`` whose data are not those of its type and dims."""
    for tensor in all_tensors(proto):
        try:
            _check_packed(tensor)
            onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # each type has its own way to fail
            if is_lack(error):
                raise
            known = onnx.TensorProto.DataType.values()
            what = (
                onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in known else "no type"
            )
            raise InputError(
                f"constant `{cut(tensor.name)}` of type {tensor.data_type} ({what}) and dims {cut(str(list(tensor.dims)))}"
                f" cannot be read: {first_line(error)}",
                rule="data of a constant fit its type and dims",
                fix="export the model again, or copy it again if it was transferred",
            ) from error


_OF_FOUR_BITS = (onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1)


def _check_packed(tensor: onnx.TensorProto) -> None:
    """Raise ValueError for 4-bit values of another number than dims ask for: onnx cuts off what is too much."""
    needed = (math.prod(tensor.dims) + 1) // 2
    if tensor.data_type in _OF_FOUR_BITS and tensor.raw_data and len(tensor.raw_data) != needed:
        raise ValueError(f"it has {len(tensor.raw_data)} bytes and needs {needed}")


def check_sizes(graph: onnx.GraphProto) -> None:
    """Raise InputError for a tensor of more values than fit."""
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if math.prod(dim.dim_value or 1 for dim in dims) > MOST_VALUES:
            raise InputError(
                f"`{cut(value.name)}` has the shape {cut(str([dim.dim_value or '?' for dim in dims]))}",
                rule=f"a tensor has at most {MOST_VALUES} values",
                fix="export the model with an open batch, or for smaller pictures",
            )


def external_files(proto: onnx.ModelProto) -> set[str]:
    """The files that constants of ``proto`` refer to, relative to the model's folder."""
    return {where.get("location", "") for where in map(location, all_tensors(proto)) if where}


def check_external_data(proto: onnx.ModelProto, path: Path, params_filename: str | None) -> None:
    """Raise InputError unless all external data lies beside ``path``, in ``params_filename`` if that is given."""
    locations = external_files(proto) - {
        path.name
    }  # wire.py lets large constants refer to the model's own file
    for name in sorted(locations):
        target = (path.parent / name.replace("\0", "")).resolve()
        if "\0" in name or not target.is_relative_to(path.parent.resolve()):
            raise InputError(
                f"{path} refers to external data outside its folder: {name!r}",
                rule="external data lies in the model's folder",
                fix="do not trust this model, or put the data beside it",
            )
        if not target.is_file():
            raise InputError(
                f"{path} needs its external data {name}, which is missing",
                rule="external data lies beside the model",
                fix=f"copy {name} to {path.parent}",
            )
    if params_filename is not None and params_filename not in locations:
        raise InputError(
            f"params_filename is `{params_filename}`, but {path.name} "
            + (
                f"keeps its weights in {', '.join(sorted(locations))}"
                if locations
                else "holds its weights itself"
            ),
            rule="params_filename names the external-data file that the model refers to",
            fix="correct params_filename or remove it",
        )


def open_impossible_dims(proto: onnx.ModelProto) -> None:
    """Declared dimensions below 0 (an input's: below 1) are open ones, as old exporters meant them.

    Left as they are, some make onnx's shape inference end the process.
    """
    graph = proto.graph
    for least, values in ((1, graph.input), (0, [*graph.value_info, *graph.output])):
        for value in values:
            for dim in value.type.tensor_type.shape.dim:
                if dim.HasField("dim_value") and dim.dim_value < least:
                    dim.ClearField("dim_value")


_PROPAGATING = frozenset(
    {"Add", "Cast", "Ceil", "Concat", "Gather", "Identity", "Mul", "Slice", "Squeeze", "Sub", "Unsqueeze"}
)
_MAX_PARTS = 256


def doubles(graph: onnx.GraphProto) -> bool:
    """Whether a value is joined of hundreds of others through operators whose values onnx's shape inference propagates.

    A chain of Concat(x, x) would let it compute lists of any length; shapes are joined of a few.
    """
    parts: dict[str, int] = {}
    for node in graph.node:
        counts = [parts.get(name, 1) for name in node.input] if node.op_type in _PROPAGATING else []
        count = sum(counts) if node.op_type == "Concat" else max(counts, default=1)
        parts.update(dict.fromkeys(node.output, min(count, _MAX_PARTS + 1)))
    return any(count > _MAX_PARTS for count in parts.values())
