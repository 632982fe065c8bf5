"""Both questions about a flat file that was just written, on a few random inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptq_core.errors import DeviceError, InputError
from ptq_core.flatfile.operators.binary import DIV, MOD
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import INTEGERS, Array
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.optimize.verify.inputs import described, random_inputs
from ptq_core.optimize.verify.model_check import ModelCheck, ModelComparison, by_name
from ptq_core.optimize.verify.runtime_check import RuntimeCheck, check_runtime, forget_constants
from ptq_core.reports import VerifyReport

TURNS = 2
"""So many random inputs a file is verified on."""


def verify(
    flat: Path, written: Program, lowered: Program, model: Path | bytes, outputs: Sequence[str]
) -> VerifyReport:
    """Check that ``flat`` computes ``model`` (its file, or ModelProto bytes), whose outputs are called ``outputs``.

    ``written`` is the program in it, ``lowered`` what it was before the passes; the tensors of both know the values of the
    model that they stand for. Raises MismatchError (exit code 1) where the runtime does not compute the program or the program
    not the model. What this machine lacks, or onnxruntime cannot run, is the reason in the report.
    """
    inputs = [random_inputs(written, turn) for turn in range(TURNS)]
    runtime, reason = _check_runtime(flat, written, inputs)
    if reason and any(written.tensors[i].dtype in INTEGERS for i in written.inputs):
        # Indices: a table may have fewer than 256 rows, and nearly every one has 0 and 1.
        first, still = _check_runtime(flat, written, inputs[:1])
        if not still:
            inputs, runtime, reason = inputs[:1], first, ""
    found: list[ModelCheck] = []
    try:
        if not runtime and _divides_integers(written):
            raise InputError(reason, rule="onnxruntime divides no integer by 0: the process ends", fix="")
        comparison = ModelComparison(written, lowered, model, outputs)
        for seed, each in enumerate(inputs):
            found.append(comparison.check(by_name(written, each), seed))
            forget_constants(written)
    except InputError as error:
        reason = reason or error.reason
    pairs = [
        (check.outputs[name], got)
        for ran, check in zip(runtime, found, strict=False)
        for name, got in zip(outputs, ran.outputs, strict=True)
        if name in check.outputs
    ]
    return VerifyReport(
        operators=len(written.ops) if runtime else 0,
        pieces=sum(check.pieces for check in found[:1]),
        steps_at_ties=sum(check.steps_at_ties for check in found),
        undefined=sum(c.undefined for c in runtime) + sum(c.undefined for c in found),
        worst_share=max([0.0, *(c.worst_share for c in runtime), *(c.worst_share for c in found)]),
        judged=tuple(dict.fromkeys(name for check in found for name in check.judged)),
        output_sqnr_db=min((sqnr_db(wanted, got) for wanted, got in pairs), default=None),
        inputs=described(written, len(inputs)),
        reason=reason,
    )


def _check_runtime(
    flat: Path, program: Program, inputs: Sequence[Sequence[Array]]
) -> tuple[list[RuntimeCheck], str]:
    try:
        return check_runtime(flat, program, inputs), ""
    except (DeviceError, InputError) as error:
        return [], error.reason


def _divides_integers(program: Program) -> bool:
    """By what may be 0."""
    divisions = (op.reads for op in program.ops if op.kind in (DIV, MOD))
    operands = ([program.tensors[i] for i in reads] for reads in divisions)
    return any(a.dtype in INTEGERS and not (b.is_constant and np.all(b.data)) for a, b in operands)
