"""Does the runtime compute the program? Every operator against its reference, on the tensors that the runtime itself made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.error_bound import error_bound, is_float
from ptq_core.flatfile.interpreter import evaluate
from ptq_core.flatfile.operators.roundoff import UNITS, Roundoff
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType
from ptq_core.memory import forget_pages
from ptq_core.optimize.verify.comparison import Difference, MismatchError
from ptq_core.optimize.verify.regions import BUDGET, WHOLE, Excerpt, Parts, excerpt_of, regions
from ptq_core.runtime import Program as Runtime
from ptq_core.runtime import TensorInfo


@dataclass
class RuntimeCheck:
    """What was found: the largest difference of a float as a share of its bound, operators that read a NaN, the outputs."""

    worst_share: float
    undefined: int
    outputs: list[Array]


def check_runtime(flat: Path, program: Program, inputs: Sequence[Sequence[Array]]) -> list[RuntimeCheck]:
    """Run ``flat``, which holds ``program``, on each of ``inputs`` and compare what every operator writes with the reference.

    Integers are equal; floats differ by no more than the operator's own bound (docs/numerics.md, "Float operators"). An operand
    is what the runtime has computed, so nothing is carried from one operator to the next. Of large tensors, some rows and
    channels are compared, others in each turn. Raises MismatchError, which names the operator, its kernel and both values;
    DeviceError where this machine has no runtime.
    """
    expanded = expand_weights(program)
    found = []
    with Runtime(flat) as runtime:
        kernels = [op.kernel for op in runtime.ops]
        for turn, each in enumerate(inputs):
            checker = _Checker(expanded, each, turn, kernels)
            runtime.observe(checker.look)
            outputs = runtime.run(*each)
            found.append(RuntimeCheck(checker.worst_share, checker.undefined, outputs))
            forget_constants(program)
    return found


def forget_constants(program: Program) -> None:
    """Give back the pages of constants, which are mapped from one file."""
    constant = next((tensor.data for tensor in program.tensors if tensor.data is not None), None)
    if constant is not None:
        forget_pages(constant)


class _Checker:
    """Holds each tensor from the operator that writes it to the last that reads it."""

    def __init__(self, program: Program, inputs: Sequence[Array], seed: int, kernels: Sequence[str]) -> None:
        self._program, self._seed, self._kernels = program, seed, kernels
        self._values: Parts = {i: (WHOLE, x) for i, x in zip(program.inputs, inputs, strict=True)}
        self._last_reader = {index: i for i, op in enumerate(program.ops) for index in op.reads}
        self.worst_share = 0.0
        self.undefined = 0

    def look(self, step: int, _info: TensorInfo, got: Array, _microseconds: float) -> None:
        """Compare ``got``, which operator ``step`` has written."""
        op, program = self._program.ops[step], self._program
        out = program.tensors[op.outputs[0]]
        if got.shape != out.dims or got.dtype != out.dtype.numpy:
            raise MismatchError(
                f"{self._label(step)} gives {got.dtype}{list(got.shape)}, not {out.dtype.label}{out.dims}"
            )
        for region in regions(program, [op], BUDGET // len(program.ops), self._seed):
            self._compare(step, excerpt_of(program, [op], op.outputs[0], region), got)
        self._values[op.outputs[0]] = (WHOLE, got)
        for index in (*op.reads, op.outputs[0]):
            if self._last_reader.get(index, step) <= step:
                self._values.pop(index, None)

    def _compare(self, step: int, excerpt: Excerpt, whole: Array) -> None:
        op = excerpt.ops[0]
        cut, got = excerpt.cut(op, self._values), excerpt.region(op.outputs[0]).part(whole)
        with np.errstate(all="ignore"):
            wanted = evaluate(cut.op, cut.tensors, cut.operands, cut.out)
        found = Difference(got, wanted)
        if found.none:
            return
        present = [v for v in cut.operands if v is not None]
        if any(v.dtype.kind == "f" and np.isnan(v).any() for v in present):
            self.undefined += 1
            return
        allowed = (
            self._bound(cut.op, present, wanted, found) if is_float(op, present, wanted) else np.zeros(())
        )
        if found.exceeds(allowed):
            raise MismatchError(f"{self._label(step)} computes {found.described(allowed)}")
        self.worst_share = max(self.worst_share, found.share(allowed))

    def _bound(self, op: Op, operands: Sequence[Array], wanted: Array, found: Difference) -> Array:
        """The smaller bound of direct sums where that is kept: the one of Winograd's transforms is dear."""
        exact = [np.zeros(v.shape) for v in operands]
        unit = UNITS[DType.F16 if wanted.dtype == np.float16 else DType.F32]
        allowed = np.zeros(())
        for winograd in (False, True):
            with np.errstate(all="ignore"):
                allowed = error_bound(op, operands, exact, wanted, Roundoff(unit, winograd=winograd))
            if not found.exceeds(allowed):
                break
        return allowed

    def _label(self, step: int) -> str:
        op = self._program.ops[step]
        return f"operator `{op.name}` ({op.kind.name}, kernel {self._kernels[step]}) of the flat file"
