"""The memory plan, checked by playing the program through: the twin of runtime/src/format/plan.cc, in the same order."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from ptq_core.flatfile.lifetimes import last_uses
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.refusal import FlatFileError, shown
from ptq_core.flatfile.tensors import Tensor

_PLACE = "the memory plan keeps live tensors apart"


@dataclass
class _Slot:
    """Bytes of the arena that hold a value until operator ``last_use``."""

    end: int
    last_use: int


class _LiveSlots:
    """Slots by where they begin; none overlap."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._slots: dict[int, _Slot] = {}

    def insert(self, begin: int, end: int, last_use: int) -> bool:
        """False if a live slot shares a byte with the new one."""
        at = bisect_left(self._begins, begin)
        if at < len(self._begins) and self._begins[at] < end:
            return False
        if at > 0 and self._slots[self._begins[at - 1]].end > begin:
            return False
        self._begins.insert(at, begin)
        self._slots[begin] = _Slot(end, last_use)
        return True

    def find(self, begin: int) -> _Slot | None:
        return self._slots.get(begin)

    def remove_if_dead(self, begin: int, now: int) -> None:
        slot = self._slots.get(begin)
        if slot is not None and slot.last_use <= now:
            del self._slots[begin]
            del self._begins[bisect_left(self._begins, begin)]


def check_plan(program: Program) -> None:
    """Raise FlatFileError unless every arena tensor is written once, before it is read, into memory that is free."""
    end = len(program.ops)
    last_use = last_uses(program)
    for step, op in enumerate(
        program.ops
    ):  # a value that nobody reads still needs its place while it is written
        last_use[op.outputs[0]] = max(step, last_use.get(op.outputs[0], step))
    written: set[int] = set()
    live = _LiveSlots()
    for index in program.inputs:
        tensor = program.tensors[index]
        if tensor.is_constant or index in written:
            raise FlatFileError(
                "INPT", f"tensor {index} {shown(tensor.name)}", "inputs are not constants, nor listed twice"
            )
        written.add(index)
        if not live.insert(*_place(tensor), end):
            raise FlatFileError("INPT", f"tensor {index} {shown(tensor.name)} lies on another input", _PLACE)
    for step, op in enumerate(program.ops):
        _check_step(program, step, written, last_use[op.outputs[0]], live)
    for index, tensor in enumerate(program.tensors):
        if not tensor.is_constant and index not in written:
            raise FlatFileError(
                f"tensor {index} {shown(tensor.name)}",
                "written by nobody",
                "an arena tensor is an input or written",
            )
    for index in program.outputs:
        if program.tensors[index].is_constant:
            raise FlatFileError("OUTP", f"tensor {index} is a constant", "outputs are arena tensors")


def _check_step(program: Program, step: int, written: set[int], last_use: int, live: _LiveSlots) -> None:
    op = program.ops[step]
    where = f"operator {step} {shown(op.name)} ({op.kind.name})"
    for j, index in enumerate(op.inputs):
        if index is not None and not program.tensors[index].is_constant and index not in written:
            name = shown(program.tensors[index].name)
            raise FlatFileError(
                f"{where} input {j}", f"tensor {index} {name}", "a read comes after the write"
            )
    output = op.outputs[0]
    y = program.tensors[output]
    if y.is_constant or output in written:
        raise FlatFileError(
            f"{where} output",
            f"tensor {output} {shown(y.name)}",
            "an arena tensor is written once, an input never",
        )
    if not _place_output(program, op, step, last_use, live):
        raise FlatFileError(
            f"{where} output",
            f"tensor {output} {shown(y.name)} lies on a tensor that is still needed",
            _PLACE,
        )
    written.add(output)
    for index in (*op.reads, output):
        if not program.tensors[index].is_constant:
            live.remove_if_dead(program.tensors[index].offset or 0, step)


def _place_output(program: Program, op: Op, step: int, last_use: int, live: _LiveSlots) -> bool:
    y = program.tensors[op.outputs[0]]
    if op.kind == CONCAT:
        _join_inputs(program, op, step, live)
    if op.kind.same_bytes and op.inputs[0] is not None:
        x = program.tensors[op.inputs[0]]
        if not x.is_constant and x.offset == y.offset and x.size_bytes == y.size_bytes:
            shared = live.find(y.offset or 0)
            if shared is not None:
                shared.last_use = max(shared.last_use, last_use)
                return True
    return live.insert(*_place(y), last_use)


def _join_inputs(program: Program, op: Op, step: int, live: _LiveSlots) -> None:
    """End the life of inputs of a concat that lie at their place in its output and die here."""
    a, y = op.attributes, program.tensors[op.outputs[0]]
    if not isinstance(a, Concat) or a.bounds:
        return
    if a.axis >= len(y.dims) or any(d != 1 for d in y.dims[: a.axis]):
        return
    offset = y.offset or 0
    for index in op.reads:
        x = program.tensors[index]
        if not x.is_constant and x.offset == offset and x.dtype == y.dtype and _same_qparams(x, y):
            live.remove_if_dead(offset, step)
        offset += x.size_bytes


def _same_qparams(x: Tensor, y: Tensor) -> bool:
    """True if both have one scale, the same, and the same zero point; or none."""
    if x.qparams is None or y.qparams is None:
        return x.qparams is y.qparams
    return x.qparams.per_tensor and y.qparams.per_tensor and x.qparams == y.qparams


def _place(tensor: Tensor) -> tuple[int, int]:
    begin = tensor.offset or 0
    return begin, begin + tensor.size_bytes
