"""Weights of float operators stored as integers (format 1.2): which they are, and the float32 values that they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ptq_core.flatfile.program import DType, Op, OpKind, Program, Tensor
from ptq_core.numerics.qparams import dequantize

WEIGHTED = frozenset({OpKind.CONV2D, OpKind.FULLY_CONNECTED, OpKind.CONV2D_ADD})
"""The operators that have weights, at position 1."""

STORED = frozenset({DType.I8, DType.I16})


def weights_of(program: Program, op: Op) -> int | None:
    """The tensor with the weights of ``op``, None if it has none."""
    return op.inputs[1] if op.kind in WEIGHTED and len(op.inputs) > 1 else None


def is_compressed(x: Tensor, w: Tensor) -> bool:
    """True if ``w`` holds integers that stand for the float32 weights of an operator on ``x``."""
    return x.dtype == DType.F32 and w.dtype in STORED and w.qparams is not None


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
    if any(tensor.dtype == DType.F16 for tensor in program.tensors):
        return 3
    return 2 if next(compressed_ops(program), None) is not None else 1
