"""`ptq opt --quant-model`: weights of float operators as integers make a smaller file; the runtime computes in float."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptq_core.errors import DeviceError
from ptq_core.flatfile.compressed import weights_of
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import Array, DType, QuantParams, Tensor
from ptq_core.numerics.metrics import Noise
from ptq_core.numerics.qparams import quantize, weight_scales
from ptq_core.optimize.rewrite import keep_tensors
from ptq_core.reports import CompressReport

TYPES: dict[str, tuple[DType, int]] = {"QUANT_INT8": (DType.I8, 8), "QUANT_INT16": (DType.I16, 16)}
"""Paddle-Lite's names → the type that is stored, and its bits."""


def compress_weights(program: Program, quant_type: str) -> CompressReport:
    """Weights of float operators that have some ⇒ integers with one abs-max scale per output channel.

    Changes ``program`` in place. A weight that is not finite stays as it is. Weights that int8 operators read stay int8.
    """
    dtype, bits = TYPES[quant_type]
    made: dict[int, int] = {}
    signal = noise = 0.0
    before = after = 0
    for position, op in enumerate(program.ops):
        index = weights_of(program, op)
        w = None if index is None else program.tensors[index]
        if index is None or w is None or w.data is None or w.dtype != DType.F32:
            continue
        if not np.isfinite(w.data).all():
            continue
        if index not in made:
            scales = weight_scales(w.data, 0, bits)
            integers = quantize(w.data, scales, axis=0, bits=bits)
            qparams = QuantParams(scales, 0, 0 if len(scales) > 1 else -1)
            made[index] = program.add(Tensor(w.name, dtype, w.dims, qparams, integers))
            real = w.data.astype(np.float64)
            steps = scales.astype(np.float64).reshape(-1, *[1] * (w.data.ndim - 1))
            signal += float((real**2).sum())
            noise += float(((integers * steps - real) ** 2).sum())
            before += w.size_bytes
            after += integers.nbytes + scales.nbytes
        inputs = (op.inputs[0], made[index], *op.inputs[2:])
        program.ops[position] = dataclasses.replace(op, inputs=inputs)
    _drop_unread(program, made)
    sqnr = 10 * np.log10(signal / noise) if noise else np.inf
    return CompressReport(quant_type, len(made), before, after, float(sqnr))


def _drop_unread(program: Program, replaced: dict[int, int]) -> None:
    """Remove the float constants that nothing reads any more; indices move up."""
    read = {index for op in program.ops for index in op.reads}
    gone = set(replaced) - read
    keep_tensors(program, (index for index in range(len(program.tensors)) if index not in gone))


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
    if not all(np.isfinite(values).all() for pair in pairs for values in pair):
        return None
    noise = Noise()
    for y, z in pairs:
        noise.add(y, z)
    return noise.sqnr_db if noise.signal else None
