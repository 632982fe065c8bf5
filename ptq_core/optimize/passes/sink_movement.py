"""Compute before a reshape or a transpose instead of after it: activations reach the operator that they fuse with."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.transpose import TRANSPOSE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.optimize.rewrite import Rewriter, transpose_of

MOVEMENT = kinds(lambda kind: kind.permutes)
ELEMENTWISE = kinds(lambda kind: kind.elementwise)


def sink_movement(program: Program) -> list[str]:
    """reshape/transpose → element-wise operator ⇒ element-wise operator → reshape/transpose: two transposes meet and cancel.

    Requires a float operator that broadcasts no computed value and is the only reader of what is moved; of two computed values
    both are moved alike, a constant is of one element, or one that can be moved back. Ensures bit-identical values.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*ELEMENTWISE):
        moves = {index: rewriter.producer(index, *MOVEMENT) for index in op.inputs}
        move = next((m for m in moves.values() if m is not None), None)
        y = rewriter.tensor(op.outputs[0])
        if move is None or not _is_float(rewriter, op) or rewriter.tensor(move.outputs[0]).dims != y.dims:
            continue
        inputs = [_before(rewriter, op, move, index) for index in op.inputs]
        if any(index is None for index in inputs):
            continue
        early = rewriter.like(f"{y.name}:early", rewriter.tensor(move.inputs[0]).dims, y.dtype)
        computed = dataclasses.replace(op, inputs=tuple(inputs), outputs=(early,))
        after = dataclasses.replace(move, inputs=(early,), outputs=op.outputs)
        rewriter.replace(op, [computed, after], without=[m for m in moves.values() if m is not None])
    return rewriter.changes


def _is_float(rewriter: Rewriter, op: Op) -> bool:
    tensors = (rewriter.tensor(index) for index in (*op.reads, *op.outputs))
    return all(tensor.dtype == DType.F32 for tensor in tensors if not tensor.is_constant)


def _before(rewriter: Rewriter, op: Op, move: Op, index: int | None) -> int | None:
    """Operand ``index`` of ``op`` as it is before ``move``; None if it is not to be had."""
    tensor, out = rewriter.tensor(index), rewriter.tensor(op.outputs[0])
    if tensor.data is not None:
        data = _moved_back(rewriter, move, tensor, out.dims)
        return None if data is None else rewriter.constant(tensor.name, data, tensor.qparams)
    own = rewriter.producer(index, move.kind)
    if own is None or index is None or tensor.dims != out.dims:
        return None
    alike = (
        own.attributes == move.attributes
        and rewriter.tensor(own.inputs[0]).dims == rewriter.tensor(move.inputs[0]).dims
    )
    readers = rewriter.consumers(index)
    only = len(readers) == 1 and readers[0] is op and index not in rewriter.program.outputs
    return own.inputs[0] if alike and only else None


def _moved_back(rewriter: Rewriter, move: Op, tensor: Tensor, dims: tuple[int, ...]) -> Array | None:
    """The values of a constant operand in front of ``move``, whose output has ``dims``; None if they cannot be brought there."""
    data, source = tensor.data, rewriter.tensor(move.inputs[0]).dims
    assert data is not None
    if (tensor.qparams is not None and not tensor.qparams.per_tensor) or data.ndim > len(dims):
        return None
    if data.size == 1:
        return data.reshape(())
    if move.kind == TRANSPOSE:
        perm = transpose_of(move).perm
        back = tuple(int(i) for i in np.argsort(perm))
        return data.reshape((1,) * (len(dims) - data.ndim) + data.shape).transpose(back)
    if data.shape == dims:
        return data.reshape(source)
    per_channel = data.shape[-1] == data.size == dims[-1] == source[-1]
    return data.reshape(-1) if per_channel else None
