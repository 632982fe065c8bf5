"""Weights of float operators stored as integers (format 1.2): which they are, and the float32 values that they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ptq_core.flatfile.operators.weighted import is_compressed
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.numerics.qparams import dequantize


def weights_of(program: Program, op: Op) -> int | None:
    """The tensor with the weights of ``op``, None if it has none."""
    return op.inputs[1] if op.kind.weighted and len(op.inputs) > 1 else None


def compressed_ops(program: Program) -> Iterator[Op]:
    """The operators whose weights are compressed."""
    for op in program.ops:
        w, x = weights_of(program, op), op.inputs[0]
        if w is not None and x is not None and is_compressed(program.tensors[x], program.tensors[w]):
            yield op


def expand_weights(program: Program) -> Program:
    """``program`` with float32 weights, scale · q rounded once, as the runtime makes them at load; itself if it has no others.

    New tensors stand behind those of ``program``.
    """
    ops = list(compressed_ops(program))
    if not ops:
        return program
    tensors = list(program.tensors)
    expanded: dict[int, int] = {}
    for op in ops:
        index = op.inputs[1]
        assert index is not None
        w = tensors[index]
        assert w.data is not None and w.qparams is not None  # noqa: PT018 - for the type checker
        if index not in expanded:
            real = dequantize(w.data, w.qparams.scales, axis=None if w.qparams.per_tensor else w.qparams.axis)
            expanded[index] = len(tensors)
            tensors.append(Tensor(w.name, DType.F32, w.dims, None, real))
    chosen = {id(op) for op in ops}
    return dataclasses.replace(
        program,
        tensors=tensors,
        ops=[
            dataclasses.replace(op, inputs=(op.inputs[0], expanded[op.inputs[1] or 0], *op.inputs[2:]))
            if id(op) in chosen
            else op
            for op in program.ops
        ],
    )


def lowest_minor(program: Program) -> int:
    """The first minor version of the format that can hold ``program``."""
    kinds = max((op.kind.since(op.attributes) for op in program.ops), default=1)
    types = max((_since(tensor.dtype) for tensor in program.tensors), default=1)
    integers = 4 if any(_computes_on_i32(program, op) for op in program.ops) else 1
    compressed = 2 if next(compressed_ops(program), None) is not None else 1
    return max(kinds, types, integers, compressed)


def _since(dtype: DType) -> int:
    return {DType.F16: 3, DType.I64: 4, DType.U8: 4, DType.BOOL: 4}.get(dtype, 1)


def _computes_on_i32(program: Program, op: Op) -> bool:
    """What leaves the bytes as they are is older on i32."""
    x = op.inputs[0]
    return x is not None and program.tensors[x].dtype == DType.I32 and not op.kind.same_bytes
