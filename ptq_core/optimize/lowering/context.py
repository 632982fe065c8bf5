"""The state of a lowering: which program tensor or constant stands for each ONNX value, and in which layout."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.layout import MAX_ELEMENTS
from ptq_core.flatfile.operators.attributes import Attributes, NoAttributes
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import UNSCALED, Array, DType, Origin, QuantParams, Tensor
from ptq_core.flatfile.writer import pack_attributes
from ptq_core.numerics import reference

DTYPES = {
    ir.DataType.FLOAT: DType.F32,
    ir.DataType.INT32: DType.I32,
    ir.DataType.INT64: DType.I64,
    ir.DataType.UINT8: DType.U8,
    ir.DataType.BOOL: DType.BOOL,
}
"""Types of values as the runtime holds them; int8 is for quantized ones."""

TYPE_NAMES = ", ".join(f"{onnx_type.numpy()}" for onnx_type in DTYPES)


def to_last(rank: int) -> tuple[int, ...]:
    """The permutation that puts the channels, dimension 1, last: NCHW to NHWC, and likewise with other spatial dimensions."""
    return (0, *range(2, rank), 1)


def to_second(rank: int) -> tuple[int, ...]:
    """The permutation that puts channels that lie last back to dimension 1: NHWC to NCHW."""
    return (0, rank - 1, *range(1, rank - 1))


MAX_NUMBERS = 2**24
"""So many numbers may a constant have that a node's lowering makes: indices, matrices. A node can ask for any size."""


NOT_DEQUANTIZED = "an input is quantized and not dequantized"
"""The reason against what reads the integers of a quantized value as numbers."""


class Unsupported(Exception):  # noqa: N818 - a signal inside the lowering, collected into one InputError
    """The node at hand cannot be lowered; the message is the reason, as a phrase."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A value known now, in the model's layout; with ``qparams`` the real value is scale · (array − zero_point)."""

    array: Array
    qparams: QuantParams | None = None

    @property
    def real(self) -> Array:
        """The real values; float32 where quantized."""
        if self.qparams is None:
            return self.array
        return reference.dequantize(self.array, self.qparams.spread(self.array.ndim), self.qparams.zero_point)


@dataclass(frozen=True)
class Activation:
    """A value computed at run time; ``channels_last`` if the tensor, of 3 dimensions or more, holds it as NHWC, NLC, NDHWC."""

    tensor: int
    channels_last: bool = False


Entry = Constant | Activation


class Lowering:
    """Builds a program; ``bind`` and ``entry`` connect ONNX values to it, ``emit`` appends an operator."""

    def __init__(self, opset: int) -> None:
        self.program = Program()
        self.opset = opset
        self.growth = 0
        """Bytes by which folded constants exceed what they were computed from."""
        self.shifted = set[ir.Value]()
        """Quantized uint8, whose integers are 128 less here: only what knows their zero point may read them."""
        self._entries: dict[ir.Value, Entry] = {}
        self._names: set[str] = set()
        self._converted: dict[tuple[int, bool], int] = {}
        self._producers: dict[int, Op] = {}

    # ONNX values

    def bind(self, value: ir.Value, entry: Entry) -> None:
        """Let ``entry`` stand for ``value``; a tensor that stands for several values is known as the first."""
        before = self._entries.get(value)
        if isinstance(before, Activation):  # a step on the way to the value
            self._set_origin(before.tensor, None)
        self._entries[value] = entry
        if isinstance(entry, Activation) and self.tensor(entry).origin is None:
            rank = len(self.tensor(entry).dims)
            perm = to_last(rank) if entry.channels_last else tuple(range(rank))
            self._set_origin(entry.tensor, Origin(str(value.name), perm))

    def output(self, value: ir.Value, entry: Activation) -> int:
        """The tensor of a value that the model gives out, in the model's own layout."""
        index = self.model_layout(entry)
        if index in (
            *self.program.inputs,
            *self.program.outputs,
        ):  # optimize/outputs.py gives it a tensor of its own
            copy = self.like(str(value.name), self.program.tensors[index].dims, index)
            index = self.emit(RESHAPE, str(value.name), (index,), copy)
        if self.program.tensors[index].origin is None:
            rank = len(self.program.tensors[index].dims)
            self._set_origin(index, Origin(str(value.name), tuple(range(rank))))
        return index

    def find(self, value: ir.Value | None) -> Entry | None:
        """What stands for ``value``; None if it is absent or its producer could not be lowered."""
        return None if value is None else self._entries.get(value)

    def activation(self, node: ir.Node, position: int) -> Activation:
        """Input ``position`` as a run-time value; a constant becomes a constant tensor."""
        value = node.inputs[position]
        entry = self.find(value)
        if isinstance(entry, Constant):
            return Activation(self.constant_tensor(str(value.name) if value else node.name or "", entry))
        if entry is None:
            raise Unsupported(f"input {position} is missing")
        return entry

    def constant(self, node: ir.Node, position: int, what: str) -> Constant | None:
        """Input ``position`` as a constant, None if absent; Unsupported if it is computed at run time."""
        if position >= len(node.inputs) or node.inputs[position] is None:
            return None
        entry = self.find(node.inputs[position])
        if isinstance(entry, Constant):
            return entry
        raise Unsupported(f"its {what} is not a constant")

    def required(self, node: ir.Node, position: int, what: str) -> Constant:
        """As `constant`, and it must be present."""
        found = self.constant(node, position, what)
        if found is None:
            raise Unsupported(f"it has no {what}")
        return found

    def integers(self, node: ir.Node, position: int, what: str) -> tuple[int, ...] | None:
        """Input ``position`` as a constant list of integers, None if absent."""
        found = self.constant(node, position, what)
        return None if found is None else tuple(int(v) for v in found.array.reshape(-1))

    def real_input(self, node: ir.Node, position: int = 0) -> Activation:
        """Input ``position`` as a float32 value; Unsupported if it is of another type."""
        entry = self.activation(node, position)
        require_type(self.tensor(entry), (DType.F32,))
        return entry

    # Tensors and operators

    def tensor(self, entry: Activation) -> Tensor:
        """The program tensor of ``entry``, in its stored layout."""
        return self.program.tensors[entry.tensor]

    def dims(self, entry: Entry) -> tuple[int, ...]:
        """The dims in the model's layout."""
        if isinstance(entry, Constant):
            return tuple(entry.array.shape)
        dims = self.tensor(entry).dims
        return tuple(dims[i] for i in to_second(len(dims))) if entry.channels_last else dims

    def constant_tensor(self, name: str, constant: Constant) -> int:
        """A constant in the program: in its own type, other floats as f32, or i8/i32 with its quantization parameters."""
        array = constant.array
        if array.size == 0:
            raise Unsupported(f"its constant {name} is empty: {list(array.shape)}")
        if constant.qparams is None:
            array = array.astype(np.float32) if array.dtype.kind == "f" else array
            known = next((dtype for dtype in UNSCALED if dtype.numpy == array.dtype), None)
            if known is None:
                raise Unsupported(f"its constant {name} is {array.dtype}")
            dtype = known
        else:
            dtype = DType.I8 if array.dtype.itemsize == 1 else DType.I32
        data = np.asarray(array, dtype.numpy)  # perhaps transposed: the writer puts the values in order
        return self.program.add(Tensor(self._unique(name), dtype, tuple(data.shape), constant.qparams, data))

    def arena_tensor(
        self, name: str, dims: tuple[int, ...], dtype: DType = DType.F32, qparams: QuantParams | None = None
    ) -> int:
        """A tensor that an operator writes or the caller feeds."""
        if 0 in dims:
            raise Unsupported(f"its result {list(dims)} is empty")
        if math.prod(dims) > MAX_ELEMENTS:
            raise Unsupported(f"its result {list(dims)} has 2^31 elements or more")
        return self.program.add(Tensor(self._unique(name), dtype, tuple(int(d) for d in dims), qparams))

    def emit(
        self,
        kind: OperatorKind[Any],
        node_name: str,
        inputs: tuple[int | None, ...],
        out: int,
        attributes: Attributes | None = None,
    ) -> int:
        """Append an operator that writes tensor ``out``; returns ``out``."""
        self._check_types(kind, inputs)
        op = Op(kind, node_name, inputs, (out,), NoAttributes() if attributes is None else attributes)
        try:
            pack_attributes(op)
        except struct.error:
            raise Unsupported("a number among its attributes has more than 32 bits") from None
        self.program.ops.append(op)
        self._producers[out] = op
        return out

    def _check_types(self, kind: OperatorKind[Any], inputs: tuple[int | None, ...]) -> None:
        """Unsupported for operands of types that the kind has not; quantized constants become what the others are."""
        operands = [(i, self.program.tensors[index]) for i, index in enumerate(inputs) if index is not None]
        known = [(i, x) for i, x in operands if not (x.is_constant and x.qparams is not None)]
        first = next((x.dtype for i, x in known if not kind.operand(i).table), DType.F32)
        for i, tensor in known:
            require_type(tensor, kind.types_of(kind.operand(i), first) if i else kind.types)

    def like(self, name: str, dims: tuple[int, ...], source: int) -> int:
        """A new arena tensor with the dtype and quantization parameters of tensor ``source``."""
        tensor = self.program.tensors[source]
        return self.arena_tensor(name, dims, tensor.dtype, tensor.qparams)

    def reshaped(self, entry: Activation, dims: tuple[int, ...], name: str, node_name: str) -> Activation:
        """``entry`` with ``dims`` of the model's layout; itself if it has them."""
        if dims == self.dims(entry):
            return entry
        return Activation(self.reshape(self.model_layout(entry), dims, name, node_name))

    def reshape(self, index: int, dims: tuple[int, ...], name: str, node_name: str) -> int:
        """Tensor ``index`` with ``dims`` as it lies, one of which may be -1; itself if it has them."""
        tensor = self.program.tensors[index]
        if -1 in dims:
            left = tensor.elements // -math.prod(dims)
            dims = tuple(left if d == -1 else d for d in dims)
        if dims == tensor.dims:
            return index
        return self.emit(RESHAPE, node_name, (index,), self.like(name, dims, index))

    def join(
        self, parts: Sequence[int], axis: int, name: str, node_name: str, dtype: DType | None = None
    ) -> int:
        """Tensors ``parts`` behind each other along ``axis`` as they lie; in ``dtype``, else in the form of the first."""
        dims = list(self.program.tensors[parts[0]].dims)
        dims[axis] = sum(self.program.tensors[part].dims[axis] for part in parts)
        whole = tuple(dims)
        out = self.like(name, whole, parts[0]) if dtype is None else self.arena_tensor(name, whole, dtype)
        return self.emit(CONCAT, node_name, tuple(parts), out, Concat(axis=axis))

    # Layout

    def stored_axis(self, entry: Activation, axis: int) -> int:
        """Where dimension ``axis`` of the model's layout lies in the tensor of ``entry``."""
        return to_last(len(self.tensor(entry).dims)).index(axis) if entry.channels_last else axis

    def channels_last(self, entry: Activation) -> int:
        """The tensor of a value of 3 dimensions or more with its channels last."""
        return entry.tensor if entry.channels_last else self._convert(entry.tensor, True)

    def model_layout(self, entry: Activation) -> int:
        """The tensor of a value in the model's own layout (NCHW)."""
        return self._convert(entry.tensor, False) if entry.channels_last else entry.tensor

    def _set_origin(self, tensor: int, origin: Origin | None) -> None:
        self.program.tensors[tensor] = dataclasses.replace(self.program.tensors[tensor], origin=origin)

    def _convert(self, index: int, to_last_order: bool) -> int:
        key = (index, to_last_order)
        if key not in self._converted:
            self._converted[key] = self._converted_copy(index, to_last_order)
        return self._converted[key]

    def _converted_copy(self, index: int, to_last_order: bool) -> int:
        source = self.program.tensors[index]
        rank = len(source.dims)
        perm = to_last(rank) if to_last_order else to_second(rank)
        suffix = (
            ("nhwc" if to_last_order else "nchw")
            if rank == 4
            else f"channels_{'last' if to_last_order else 'second'}"
        )
        if source.data is not None:
            data = source.data.transpose(perm)
            return self.constant_tensor(f"{source.name}:{suffix}", Constant(data, source.qparams))
        producer = self._producers.get(index)
        if producer is not None and producer.kind == DEQUANTIZE and producer.inputs[0] is not None:
            # Element-wise operators commute with the layout: moving bytes of int8 is cheaper than of f32.
            quantized = self._convert(producer.inputs[0], to_last_order)
            out = self.arena_tensor(f"{source.name}:{suffix}", self.program.tensors[quantized].dims)
            return self.emit(DEQUANTIZE, producer.name, (quantized,), out)
        return self.transpose(index, perm, source.name, f"{source.name}:{suffix}")

    def transpose(self, index: int, perm: tuple[int, ...], node_name: str, out_name: str) -> int:
        """``index`` permuted; as a reshape where only dimensions of 1 move, itself where nothing moves."""
        if perm == tuple(range(len(perm))):
            return index
        dims = self.program.tensors[index].dims
        out = self.like(out_name, tuple(dims[i] for i in perm), index)
        moving = [i for i in perm if dims[i] > 1]
        if moving == sorted(moving):
            return self.emit(RESHAPE, node_name, (index,), out)
        return self.emit(TRANSPOSE, node_name, (index,), out, Transpose(perm=perm))

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}:{count}"
        self._names.add(candidate)
        return candidate


def check_numbers(count: int, what: str) -> None:
    """Unsupported if a constant of ``count`` numbers, that ``what`` names, is too large to be made."""
    if count > MAX_NUMBERS:
        raise Unsupported(f"{what} would have {count} numbers; at most {MAX_NUMBERS}")


def require_type(tensor: Tensor, types: Container[DType]) -> None:
    """Unsupported unless ``tensor`` is of one of ``types``; int8 is that of an unfinished QDQ pattern."""
    if tensor.dtype in types:
        return
    if tensor.dtype == DType.I8:
        raise Unsupported(NOT_DEQUANTIZED)
    raise Unsupported(f"it computes on {tensor.dtype.numpy}, which has no kernel")


def is_used(value: ir.Value) -> bool:
    """True if a node reads ``value`` or the graph gives it out."""
    return bool(value.uses()) or value.is_graph_output()


# Attributes of nodes


def get_int(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.as_int())


def get_float(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else float(attribute.as_float())


def get_ints(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """A list of integers, None if absent."""
    attribute = node.attributes.get(name)
    return None if attribute is None else tuple(int(v) for v in attribute.as_ints())


def get_string(node: ir.Node, name: str, default: str) -> str:
    """A string attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else str(attribute.as_string())


def normal_axis(axis: int, rank: int) -> int:
    """``axis`` counted from 0; Unsupported if it is out of range."""
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} is out of range for {rank} dimensions")
    return axis % rank


def get_axes(context: Lowering, node: ir.Node, position: int = 1) -> tuple[int, ...] | None:
    """The attribute or input `axes`, None if there is neither."""
    axes = get_ints(node, "axes")
    return context.integers(node, position, "axes") if axes is None else axes
