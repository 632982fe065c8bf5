"""The outputs of a program: each is a tensor of its own, and bears its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Origin
from ptq_core.optimize.rewrite import NOTHING


def part_outputs(program: Program, outputs: Sequence[str]) -> None:
    """A tensor that is an output twice, or an input too ⇒ a copy, a reshape to its own dims, for every output but the first.

    ``outputs`` are the names of the model's. Passes that ran before may have made them one; none may follow that would drop
    the copies.
    """
    taken = set(program.inputs)
    for position, (index, name) in enumerate(zip(program.outputs, outputs, strict=True)):
        if index in taken:
            source = program.tensors[index]
            origin = Origin(name, tuple(range(len(source.dims))))
            copy = program.add(dataclasses.replace(source, name=name, origin=origin))
            program.ops.append(Op(RESHAPE, name, (index,), (copy,), NOTHING))
            program.outputs[position] = copy
        taken.add(program.outputs[position])


def name_tensors(program: Program, outputs: Sequence[str]) -> None:
    """Outputs bear the model's names and stand for these values, whatever wrote them before; every name is unique."""
    names = dict(zip(program.outputs, outputs, strict=True))
    for index, name in names.items():
        tensor = program.tensors[index]
        origin = Origin(name, tuple(range(len(tensor.dims))))
        program.tensors[index] = dataclasses.replace(tensor, origin=origin)
    names.update({index: program.tensors[index].name for index in program.inputs})
    taken = set(names.values())
    for index, tensor in enumerate(program.tensors):
        name = names.get(index, tensor.name)
        if index not in names:
            count = 1
            while name in taken:
                count += 1
                name = f"{tensor.name}:{count}"
            taken.add(name)
        program.tensors[index] = dataclasses.replace(tensor, name=name)
