"""What is looked at in a model from a stranger before onnx gets it: where its data lies, sizes that onnx does not survive."""

from __future__ import annotations

from pathlib import Path

import onnx

from ptq_core.errors import InputError
from ptq_core.graph.weights import all_tensors, location


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
