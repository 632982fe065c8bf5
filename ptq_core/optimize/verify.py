"""Is a flat file the model that it was made from? One random input through the host's runtime and through onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptq_core.errors import DeviceError, InputError, PtqError
from ptq_core.flatfile.program import Array, OpKind, Program
from ptq_core.reports import VerifyReport

MOVED = 2.0**-13
"""Share of its range by which the input is moved to see how steep the model is at that place."""

UNIT, UNIT_FP16 = 2.0**-24, 2.0**-11
"""The unit roundoffs of float32 and of half precision."""


def random_inputs(program: Program, seed: int = 0) -> list[Array]:
    """A float32 array per input, uniform over the range of the integers that it is quantized to, else over [−1, 1]."""
    random = np.random.default_rng(seed)
    arrays = []
    for index in program.inputs:
        low, high = -1.0, 1.0
        for op in program.ops:
            if op.kind == OpKind.QUANTIZE and op.inputs == (index,):
                qparams = program.tensors[op.outputs[0]].qparams
                assert qparams is not None
                low, high = ((q - qparams.zero_point) * float(qparams.scale) for q in (-128, 127))
        arrays.append(random.uniform(low, high, program.tensors[index].dims).astype(np.float32))
    return arrays


def moved(inputs: Sequence[Array], share: float = MOVED, seed: int = 1) -> list[Array]:
    """Each element of ``inputs`` up or down by ``share`` of the largest magnitude."""
    random = np.random.default_rng(seed)
    steps = [np.float32(np.abs(x).max(initial=0.0) * share) * random.choice([-1, 1], x.shape) for x in inputs]
    return [(x + step).astype(np.float32) for x, step in zip(inputs, steps, strict=True)]


def verify(
    flat: Path,
    model: Path | bytes,
    inputs: Sequence[Array],
    operators: int,
    *,
    int8: bool,
    fp16: bool = False,
) -> VerifyReport:
    """Compare the outputs of the flat file with those of ``model`` (its file, or ModelProto bytes).

    onnxruntime runs every node on its own; those of an ``int8`` file as it fuses them, in integers (docs/numerics.md).
    An output may differ by as much as onnxruntime's own moves when the input is `moved`, and by ``operators`` roundings: another
    order of summing, or a step of an int8 tensor, is like a small change of the input; a wrong operator is not. With ``fp16``
    roundings are those of half precision: each operator makes one of its weights and one of its values, 2n independent ones
    add up to √(2n), and by so many the input is moved, four times, as a single way may be one that hardly matters.
    Raises PtqError (exit code 1) beyond that, also for other shapes. What this machine lacks, or onnxruntime cannot run, is
    the reason in the report.
    """
    from ptq_core.graph.session import open_session
    from ptq_core.runtime import Program as RuntimeProgram

    try:
        with RuntimeProgram(flat) as program:
            got = program.run(*inputs)
            names = [info.name for info in program.outputs]
            feeds = [info.name for info in program.inputs]
    except DeviceError as error:
        return VerifyReport(reason=error.problem)
    try:
        session = open_session(model, threads=1, optimized=int8, low_memory=True)
        wanted = [np.asarray(values) for values in session.run(None, dict(zip(feeds, inputs, strict=True)))]
        if all(_equal(mine, theirs).all() for mine, theirs in zip(got, wanted, strict=True)):
            return VerifyReport(outputs=len(got), identical=len(got))
        share = UNIT_FP16 * math.sqrt(2 * operators) if fp16 else MOVED
        shaken = [
            session.run(None, dict(zip(feeds, moved(inputs, share, seed), strict=True)))
            for seed in range(1, 5 if fp16 else 2)
        ]
    except InputError as error:
        return VerifyReport(reason=error.problem)
    except Exception as error:  # onnxruntime's exceptions share no base class
        return VerifyReport(reason=f"onnxruntime cannot run the model: {str(error).splitlines()[0]}")
    shares = [
        _share(name, mine, theirs, np.asarray(others), operators * (UNIT_FP16 if fp16 else UNIT))
        for name, mine, theirs, *others in zip(names, got, wanted, *shaken, strict=True)
    ]
    return VerifyReport(outputs=len(shares), identical=shares.count(0.0), worst_share=max(shares))


def output_sqnr_db(whole: Path, other: Path, inputs: Sequence[Array]) -> float | None:
    """Σ y² over Σ (y − y')² in dB, over all outputs of two flat files of one model; inf if equal, None if it cannot be told.

    It cannot without ``inputs``, without a runtime for this machine, or where an output is not finite.
    """
    from ptq_core.runtime import Program as RuntimeProgram

    if not inputs:
        return None
    try:
        with RuntimeProgram(whole) as before, RuntimeProgram(other) as after:
            pairs = list(zip(before.run(*inputs), after.run(*inputs), strict=True))
    except DeviceError:
        return None
    signal = sum(float((y.astype(np.float64) ** 2).sum()) for y, _ in pairs)
    noise = sum(float(((y.astype(np.float64) - z.astype(np.float64)) ** 2).sum()) for y, z in pairs)
    if not (np.isfinite(signal) and np.isfinite(noise)) or not signal:
        return None
    return float(10 * np.log10(signal / noise)) if noise else float("inf")


def _equal(mine: Array, theirs: Array) -> Array:
    """Where both have one value or are no number; False for other shapes."""
    if mine.shape != theirs.shape:
        return np.array(False)
    return np.asarray((mine == theirs) | ((mine != mine) & (theirs != theirs)))


def _share(name: str, got: Array, wanted: Array, shaken: Array, roundings: float) -> float:
    """The largest difference of one output as a share of the allowed one; PtqError if it is more than 1.

    ``shaken`` is [moves, *shape].
    """
    if got.shape != wanted.shape:
        raise _mismatch(name, f"of shape {list(got.shape)}, onnxruntime's of {list(wanted.shape)}")
    same = _equal(got, wanted)
    if same.all():
        return 0.0
    mine, theirs, other = (array.astype(np.float64) for array in (got, wanted, shaken))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(mine - theirs))
        moves, size = np.abs(other - theirs).max(axis=0), np.abs(theirs)
    finite = np.isfinite(moves) & np.isfinite(size)
    allowed = float(moves[finite].max(initial=0.0) + roundings * size[finite].max(initial=0.0))
    worst = float(np.where(np.isnan(difference), np.inf, difference).max())
    if not worst <= allowed:
        raise _mismatch(name, f"up to {worst:.3g} away from onnxruntime's, where {allowed:.3g} is allowed")
    return worst / allowed


def _mismatch(name: str, what: str) -> PtqError:
    return PtqError(
        f"output `{name}` of the optimized model is {what}",
        rule="the runtime computes what the model computes",
        fix="report this as a bug of ptq with the model; --no-verify writes the file all the same",
    )
