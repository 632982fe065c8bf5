"""f32 operators ⇒ f16 operators, with a convert where f32 and f16 meet."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.interpreter import half
from ptq_core.flatfile.operators.convert import CONVERT
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.optimize.rewrite import NOTHING, described

LARGEST = float(np.finfo(np.float16).max)


def lower_to_fp16(program: Program) -> list[str]:
    """Run every operator in half precision that can; constants are rounded to nearest.

    Requires nothing. Ensures that inputs and outputs stay f32, and so do int8 operators with their float outputs, and
    operators with a constant beyond 65504: half precision would make it infinite.
    """
    lowering = _Lowering(program)
    for op in program.ops:
        lowering.add(op)
    for index in program.outputs:
        lowering.as_float(index)
    program.ops = lowering.ops
    return lowering.changes


class _Lowering:
    """Builds the new list of operators; a float tensor keeps its index, its half gets one of its own."""

    def __init__(self, program: Program) -> None:
        self.ops: list[Op] = []
        self.changes: list[str] = []
        self._tensors = program.tensors
        self._halves: dict[int, int] = {}
        self._written_as_half: set[int] = set()  # not (yet) converted back

    def add(self, op: Op) -> None:
        if not self._lowers(op):
            for index in op.reads:
                self.as_float(index)
            self.ops.append(op)
            return
        inputs = tuple(None if index is None else self._as_half(index) for index in op.inputs)
        (out,) = op.outputs
        self._halves[out] = self._new(self._tensors[out])
        self._written_as_half.add(out)
        self.ops.append(dataclasses.replace(op, inputs=inputs, outputs=(self._halves[out],)))
        self.changes.append(f"{described(op)} ⇒ f16")

    def as_float(self, index: int) -> None:
        """Convert the tensor back if only its half exists."""
        if index in self._written_as_half:
            self._written_as_half.remove(index)
            self._convert(self._halves[index], index)

    def _as_half(self, index: int) -> int:
        if index not in self._halves:
            self._halves[index] = self._new(self._tensors[index])
            if not self._tensors[index].is_constant:
                self._convert(index, self._halves[index])
        return self._halves[index]

    def _lowers(self, op: Op) -> bool:
        tensors = [self._tensors[index] for index in (*op.reads, *op.outputs)]
        if not op.kind.has_f16 or any(tensor.dtype != DType.F32 for tensor in tensors):
            return False
        if any(tensor.data is not None and _overflows(tensor) for tensor in tensors):
            return False
        # What only moves data is not worth a conversion: it stays in the type of that.
        return not op.kind.moves or any(index in self._halves for index in op.reads)

    def _new(self, tensor: Tensor) -> int:
        data = None if tensor.data is None else half(tensor.data)
        self._tensors.append(
            dataclasses.replace(tensor, name=f"{tensor.name}:f16", dtype=DType.F16, data=data)
        )
        return len(self._tensors) - 1

    def _convert(self, source: int, target: int) -> None:
        name = f"{self._tensors[target].name}/convert"
        self.ops.append(Op(CONVERT, name, (source,), (target,), NOTHING))


def _overflows(tensor: Tensor) -> bool:
    assert tensor.data is not None
    finite = tensor.data[np.isfinite(tensor.data)]
    return bool(finite.size) and float(np.abs(finite).max()) > LARGEST
