"""What a program is run on to verify it: random values over the range that its inputs have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import Array, DType, Tensor

UNKNOWN = ((-1.0, 1.0), (0.0, 255.0))
"""Ranges of an input of which nothing is known, by turns: normalised values, and pixels."""

UNKNOWN_INTEGERS = ((0.0, 1.0), (0.0, 255.0))
"""The same of integers and bools: what may be an index of nearly anything, and bytes."""


@dataclass(frozen=True)
class InputRange:
    """Where an input's values lie, and how that is known."""

    low: float
    high: float
    known: bool


def input_ranges(program: Program, turn: int) -> list[InputRange]:
    """A range per input: that of the integers it is quantized to, else one of UNKNOWN."""
    ranges = []
    for index in program.inputs:
        dtype = program.tensors[index].dtype
        low, high = (UNKNOWN if dtype == DType.F32 else UNKNOWN_INTEGERS)[turn % len(UNKNOWN)]
        high = min(high, 1.0) if dtype == DType.BOOL else high
        found = InputRange(low, high, False)
        for op in program.ops:
            qparams = program.tensors[op.outputs[0]].qparams
            if op.kind == QUANTIZE and op.inputs == (index,) and qparams is not None:
                low, high = ((q - qparams.zero_point) * float(qparams.scale) for q in (-128, 127))
                found = InputRange(low, high, True)
        ranges.append(found)
    return ranges


def random_inputs(program: Program, turn: int = 0) -> list[Array]:
    """An array per input, uniform over its range; each ``turn`` gives others."""
    random = np.random.default_rng(turn)
    return [
        _uniform(random, program.tensors[index], found)
        for index, found in zip(program.inputs, input_ranges(program, turn), strict=True)
    ]


def _uniform(random: np.random.Generator, tensor: Tensor, found: InputRange) -> Array:
    if tensor.dtype.numpy.kind == "f":
        return random.uniform(found.low, found.high, tensor.dims).astype(tensor.dtype.numpy)
    integers = random.integers(int(found.low), int(found.high), tensor.dims, endpoint=True)
    return np.asarray(integers, tensor.dtype.numpy)


def described(program: Program, turns: int) -> str:
    """What the inputs of ``turns`` runs were, for people."""
    ranges = [found for turn in range(turns) for found in input_ranges(program, turn)]
    words = dict.fromkeys(f"[{found.low:.4g}, {found.high:.4g}]" for found in ranges)
    why = "" if all(found.known for found in ranges) else ", as nothing says what the model is fed"
    return f"{turns} random input{'s' if turns > 1 else ''} over {' and '.join(words)}{why}"
