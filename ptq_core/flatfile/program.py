"""The program that a flat file holds: tensors, operators in execution order, inputs, outputs. Neutral: no ONNX here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ptq_core.flatfile.operators.attributes import Attributes
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.tensors import Tensor


@dataclass(frozen=True)
class Op:
    """An operator; ``inputs`` and ``outputs`` are indices into the program's tensors, None for an absent optional input."""

    kind: OperatorKind[Any]
    name: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attributes: Attributes

    @property
    def reads(self) -> tuple[int, ...]:
        """The inputs that are present."""
        return tuple(index for index in self.inputs if index is not None)


@dataclass
class Program:
    """Tensors and operators in execution order. ``arena_size`` in bytes; ``targets`` are names of layout.TARGETS.

    ``version`` is that of the file it was read from; the writer writes the lowest that holds the program.
    """

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    arena_size: int = 0
    targets: tuple[str, ...] = ()
    producer: str = ""
    version: tuple[int, int] | None = None
    meta: Mapping[str, object] = field(default_factory=dict)

    def add(self, tensor: Tensor) -> int:
        """Append ``tensor`` and return its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1
