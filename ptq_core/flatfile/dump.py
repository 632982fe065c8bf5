"""A flat file as text for people, and as a record for machines: header, inputs and outputs, operators, tensors, memory.

The text is byte for byte what the C++ tool `show_bin --dump` prints of the file (a test holds the two together); of a file
that another writer made, the spaces in META may differ.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from ptq_core.flatfile.compressed import lowest_minor
from ptq_core.flatfile.layout import ALIGNMENT, VERSION_MAJOR
from ptq_core.flatfile.lifetimes import buffers, lower_bound
from ptq_core.flatfile.operators.attributes import Clamp, Field
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import QuantParams, Tensor
from ptq_core.flatfile.writer import meta_text


def dump_program(program: Program) -> str:
    """The lines of `program_lines` as one text."""
    return "\n".join(program_lines(program)) + "\n"


def program_lines(program: Program) -> Iterator[str]:
    """One line per input, output, operator and tensor; scales with 9 digits, so that float32 is exact; names as they are."""
    yield f"flat file {_version(program)} by {program.producer or '?'} for {', '.join(program.targets)}"
    yield f"meta {meta_text(program)}"
    yield f"arena {program.arena_size} bytes, constants {_constant_bytes(program)} bytes"
    for label, indices in (("input", program.inputs), ("output", program.outputs)):
        for index in indices:
            yield f"{label} %{index} {_type(program.tensors[index])} {program.tensors[index].name}"
    for step, op in enumerate(program.ops):
        yield f"op {step} {_op(op)}"
    for index, tensor in enumerate(program.tensors):
        yield f"tensor %{index} {_type(tensor)} {_place(tensor)}{_qparams(tensor.qparams)} {tensor.name}"


def describe_program(program: Program) -> dict[str, Any]:
    """What the text says, as a record for JSON, with the memory plan's lifetimes: operators from ``first`` to ``last``.

    −1 is before the first operator; infinite clamp bounds are the strings `inf` and `-inf`.
    """
    alive = {index: buffer for buffer in buffers(program) for index, _ in buffer.tensors}
    return {
        "type": "flat file",
        "version": _version(program),
        "producer": program.producer,
        "targets": list(program.targets),
        "meta": dict(program.meta),
        "arena_bytes": program.arena_size,
        "arena_least_bytes": lower_bound(program, ALIGNMENT),
        "constant_bytes": _constant_bytes(program),
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "ops": [
            {
                "kind": op.kind.name,
                "name": op.name,
                "inputs": list(op.inputs),
                "outputs": list(op.outputs),
                "attributes": {field.name: _plain(op, field) for field in op.kind.fields},
            }
            for op in program.ops
        ],
        "tensors": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype.label,
                "dims": list(tensor.dims),
                "bytes": tensor.size_bytes,
                **({"constant": True} if tensor.is_constant else {"offset": tensor.offset}),
                **({"first": alive[i].first, "last": alive[i].last} if i in alive else {}),
                **_qparams_record(tensor.qparams),
            }
            for i, tensor in enumerate(program.tensors)
        ],
    }


def _version(program: Program) -> str:
    major, minor = program.version or (VERSION_MAJOR, lowest_minor(program))
    return f"{major}.{minor}"


def _constant_bytes(program: Program) -> int:
    return sum(tensor.size_bytes for tensor in program.tensors if tensor.is_constant)


def _plain(op: Op, field: Field) -> Any:
    value = getattr(op.attributes, field.name)
    if isinstance(value, tuple):
        return list(value)
    if field.names is not None or (isinstance(value, float) and math.isinf(value)):
        return _named(field, value)
    return value


def _qparams_record(qparams: QuantParams | None) -> dict[str, Any]:
    if qparams is None:
        return {}
    scales = [float(scale) for scale in qparams.scales]
    return {"scales": scales, "zero_point": qparams.zero_point, "axis": qparams.axis}


def _op(op: Op) -> str:
    inputs = ", ".join("-" if index is None else f"%{index}" for index in op.inputs)
    outputs = ", ".join(f"%{index}" for index in op.outputs)
    defaults = {f.name: f.default for f in dataclasses.fields(Clamp)}
    attributes = [
        f"{field.name}={_named(field, value)}"
        for field in op.kind.fields
        if (value := getattr(op.attributes, field.name)) != defaults.get(field.name)
    ]
    return f"{outputs} = {op.kind.name}({inputs}) {' '.join(attributes)}{' ' if attributes else ''}{op.name}"


def _named(field: Field, value: Any) -> str:
    return _value(value) if field.names is None else field.names(value).name.lower()


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ",".join(str(v) for v in value) + "]"
    if isinstance(value, float):
        return str(value) if math.isinf(value) else f"{value:.9g}"
    return str(value)


def _type(tensor: Tensor) -> str:
    return f"{tensor.dtype.label}[{','.join(str(d) for d in tensor.dims)}]"


def _place(tensor: Tensor) -> str:
    return "constant" if tensor.is_constant else f"arena+{tensor.offset}"


def _qparams(qparams: QuantParams | None) -> str:
    if qparams is None:
        return ""
    scales = ",".join(f"{float(s):.9g}" for s in qparams.scales[:4])
    more = f",…({len(qparams.scales)})" if len(qparams.scales) > 4 else ""
    axis = "" if qparams.per_tensor else f" axis={qparams.axis}"
    return f" scale={scales}{more} zero_point={qparams.zero_point}{axis}"
