"""A program as it was lowered, kept beside the one that the passes make of it, without its weights being held twice."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import Origin


class SourceProgram:
    """What ``program`` is before the passes; and which values of the model the tensors of the rewritten one stand for.

    Constants that the passes leave alone are taken from the flat file once it is written.
    """

    def __init__(self, program: Program) -> None:
        self._program = dataclasses.replace(program, tensors=list(program.tensors), ops=list(program.ops))
        self._shared: dict[int, int] = {}
        self._origins: list[Origin | None] = []

    def leave_constants_to(self, rewritten: Program) -> None:
        """Let go of the constants that ``rewritten``, which was written to a file, holds too."""
        places = {id(t.data): i for i, t in enumerate(rewritten.tensors) if t.data is not None}
        self._origins = [tensor.origin for tensor in rewritten.tensors]
        for index, tensor in enumerate(self._program.tensors):
            place = places.get(id(tensor.data))
            if place is not None:
                self._shared[index] = place
                self._program.tensors[index] = dataclasses.replace(tensor, data=None)

    def restored(self, written: Program) -> Program:
        """The program before the passes, with the constants of ``written``, whose tensors get to know what they stand for."""
        written.tensors = [
            dataclasses.replace(tensor, origin=origin)
            for tensor, origin in zip(written.tensors, self._origins, strict=True)
        ]
        for index, place in self._shared.items():
            tensor = self._program.tensors[index]
            self._program.tensors[index] = dataclasses.replace(tensor, data=written.tensors[place].data)
        return self._program
