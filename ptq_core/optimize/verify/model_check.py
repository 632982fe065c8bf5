"""Does the program compute the model? Piece by piece between values that both have, each fed with the model's own values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ptq_core.flatfile.operators.binary import ADD, SUB
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import Array
from ptq_core.graph.values import ModelValues
from ptq_core.optimize.verify.comparison import MismatchError
from ptq_core.optimize.verify.node_rounding import DYNAMIC, RULES, SUMS
from ptq_core.optimize.verify.piece_check import PieceCheck
from ptq_core.optimize.verify.pieces import Piece, pieces
from ptq_core.optimize.verify.regions import BUDGET, regions


@dataclass
class ModelCheck:
    """What was found: ``pieces`` compared, and those that read a NaN, which are ``undefined``; integers that lie a step away, at
    a tie; the largest difference of a float as a share of its bound; values where onnxruntime deviates from ONNX and its
    reference evaluator was the judge.
    """

    pieces: int = 0
    steps_at_ties: int = 0
    undefined: int = 0
    worst_share: float = 0.0
    judged: list[str] = field(default_factory=list)
    outputs: dict[str, Array] = field(default_factory=dict)


class ModelComparison:
    """``program`` against the model that it was made of, which ``model`` holds; ``lowered`` is what it was before the passes.

    ``outputs`` are the names of the model's.
    """

    def __init__(
        self, program: Program, lowered: Program, model: Path | bytes, outputs: Sequence[str]
    ) -> None:
        self._program, self._lowered = program, lowered
        sizes = {t.origin.name: t.size_bytes for t in lowered.tensors if t.origin is not None}
        self._outputs = outputs
        self._values = ModelValues(model, (*sizes, *outputs), inputs_of={*RULES, *DYNAMIC}, sizes=sizes)
        found = (self._with_nodes(piece) for piece in pieces(program, lowered, self._values.names, outputs))
        self._pieces = sorted(found, key=lambda piece: max(map(self._values.place, piece.names)))
        reached = {piece.tensor for piece in self._pieces} | set(program.inputs)
        for index in program.outputs:
            if index not in reached:
                name = program.tensors[index].name
                raise MismatchError(f"output `{name}` of the flat file stands for no value of the model")
        self._check = PieceCheck(program, lowered, self._values)

    def check(self, feeds: Mapping[str, Array], seed: int = 0) -> ModelCheck:
        """Compare every piece for the inputs ``feeds``; the model's outputs are in what it returns.

        An output may differ by the roundings of the piece's operators on both sides, sums rounded once; so integers may differ
        by a step only where the exact quotient is at a tie. Where onnxruntime's own sums are further away, they must keep
        their bound, and our piece the tighter one against the exact value. ``seed`` chooses what of large tensors is compared.
        Raises MismatchError, which names the operator and both values, and InputError where onnxruntime cannot run the model.
        """
        found = ModelCheck()
        last_use = {name: i for i, piece in enumerate(self._pieces) for name in piece.names}
        known, done = dict(feeds), 0
        for values in self._values.walk(feeds):
            known |= values
            found.outputs |= {name: values[name] for name in self._outputs if name in values}
            while done < len(self._pieces) and self._pieces[done].names <= known.keys():
                self._compare(self._pieces[done], known, found, seed)
                done += 1
            known = {n: v for n, v in known.items() if n in feeds or last_use.get(n, -1) >= done}
        if done < len(self._pieces):
            missing = sorted(self._pieces[done].names - known.keys())
            raise MismatchError(
                f"values {', '.join(missing)} of the program are none that the model computes"
            )
        return found

    def _with_nodes(self, piece: Piece) -> Piece:
        """``piece`` with what its nodes of node_rounding.RULES and DYNAMIC read and write among its names."""
        shown = {
            origin.name
            for op in piece.model
            if op.kind in (ADD, SUB) and (origin := self._lowered.tensors[op.outputs[0]].origin) is not None
        }
        nodes = [
            n
            for n in self._values.nodes(piece.name, piece.stops)
            if n.op_type in DYNAMIC
            or (n.op_type in RULES and not (n.op_type in SUMS and n.output[0] in shown))
        ]
        read = {name for node in nodes for name in (*node.input, node.output[0])}
        return dataclasses.replace(piece, nodes=tuple(nodes), names=piece.names | (read & self._values.names))

    def _compare(self, piece: Piece, known: Mapping[str, Array], found: ModelCheck, seed: int) -> None:
        found.pieces += 1
        for region in regions(self._program, piece.ours, BUDGET // len(self._pieces), seed):
            agreement = self._check.compare(piece, known, region)
            found.undefined += agreement.undefined
            found.steps_at_ties += agreement.steps_at_ties
            found.worst_share = max(found.worst_share, agreement.worst_share)
            found.judged += [piece.name] if agreement.judged else []


def by_name(program: Program, inputs: Sequence[Array]) -> dict[str, Array]:
    """The program's inputs by the model's names."""
    return {program.tensors[i].name: x for i, x in zip(program.inputs, inputs, strict=True)}
