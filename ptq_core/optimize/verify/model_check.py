"""Does the program compute the model? Piece by piece between values that both have, each fed with the model's own values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from ptq_core.errors import InputError
from ptq_core.flatfile.interpreter import evaluate, half
from ptq_core.flatfile.program import Array, DType, Op, Origin, Program
from ptq_core.graph.values import ModelValues
from ptq_core.optimize.verify.comparison import MismatchError, described, distances, exceeds, share
from ptq_core.optimize.verify.node_rounding import RULES, node_rounding
from ptq_core.optimize.verify.piece_bounds import PieceBounds, real_operands
from ptq_core.optimize.verify.pieces import Piece, Walk, pieces

GROUP_BYTES = 64 * 2**20
"""So much of the model's values is held at once (a single piece may need more)."""


@dataclass
class ModelCheck:
    """What was found: ``pieces`` compared; integers that lie a step away, at a tie; the largest difference of a float as a
    share of its bound; values where onnxruntime deviates from ONNX and its reference evaluator was the judge."""

    pieces: int = 0
    values: int = 0
    steps_at_ties: int = 0
    worst_share: float = 0.0
    judged: list[str] = field(default_factory=list)
    outputs: dict[str, Array] = field(default_factory=dict)


class ModelComparison:
    """``program`` against the model that it was made of; ``lowered`` is what it was before the passes."""

    def __init__(self, program: Program, lowered: Program, values: ModelValues) -> None:
        self._program, self._lowered, self._values = program, lowered, values
        self._pieces = [self._with_nodes(piece) for piece in pieces(program, lowered, values.names)]
        reached = {piece.tensor for piece in self._pieces} | set(program.inputs)
        for index in program.outputs:
            if index not in reached:
                raise MismatchError(
                    f"output `{program.tensors[index].name}` of the flat file stands for no value of the model"
                )
        self._bounds = PieceBounds(Walk(lowered))
        self._own_bounds = PieceBounds(Walk(program))

    def _with_nodes(self, piece: Piece) -> Piece:
        """``piece`` with what its nodes of node_rounding.RULES read and write among its names."""
        nodes = [n for n in self._values.nodes(piece.name, self._stops(piece)) if n.op_type in RULES]
        read = {name for node in nodes for name in (*node.input, node.output[0])}
        return dataclasses.replace(piece, nodes=tuple(nodes), names=piece.names | (read & self._values.names))

    def _stops(self, piece: Piece) -> set[str]:
        """The values of the model that the piece reads."""
        origins = (self._program.tensors[i].origin for i in piece.leaves)
        return {origin.name for origin in origins if origin is not None}

    def check(self, feeds: Mapping[str, Array], outputs: Sequence[str] = ()) -> ModelCheck:
        """Compare every piece for the inputs ``feeds``; the model's ``outputs`` are in what it returns.

        An output may differ by the roundings of the piece's operators on both sides, sums rounded once; so integers may differ
        by a step only where the exact quotient is at a tie. Where onnxruntime's own sums are further away, they must keep
        their bound, and our piece the tighter one against the exact value. Raises MismatchError, which names the operator
        and both values.
        """
        found = ModelCheck()
        for group in self._groups():
            names = frozenset().union(*(piece.names for piece in group))
            known = {**feeds, **self._fetched(names, feeds)}
            for piece in group:
                self._compare(piece, known, found)
            found.outputs |= {name: known[name] for name in outputs if name in known}
        return found

    def _fetched(self, names: frozenset[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return self._values.fetch(names, feeds)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise InputError(
                f"onnxruntime cannot run the model: {str(error).splitlines()[0]}",
                rule="the model runs in onnxruntime",
                fix="check the export",
            ) from error

    def _groups(self) -> Iterator[list[Piece]]:
        """Successive pieces whose values are fetched together."""
        sizes = {
            t.origin.name: t.size_bytes
            for t in self._lowered.tensors
            if t.origin is not None and t.data is None
        }
        group: list[Piece] = []
        names: set[str] = set()
        for piece in self._pieces:
            together = names | piece.names
            if group and sum(sizes.get(name, 0) for name in together) > GROUP_BYTES:
                yield group
                group, together = [], set(piece.names)
            group.append(piece)
            names = together
        if group:
            yield group

    def _compare(self, piece: Piece, known: Mapping[str, Array], found: ModelCheck) -> None:
        tensor = self._program.tensors[piece.tensor]
        leaves = {i: self._known(self._program, i, known) for i in piece.leaves}
        ours = _computed(self._program, piece.ours, leaves)
        got = ours[piece.tensor]
        wanted = self._known(self._program, piece.tensor, known)
        found.pieces += 1
        found.values += got.size
        if got.shape != wanted.shape:
            raise MismatchError(
                f"{self._label(piece)} is of shape {list(got.shape)}, the model's of {list(wanted.shape)}"
            )
        if np.array_equal(got, wanted, equal_nan=got.dtype.kind == "f"):
            return
        own = self._own(piece, ours)
        model = {
            i: self._known(self._lowered, i, known)
            for i in self._inside(piece)
            if (o := self._lowered.tensors[i].origin) is not None and o.name in known
        }
        values = _computed(self._lowered, piece.model, model)
        allowed = own + self._carried(piece, known, values, accumulates=False)
        if exceeds(got, wanted, allowed).any():
            allowed = self._against_exact(piece, known, got, wanted, own, found)
        if tensor.dtype in (DType.F32, DType.F16):
            found.worst_share = max(found.worst_share, share(got, wanted, allowed))
        else:
            found.steps_at_ties += int((distances(got, wanted) > 0).sum())

    def _against_exact(
        self,
        piece: Piece,
        known: Mapping[str, Array],
        got: Array,
        wanted: Array,
        own: Array,
        found: ModelCheck,
    ) -> Array:
        """onnxruntime's sums are far from exact ones, or something is wrong: both are compared with the model's operators
        computed with sums that are rounded once. Returns what ``got`` and ``wanted`` may differ by."""
        leaves = {
            i: self._known(self._lowered, i, known)
            for i in self._inside(piece)
            if (o := self._lowered.tensors[i].origin) is not None
            and o.name in known
            and (o.name != piece.name or not piece.model)
            and not any(i in op.outputs for op in piece.model)
        }
        values = _computed(self._lowered, piece.model, leaves)
        exact = self._as_ours(piece, values[piece.model_tensor])
        tight = own + self._carried(piece, known, values, accumulates=False)
        if exceeds(got, exact, tight).any():
            raise MismatchError(f"{self._label(piece)} computes {described(got, exact, tight)} in the model")
        loose = self._carried(piece, known, values, accumulates=True)
        if exceeds(exact, wanted, loose).any():
            judged = self._values.judged(piece.name, {name: known[name] for name in self._stops(piece)})
            right = None if judged is None else self._oriented(piece, judged)
            if right is None or right.shape != exact.shape or exceeds(exact, right, loose).any():
                raise MismatchError(
                    f"{self._label(piece)} computes {described(got, wanted, loose)} in the model"
                )
            found.judged.append(piece.name)
            return np.full(got.shape, np.inf)
        return tight + loose

    def _own(self, piece: Piece, ours: Mapping[int, Array]) -> Array:
        """What half precision makes of the piece on our side; 0 where there is none."""
        tensors = self._program.tensors
        inside = {i for op in piece.ours for i in (*op.reads, *op.outputs)}
        if not any(tensors[i].dtype == DType.F16 for i in inside):
            return np.zeros(())
        bounds = {
            i: 2.0**-11 * np.abs(ours[i].astype(np.float64)) + 2.0**-24
            for i in piece.leaves
            if tensors[i].dtype == DType.F16
        }
        for op in piece.ours:
            bounds[op.outputs[0]] = self._own_bounds.of(op, ours, bounds, accumulates=True, ours=True)
        return bounds[piece.tensor]

    def _carried(
        self, piece: Piece, known: Mapping[str, Array], values: Mapping[int, Array], accumulates: bool
    ) -> Array:
        """The bound of the piece's value on the model's side, in the layout of ours."""
        inside = {node.output[0]: self._rounded_inside(node, known) for node in piece.nodes}
        bounds: dict[int, Array] = {}
        for op in piece.model:
            out = op.outputs[0]
            bounds[out] = self._bounds.of(op, values, bounds, accumulates=accumulates)
            origin = self._lowered.tensors[out].origin
            more = None if origin is None else inside.get(origin.name)
            if origin is not None and more is not None:
                bounds[out] = bounds[out] + np.broadcast_to(more, _shape(bounds[out], origin)).transpose(
                    origin.perm
                )
        if piece.model_tensor not in bounds:
            return np.zeros(())
        return self._as_ours(piece, bounds[piece.model_tensor])

    def _rounded_inside(self, node: onnx.NodeProto, known: Mapping[str, Array]) -> Array | None:
        inputs = [known[name] if name in known else self._values.constant(name) for name in node.input]
        if node.output[0] not in known or any(
            x is None for x, n in zip(inputs, node.input, strict=True) if n
        ):
            return None
        return node_rounding(node, inputs, known[node.output[0]])

    def _inside(self, piece: Piece) -> set[int]:
        return {piece.model_tensor, *(i for op in piece.model for i in (*op.reads, *op.outputs))}

    def _as_ours(self, piece: Piece, values: Array) -> Array:
        """``values`` of the lowered tensor in the layout of ours."""
        origin = self._lowered.tensors[piece.model_tensor].origin
        assert origin is not None
        return self._oriented(piece, values.transpose(np.argsort(origin.perm)))

    def _oriented(self, piece: Piece, values: Array) -> Array:
        origin = self._program.tensors[piece.tensor].origin
        assert origin is not None
        return values.transpose(origin.perm) if values.ndim == len(origin.perm) else values

    def _known(self, program: Program, index: int, known: Mapping[str, Array]) -> Array:
        """The model's value for tensor ``index`` of ``program``, in its layout and type."""
        tensor = program.tensors[index]
        assert tensor.origin is not None
        value = known[tensor.origin.name]
        if value.ndim == len(tensor.origin.perm):
            value = value.transpose(tensor.origin.perm)
        if tensor.dtype == DType.F16:
            return half(value)
        return value.astype(tensor.dtype.numpy, copy=False)

    def _label(self, piece: Piece) -> str:
        op = next(op for op in piece.ours if piece.tensor in op.outputs)
        return f"operator `{op.name}` ({op.kind.label}) of the program, value `{piece.name}` of the model,"


def _computed(program: Program, ops: Sequence[Op], values: Mapping[int, Array]) -> dict[int, Array]:
    """``values`` and what ``ops`` make of them, where they are not among them."""
    computed = dict(values)
    for op in ops:
        if op.outputs[0] not in computed:
            with np.errstate(all="ignore"):
                computed[op.outputs[0]] = evaluate(program, op, real_operands(program, op, computed))
    return computed


def _shape(values: Array, origin: Origin) -> tuple[int, ...]:
    """The shape of ``values``, permuted as ``origin`` says, in the model's layout."""
    return tuple(values.shape[i] for i in np.argsort(origin.perm))


def by_name(program: Program, inputs: Sequence[Array]) -> dict[str, Array]:
    """The program's inputs by the model's names."""
    return {program.tensors[i].name: x for i, x in zip(program.inputs, inputs, strict=True)}
