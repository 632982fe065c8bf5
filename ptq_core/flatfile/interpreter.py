"""Run a program with the NumPy reference operators: the judge of every faster runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor


def interpret(program: Program, inputs: Sequence[Array]) -> list[Array | None]:
    """Every tensor's value, aligned with ``program.tensors``; None for a tensor that nothing writes.

    ``inputs`` are aligned with ``program.inputs`` and must have their dims and dtypes (ValueError otherwise).
    """
    count = len(program.tensors)
    program = expand_weights(program)
    values: list[Array | None] = [tensor.data for tensor in program.tensors]
    for index, value in zip(program.inputs, inputs, strict=True):
        tensor = program.tensors[index]
        if value.shape != tensor.dims or value.dtype != tensor.dtype.numpy:
            raise ValueError(
                f"input {tensor.name} is {value.dtype}{list(value.shape)}, expected {tensor.dtype.label}{list(tensor.dims)}"
            )
        values[index] = value
    for op in program.ops:
        operands = [None if index is None else values[index] for index in op.inputs]
        tensors = [None if index is None else program.tensors[index] for index in op.inputs]
        values[op.outputs[0]] = evaluate(op, tensors, operands, program.tensors[op.outputs[0]])
    return values[:count]


def evaluate(
    op: Op, tensors: Sequence[Tensor | None], operands: Sequence[Array | None], out: Tensor
) -> Array:
    """What ``op`` makes of ``operands``, which with their ``tensors`` are aligned with its inputs; ``out`` is its output.

    Weights are expanded. Raises ValueError if the result is not of the type and dims of ``out``, OutOfRangeError where an
    operand is a value that the operator does not take.
    """
    widened = [None if values is None else _widened(values) for values in operands]
    result = op.kind.reference(Call(op.attributes, tensors, widened, out))
    if out.dtype == DType.F16:
        result = half(result)
    if result.shape != out.dims or result.dtype != out.dtype.numpy:
        raise ValueError(f"{op.kind.name} {op.name} gives {result.dtype}{list(result.shape)}, not {out}")
    return result


def _widened(values: Array) -> Array:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def half(values: Array) -> Array:
    """``values`` rounded to half precision; beyond 65504 they are infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def run(program: Program, inputs: Sequence[Array]) -> list[Array]:
    """The program's outputs for ``inputs``; see `interpret`."""
    values = interpret(program, inputs)
    return [cast(Array, values[index]) for index in program.outputs]
