"""A flat file as text for people: header, inputs and outputs, operators, tensors, memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from ptq_core.flatfile.attributes import NAMED_VALUES, Clamp
from ptq_core.flatfile.layout import OPS, VERSION_MAJOR, VERSION_MINOR
from ptq_core.flatfile.program import Op, Program, QuantParams, Tensor


def dump_program(program: Program) -> str:
    """One line per input, output, operator and tensor; scales with 9 digits, so that float32 is exact."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    yield f"flat file {VERSION_MAJOR}.{VERSION_MINOR} by {program.producer or '?'} for {', '.join(program.targets)}"
    for key, value in sorted(program.meta.items()):
        yield f"meta {key}: {value}"
    constants = sum(t.size_bytes for t in program.tensors if t.is_constant)
    yield f"arena {program.arena_size} bytes, constants {constants} bytes"
    for label, indices in (("input", program.inputs), ("output", program.outputs)):
        for index in indices:
            yield f"{label} %{index} {_type(program.tensors[index])} {program.tensors[index].name}"
    for step, op in enumerate(program.ops):
        yield f"op {step} {_op(op)}"
    for index, tensor in enumerate(program.tensors):
        yield f"tensor %{index} {_type(tensor)} {_place(tensor)}{_qparams(tensor.qparams)} {tensor.name}"


def _op(op: Op) -> str:
    inputs = ", ".join("-" if index is None else f"%{index}" for index in op.inputs)
    outputs = ", ".join(f"%{index}" for index in op.outputs)
    defaults = {f.name: f.default for f in dataclasses.fields(Clamp)}
    attributes = [
        f"{name}={_named(op, name, value)}"
        for name, _ in OPS[op.kind].fields
        if (value := getattr(op.attributes, name)) != defaults.get(name)
    ]
    return f"{outputs} = {op.kind.label}({inputs}) {' '.join(attributes)}{' ' if attributes else ''}{op.name}"


def _named(op: Op, name: str, value: Any) -> str:
    names = NAMED_VALUES.get((type(op.attributes), name))
    return _value(value) if names is None else names(value).name.lower()


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
