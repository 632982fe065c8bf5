"""Writes the operators of a node as a formula."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MUL, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.reduce import ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.tensors import Array
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import Activation, Constant, Lowering
from ptq_core.optimize.lowering.matrices import multiply_rows
from ptq_core.optimize.lowering.reductions import reduced
from ptq_core.optimize.lowering.resampling import resample
from ptq_core.optimize.lowering.selection import sliced

Operand = Activation | Array | float


class Formula:
    """Emits the operators of one node; the name of each result ends in its number."""

    def __init__(self, context: Lowering, node: ir.Node) -> None:
        self.x = context.real_input(node)
        self._context, self._node = context, node
        self._name, self._node_name = str(node.outputs[0].name), str(node.name)
        self._count = 0

    def _next(self) -> str:
        self._count += 1
        return f"{self._name}:{self._count}"

    def of(self, function: UnaryFunction, x: Activation, alpha: float = 0.0) -> Activation:
        """A function of the runtime."""
        return apply(self._context, function, self._node_name, self._next(), x, alpha)

    def _two(self, kind: OperatorKind[Clamp], a: Operand, b: Operand) -> Activation:
        left, right = (
            v if isinstance(v, Activation) else Constant(np.asarray(v, np.float32)) for v in (a, b)
        )
        return combine(self._context, kind, self._node_name, self._next(), left, right)

    def add(self, a: Operand, b: Operand) -> Activation:
        """a + b."""
        return self._two(ADD, a, b)

    def sub(self, a: Operand, b: Operand) -> Activation:
        """a − b."""
        return self._two(SUB, a, b)

    def mul(self, a: Operand, b: Operand) -> Activation:
        """a · b."""
        return self._two(MUL, a, b)

    def div(self, a: Operand, b: Operand) -> Activation:
        """a / b."""
        return self._two(DIV, a, b)

    def clamp(self, x: Activation, lo: float = -np.inf, hi: float = np.inf) -> Activation:
        """x within bounds."""
        out = self._context.arena_tensor(self._next(), self._context.tensor(x).dims)
        bounds = Clamp(lo=float(np.float32(lo)), hi=float(np.float32(hi)))
        index = self._context.emit(CLAMP, self._node_name, (x.tensor,), out, bounds)
        return Activation(index, x.channels_last)

    def largest(self, x: Activation, axis: int) -> Activation:
        """The maximum along ``axis`` of the model's layout."""
        return reduced(self._context, self._node_name, self._next(), x, ReduceFunction.MAX, (axis,))

    def product(self, x: Activation, axis: int, matrix: np.ndarray) -> Activation:
        """``matrix`` along ``axis`` of the model's layout."""
        return resample(self._context, self._node_name, self._next(), x, axis, matrix)

    def rows(self, x: Activation, weight: int, bias: int | None = None) -> Activation:
        """x [rows, K] times the transposed constant ``weight`` [O, K], plus ``bias`` [O]: [rows, O]; both are tensors."""
        stored = self._context.model_layout(x)
        return Activation(multiply_rows(self._context, self._node_name, self._next(), stored, weight, bias))

    def part(self, x: Activation, axis: int, begin: int, count: int) -> Activation:
        """``count`` elements of ``axis`` of the model's layout from ``begin`` on."""
        picks = [range(d) for d in self._context.dims(x)]
        picks[axis] = range(begin, begin + count)
        return sliced(self._context, self._node_name, self._next(), x, picks)

    def shaped(self, x: Activation, *dims: int) -> Activation:
        """x with other dims."""
        return self._context.reshaped(x, dims, self._next(), self._node_name)

    def turned(self, x: Activation, *perm: int) -> Activation:
        """x with its dimensions permuted."""
        index = self._context.model_layout(x)
        return Activation(self._context.transpose(index, perm, self._node_name, self._next()))

    def joined(self, parts: list[Activation], axis: int) -> Activation:
        """``parts`` behind each other; all in the model's layout."""
        if len(parts) == 1:
            return parts[0]
        tensors = [part.tensor for part in parts]
        return Activation(self._context.join(tensors, axis, self._next(), self._node_name))

    def constant(self, values: Array) -> int:
        """A tensor that several operators may read."""
        return self._context.constant_tensor(self._next(), Constant(values.astype(np.float32)))

    def done(self, y: Activation, output: int = 0) -> None:
        """``y`` is a result of the node."""
        self._context.bind(self._node.outputs[output], y)
