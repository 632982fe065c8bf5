"""Does the runtime compute the program? Every operator against its reference, on the tensors that the runtime itself made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.error_bound import UNITS, Roundoff, error_bound, is_float
from ptq_core.flatfile.interpreter import evaluate
from ptq_core.flatfile.program import Array, DType, Op, Program
from ptq_core.optimize.verify.comparison import MismatchError, described, exceeds, share
from ptq_core.runtime import Program as Runtime
from ptq_core.runtime import TensorInfo


@dataclass
class RuntimeCheck:
    """What was found: ``operators`` compared, the largest difference of a float as a share of its bound, the outputs."""

    operators: int
    worst_share: float
    outputs: list[Array]


def check_runtime(flat: Path, program: Program, inputs: Sequence[Array]) -> RuntimeCheck:
    """Run ``flat``, which holds ``program``, on ``inputs`` and compare what every operator writes with the reference operator.

    Integers are equal; floats differ by no more than the operator's own bound (docs/numerics.md, "Float operators"). An operand
    is what the runtime has computed, so nothing is carried from one operator to the next. Raises MismatchError, which names the
    operator, its kernel and both values; DeviceError where this machine has no runtime.
    """
    checker = _Checker(expand_weights(program), inputs)
    with Runtime(flat) as runtime:
        checker.kernels = [op.kernel for op in runtime.ops]
        runtime.observe(checker.look)
        outputs = runtime.run(*inputs)
    return RuntimeCheck(checker.looked_at, checker.worst_share, outputs)


class _Checker:
    """Holds each tensor from the operator that writes it to the last that reads it."""

    def __init__(self, program: Program, inputs: Sequence[Array]) -> None:
        self._program = program
        self._values = dict(zip(program.inputs, inputs, strict=True))
        self._last_reader = {index: i for i, op in enumerate(program.ops) for index in op.reads}
        self.kernels: list[str] = []
        self.looked_at = 0
        self.worst_share = 0.0

    def look(self, step: int, _info: TensorInfo, got: Array, _microseconds: float) -> None:
        """Compare ``got``, which operator ``step`` has written."""
        op = self._program.ops[step]
        operands = [
            None if i is None else self._values.get(i, self._program.tensors[i].data) for i in op.inputs
        ]
        self._compare(op, self.kernels[step], operands, got)
        self.looked_at += 1
        self._values[op.outputs[0]] = got
        for index in (*op.reads, op.outputs[0]):
            if self._last_reader.get(index, step) <= step:
                self._values.pop(index, None)

    def _compare(self, op: Op, kernel: str, operands: Sequence[Array | None], got: Array) -> None:
        with np.errstate(all="ignore"):
            wanted = evaluate(self._program, op, operands)
        present = [v for v in operands if v is not None]
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            raise MismatchError(f"{_label(op, kernel)} gives {got.dtype}{list(got.shape)}")
        allowed = self._bound(op, present, got, wanted) if is_float(op, present, wanted) else np.zeros(())
        if exceeds(got, wanted, allowed).any():
            raise MismatchError(f"{_label(op, kernel)} computes {described(got, wanted, allowed)}")
        if wanted.dtype in (np.float32, np.float16):
            self.worst_share = max(self.worst_share, share(got, wanted, allowed))

    def _bound(self, op: Op, operands: Sequence[Array], got: Array, wanted: Array) -> Array:
        """The smaller bound of direct sums where that is kept: the one of Winograd's transforms is dear."""
        exact = [np.zeros(v.shape) for v in operands]
        unit = UNITS[DType.F16 if wanted.dtype == np.float16 else DType.F32]
        allowed = np.zeros(())
        for winograd in (False, True):
            with np.errstate(all="ignore"):
                allowed = error_bound(op, operands, exact, wanted, Roundoff(unit, winograd=winograd))
            if not exceeds(got, wanted, allowed).any():
                break
        return allowed


def _label(op: Op, kernel: str) -> str:
    return f"operator `{op.name}` ({op.kind.label}, kernel {kernel}) of the flat file"
