"""One piece of a program against the same piece of the model, both fed with the model's own values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx

from ptq_core.flatfile.interpreter import evaluate, half
from ptq_core.flatfile.operators.roundoff import SUBNORMAL_STEP, UNITS
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Origin, Tensor
from ptq_core.graph.values import ModelValues
from ptq_core.optimize.verify.comparison import Difference, MismatchError
from ptq_core.optimize.verify.node_rounding import DYNAMIC, ELEMENTWISE, dynamic_step, node_rounding
from ptq_core.optimize.verify.piece_bounds import PieceBounds, real_operands
from ptq_core.optimize.verify.pieces import Piece, Walk
from ptq_core.optimize.verify.regions import WHOLE, Excerpt, Parts, Region, excerpt_of

Known = Mapping[str, Array]
"""The model's values by name, in the model's layout."""


@dataclass(frozen=True)
class Agreement:
    """How two pieces agree: see model_check.ModelCheck."""

    steps_at_ties: int = 0
    undefined: bool = False
    worst_share: float = 0.0
    judged: bool = False


class PieceCheck:
    """Compares pieces of ``program`` with those of ``lowered`` and with the values of the model."""

    def __init__(self, program: Program, lowered: Program, values: ModelValues) -> None:
        self._values = values
        self._both = _Both(program, lowered, values, PieceBounds(Walk(program)), PieceBounds(Walk(lowered)))

    def compare(self, piece: Piece, known: Known, region: Region) -> Agreement:
        """``region`` of the piece's tensor. Raises MismatchError."""
        sides = _Sides(self._both, piece, known, region)
        found = Difference(sides.got, sides.wanted)
        if found.none:
            return Agreement()
        if sides.reads_no_number:
            return Agreement(undefined=True)
        own = sides.own_bound()
        allowed = own + sides.bound(sides.model_values(given=True), accumulates=False)
        judged = False
        if found.exceeds(allowed):
            allowed, judged = self._against_exact(sides, own)
        if sides.got.dtype.kind == "f":
            return Agreement(worst_share=found.share(allowed), judged=judged)
        return Agreement(steps_at_ties=int((found.distances > 0).sum()), judged=judged)

    def _against_exact(self, sides: _Sides, own: Array) -> tuple[Array, bool]:
        """onnxruntime's sums are far from exact ones, or something is wrong: both are compared with the model's operators
        computed with sums that are rounded once. Returns what they may differ by, and if ONNX's evaluator was the judge."""
        values = sides.model_values(given=False)
        exact = sides.as_ours(values[sides.piece.model_tensor])
        tight = own + sides.bound(values, accumulates=False)
        ours = Difference(sides.got, exact)
        if ours.exceeds(tight):
            raise MismatchError(f"{self._label(sides)} {ours.described(tight)}, by the model's operators")
        loose = sides.bound(values, accumulates=True)
        theirs = Difference(exact, sides.wanted)
        if not theirs.exceeds(loose):
            return tight + loose, False
        right = self._values.judged(sides.piece.name, sides.given)
        right = None if right is None else sides.oriented(right)
        if right is None or right.shape != exact.shape or Difference(exact, right).exceeds(loose):
            raise MismatchError(f"{self._label(sides)} {theirs.described(loose)}, in onnxruntime")
        return np.full(exact.shape, np.inf), True

    def _label(self, sides: _Sides) -> str:
        op = next(op for op in sides.piece.ours if sides.piece.tensor in op.outputs)
        return f"operator `{op.name}` ({op.kind.name}) of the program computes `{sides.piece.name}` as"


@dataclass(frozen=True)
class _Both:
    """Our program and the model's, with the rules of their bounds."""

    program: Program
    lowered: Program
    values: ModelValues
    own_bounds: PieceBounds
    model_bounds: PieceBounds


class _Sides:
    """A region of a piece on both sides: ``got`` is what our operators compute, ``wanted`` the model's value."""

    def __init__(self, both: _Both, piece: Piece, known: Known, region: Region) -> None:
        self.piece, self.known = piece, known
        self._program, self._lowered, self._values = both.program, both.lowered, both.values
        self._model_bounds, self._own_bounds = both.model_bounds, both.own_bounds
        tensor, origin = self._program.tensors[piece.tensor], _origin(self._program, piece.tensor)
        self._ours_part = excerpt_of(self._program, piece.ours, piece.tensor, region)
        wider = self._ours_part.region(piece.tensor)  # where an operator cannot be cut
        same_layout = origin.perm == piece.model_perm
        self._model_part = excerpt_of(
            self._lowered, piece.model, piece.model_tensor, wider if same_layout else WHOLE
        )
        wanted = _oriented(known[piece.name], tensor)
        if wanted.shape != tensor.dims:
            raise MismatchError(
                f"value `{piece.name}` of the model is of shape {list(known[piece.name].shape)}, "
                f"that of the program of {list(tensor.dims)}"
            )
        leaves: Parts = {i: (WHOLE, _known(self._program, i, known)) for i in piece.leaves}
        self._ours = _computed(self._ours_part, leaves)
        self.region, self.got = self._ours[piece.tensor]
        self.wanted = self.region.part(_known(self._program, piece.tensor, known))

    @property
    def reads_no_number(self) -> bool:
        """Whether the piece reads a NaN: what becomes of one is undefined (docs/numerics.md)."""
        leaves = (self._ours[i][1] for i in self.piece.leaves)
        return any(values.dtype.kind == "f" and bool(np.isnan(values).any()) for values in leaves)

    @property
    def given(self) -> Known:
        """What the piece's nodes may start from: the values at its beginning, and those of which it needs nothing itself.

        A node that reads one of the latter is run whole, as the Attention whose scores alone are the piece.
        """
        piece = self.piece
        return {n: v for n, v in self.known.items() if n in piece.stops or n not in piece.names}

    def oriented(self, value: Array) -> Array:
        """The region of a ``value`` that is in the model's layout."""
        return self.region.part(_oriented(value, self._program.tensors[self.piece.tensor]))

    def as_ours(self, part: tuple[Region, Array]) -> Array:
        """A ``part`` of the lowered tensor that holds the region, in the layout of ours."""
        region, values = part
        perm = self.piece.model_perm
        if perm == _origin(self._program, self.piece.tensor).perm:
            return self.region.within(values, region)
        return self.oriented(values.transpose(np.argsort(perm)))

    def model_values(self, given: bool) -> Parts:
        """What the lowered operators of the piece write; ``given``: the model's own values where they are known.

        But not integers whose floats the model does not have, as in a QLinearConv: a bound of theirs would start from both.
        """
        excerpt, written = self._model_part, {op.outputs[0] for op in self.piece.model}
        inside = {self.piece.model_tensor, *(i for op in self.piece.model for i in (*op.reads, *op.outputs))}
        values: Parts = {}
        for index in inside:
            origin = self._lowered.tensors[index].origin
            if origin is None or origin.name not in self.known or (index in written and not given):
                continue
            region = excerpt.region(index) if index in written else WHOLE
            values[index] = (region, region.part(_known(self._lowered, index, self.known)))
        for op in self.piece.model:
            if op.kind.steps is not None and any(self._is_computed(i, values) for i in op.reads):
                values.pop(op.outputs[0], None)
        return _computed(excerpt, values)

    def _is_computed(self, index: int, values: Parts) -> bool:
        return index not in values and not self._lowered.tensors[index].is_constant

    def bound(self, values: Parts, accumulates: bool) -> Array:
        """The bound of the piece's value on the model's side, in the layout of ours."""
        inside = {node.output[0]: node for node in self.piece.nodes if node.op_type not in DYNAMIC}
        dynamic = {node.input[0] for node in self.piece.nodes if node.op_type in DYNAMIC}
        bounds: Parts = {}
        for index in self._quantized_on_the_way(dynamic):
            value = _known(self._lowered, index, self.known)
            bounds[index] = (WHOLE, np.full(value.shape, dynamic_step(value)))
        for op in self.piece.model:
            out = op.outputs[0]
            bound = _bound(self._model_part, self._model_bounds, op, values, bounds, accumulates)
            origin = self._lowered.tensors[out].origin
            if origin is not None and origin.name in inside:
                bound = bound + self._rounded_inside(inside[origin.name], out, origin)
            if origin is not None and origin.name in dynamic:
                bound = bound + dynamic_step(self.known[origin.name])
            bounds[out] = (values[out][0], bound)
        if self.piece.model_tensor not in bounds:
            return np.zeros(())
        return self.as_ours(bounds[self.piece.model_tensor])

    def _quantized_on_the_way(self, names: set[str]) -> list[int]:
        """What the lowered piece reads of the values ``names``."""
        written = {op.outputs[0] for op in self.piece.model}
        read = {i for op in self.piece.model for i in op.reads} - written
        origins = {i: self._lowered.tensors[i].origin for i in read}
        return [i for i, origin in origins.items() if origin is not None and origin.name in names]

    def own_bound(self) -> Array:
        """What half precision makes of the piece on our side; 0 where there is none."""
        tensors = self._program.tensors
        inside = {i for op in self.piece.ours for i in (*op.reads, *op.outputs)}
        if not any(tensors[i].dtype == DType.F16 for i in inside):
            return np.zeros(())
        bounds: Parts = {}
        for i in self.piece.leaves:
            if tensors[i].dtype == DType.F16:
                region, values = self._ours[i]
                bounds[i] = (region, UNITS[DType.F16] * np.abs(values.astype(np.float64)) + SUBNORMAL_STEP)
        for op in self.piece.ours:
            out = op.outputs[0]
            bound = _bound(self._ours_part, self._own_bounds, op, self._ours, bounds, True, ours=True)
            bounds[out] = (self._ours[out][0], bound)
        return bounds[self.piece.tensor][1]

    def _rounded_inside(self, node: onnx.NodeProto, tensor: int, origin: Origin) -> Array:
        """What ``node`` rounds beside what its operators show, for the region of ``tensor``, which stands for its output."""
        inputs = [self.known.get(name, self._values.constant(name)) for name in node.input]
        y = self.known.get(node.output[0])
        missing = [name for name, x in zip(node.input, inputs, strict=True) if name and x is None]
        if y is None or missing:
            return np.zeros(())
        region = self._model_part.region(tensor)
        if region.rows is not None and node.op_type in ELEMENTWISE:
            rows = (*(slice(None) for _ in range(origin.perm[1])), slice(*region.rows))
            inputs[0], y = cast(Array, inputs[0])[rows], y[rows]
            region = Region(None, region.channels)
        whole = np.broadcast_to(node_rounding(node, inputs, y), y.shape).transpose(origin.perm)
        return region.part(whole)


def _computed(excerpt: Excerpt, values: Parts) -> Parts:
    """``values`` and what the operators of ``excerpt`` make of them, where they are not among them."""
    computed = dict(values)
    for op in excerpt.ops:
        out = op.outputs[0]
        if out not in computed:
            cut = excerpt.cut(op, computed)
            with np.errstate(all="ignore"):
                result = evaluate(cut.op, cut.tensors, real_operands(cut), cut.out)
            computed[out] = (excerpt.region(out), result)
    return computed


def _bound(
    excerpt: Excerpt,
    rules: PieceBounds,
    op: Op,
    values: Parts,
    bounds: Parts,
    accumulates: bool,
    ours: bool = False,
) -> Array:
    """The bound of what ``op`` writes, from ``values`` and the ``bounds`` of what it reads."""
    cut, carried = excerpt.cut(op, values), excerpt.carried(op, bounds)
    return rules.of(cut, carried, values[op.outputs[0]][1], accumulates=accumulates, ours=ours)


def _origin(program: Program, tensor: int) -> Origin:
    origin = program.tensors[tensor].origin
    assert origin is not None
    return origin


def _oriented(value: Array, tensor: Tensor) -> Array:
    """A value of the model in the layout of ``tensor``; uint8 that is quantized is int8 there, 128 less."""
    origin = tensor.origin
    assert origin is not None
    if value.dtype == np.uint8 and tensor.dtype == DType.I8:
        value = (value.astype(np.int16) - 128).astype(np.int8)
    return value.transpose(origin.perm) if value.ndim == len(origin.perm) else value


def _known(program: Program, index: int, known: Known) -> Array:
    """The model's value for tensor ``index`` of ``program``, in its layout and type."""
    origin = _origin(program, index)
    value = _oriented(known[origin.name], program.tensors[index])
    if program.tensors[index].dtype == DType.F16:
        return half(value)
    return value.astype(program.tensors[index].dtype.numpy, copy=False)
