"""The hands of the passes: who writes and reads a tensor, and edits that keep a program's operators in execution order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ptq_core.flatfile.operators.attributes import Clamp, NoAttributes
from ptq_core.flatfile.operators.concat import Concat
from ptq_core.flatfile.operators.conv2d import Conv2d
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.matmul import Matmul
from ptq_core.flatfile.operators.pad import Pad
from ptq_core.flatfile.operators.transpose import Transpose
from ptq_core.flatfile.operators.unary import Unary, UnaryFunction
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, QuantParams, Tensor


class Rewriter:
    """Queries and edits of ``program``; ``changes`` says in a few words what each edit did."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.changes: list[str] = []
        self._producers: dict[int, Op] = {}
        self._consumers: dict[int, list[Op]] = {}
        for op in program.ops:
            self._enter(op)

    def ops(self, *kinds: OperatorKind[Any]) -> Iterator[Op]:
        """The operators of ``kinds`` (any, if none is given) that exist when the walk begins and when it reaches them."""
        for op in list(self.program.ops):
            if (not kinds or op.kind in kinds) and self._producers.get(op.outputs[0]) is op:
                yield op

    def tensor(self, index: int | None) -> Tensor:
        """The tensor at ``index``."""
        if index is None:
            raise ValueError("an absent input has no tensor")
        return self.program.tensors[index]

    def producer(self, index: int | None, *kinds: OperatorKind[Any]) -> Op | None:
        """The operator that writes ``index`` if it is one of ``kinds`` (any, if none is given)."""
        op = None if index is None else self._producers.get(index)
        return op if op is not None and (not kinds or op.kind in kinds) else None

    def consumers(self, index: int) -> list[Op]:
        """The operators that read ``index``, in no order."""
        return self._consumers.get(index, [])

    def sole_consumer(self, index: int, *kinds: OperatorKind[Any]) -> Op | None:
        """The one reader of ``index`` if there is no other, no program output, and it is one of ``kinds``."""
        readers = self.consumers(index)
        if len(readers) != 1 or index in self.program.outputs or readers[0].reads.count(index) != 1:
            return None
        return readers[0] if not kinds or readers[0].kind in kinds else None

    def like(self, name: str, dims: tuple[int, ...], dtype: DType, qparams: QuantParams | None = None) -> int:
        """A new arena tensor."""
        return self.program.add(Tensor(name, dtype, dims, qparams))

    def constant(self, name: str, data: Array, qparams: QuantParams | None = None) -> int:
        """A new constant tensor of f32, f16, i8 or i32 ``data``."""
        dtype = next(dtype for dtype in DType if dtype.numpy == data.dtype)
        data = np.ascontiguousarray(data)
        return self.program.add(Tensor(name, dtype, tuple(data.shape), qparams, data))

    def replace(self, op: Op, new: Sequence[Op], without: Sequence[Op] = ()) -> None:
        """Put ``new`` where ``op`` stands, and drop ``without``, which nothing reads any more."""
        self._put(op, new)
        for unread in without:
            self._put(unread, ())
        self.changes.append(f"{described(op)} ⇒ {' + '.join(op_label(made) for made in new)}")

    def fuse(self, first: Op, second: Op, fused: Op) -> None:
        """Put ``fused`` where ``second`` stands and drop ``first``, whose output only ``second`` reads."""
        self._put(second, [fused])
        self._put(first, ())
        self.changes.append(f"{described(first)} + {described(second)} ⇒ {op_label(fused)}")

    def bypass(self, op: Op, source: int) -> None:
        """Drop ``op``; its readers, and the program's outputs, take ``source`` instead, which has the same values."""
        self._put(op, ())
        out = op.outputs[0]
        if self.tensor(source).origin is None:
            known = dataclasses.replace(self.tensor(source), origin=self.tensor(out).origin)
            self.program.tensors[source] = known
        for reader in list(self.consumers(out)):
            inputs = tuple(source if index == out else index for index in reader.inputs)
            self._put(reader, [dataclasses.replace(reader, inputs=inputs)])
        self.program.outputs = [source if index == out else index for index in self.program.outputs]
        self.changes.append(f"{described(op)} ⇒ nothing")

    def _put(self, op: Op, new: Sequence[Op]) -> None:
        """``new`` where ``op`` stands."""
        position = next(i for i, other in enumerate(self.program.ops) if other is op)
        self.program.ops[position : position + 1] = new
        for index in op.outputs:
            if self._producers[index] is op:
                del self._producers[index]
        for index in set(op.reads):
            self._consumers[index] = [other for other in self._consumers[index] if other is not op]
        for made in new:
            self._enter(made)

    def _enter(self, op: Op) -> None:
        for index in op.outputs:
            self._producers[index] = op
        for index in set(op.reads):
            self._consumers.setdefault(index, []).append(op)


def excerpt(program: Program, ops: Sequence[Op], convert: Callable[[Tensor], Tensor]) -> Program:
    """``ops`` as a program of their own, from the one tensor that they read and do not write to the last one's output.

    ``convert`` is applied to every tensor.
    """
    used = dict.fromkeys(index for op in ops for index in (*op.reads, *op.outputs))
    number = {index: position for position, index in enumerate(used)}
    part = Program([convert(program.tensors[index]) for index in used])
    part.ops = [renumbered(op, number) for op in ops]
    written = {index for op in part.ops for index in op.outputs}
    read = dict.fromkeys(index for op in part.ops for index in op.reads)
    part.inputs = [i for i in read if i not in written and not part.tensors[i].is_constant]
    part.outputs = list(part.ops[-1].outputs)
    return part


def keep_tensors(program: Program, order: Iterable[int]) -> None:
    """Renumber the tensors of ``program`` as ``order``, which names all that are still used, and drop the others."""
    kept = list(order)
    number = {old: new for new, old in enumerate(kept)}
    program.tensors = [program.tensors[old] for old in kept]
    program.ops = [renumbered(op, number) for op in program.ops]
    program.inputs = [number[i] for i in program.inputs]
    program.outputs = [number[i] for i in program.outputs]


def renumbered(op: Op, number: Mapping[int, int]) -> Op:
    """``op`` on the tensors that ``number`` gives for its own."""
    return dataclasses.replace(
        op,
        inputs=tuple(None if i is None else number[i] for i in op.inputs),
        outputs=tuple(number[i] for i in op.outputs),
    )


def op_label(op: Op) -> str:
    """The kind of ``op``, with its function where it has one: `conv2d`, `unary silu`."""
    a = op.attributes
    return (
        f"{op.kind.name} {UnaryFunction(a.function).name.lower()}" if isinstance(a, Unary) else op.kind.name
    )


def described(op: Op) -> str:
    """Kind and name of ``op`` for people."""
    return f"{op_label(op)} `{op.name}`"


def with_attributes(op: Op, **fields: Any) -> Op:
    """``op`` with some attribute fields changed."""
    return dataclasses.replace(op, attributes=dataclasses.replace(op.attributes, **fields))


def clamp_of(op: Op) -> Clamp:
    """The clamp attributes of ``op``."""
    return _expect(op, Clamp)


def conv_of(op: Op) -> Conv2d:
    """The attributes of a convolution."""
    return _expect(op, Conv2d)


def pad_of(op: Op) -> Pad:
    """The attributes of a pad."""
    return _expect(op, Pad)


def transpose_of(op: Op) -> Transpose:
    """The attributes of a transpose."""
    return _expect(op, Transpose)


def matmul_of(op: Op) -> Matmul:
    """The attributes of a product of matrices."""
    return _expect(op, Matmul)


def concat_of(op: Op) -> Concat:
    """The attributes of a concatenation."""
    return _expect(op, Concat)


def unary_of(op: Op) -> Unary:
    """The attributes of a function of one tensor."""
    return _expect(op, Unary)


def is_clamped(op: Op) -> bool:
    """True if an activation is fused into ``op``."""
    return clamp_of(op).bounds


def only_selects(op: Op) -> bool:
    """True if every output value of ``op`` is one of its inputs' (or a filler): quantized before or after, it is the same."""
    clamped = isinstance(op.attributes, Clamp) and op.attributes.bounds
    return op.kind.selects(op.attributes) and not clamped


NOTHING = NoAttributes()


T = TypeVar("T")


def _expect(op: Op, kind: type[T]) -> T:
    if not isinstance(op.attributes, kind):
        raise TypeError(f"{op.kind.name} {op.name} has no {kind.__name__} attributes")
    return op.attributes
