"""Sums of many floats: the error does not grow with their number (docs/numerics.md, "Float operators")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ptq_core.flatfile.error_bound import error_bound, error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.attributes import Attributes
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.runtime import Program as RuntimeProgram
from ptq_core.runtime import cpu_features


def one_operator(
    kind: OperatorKind[Any], attributes: Attributes, operands: Sequence[Array], dims: tuple[int, ...]
) -> Program:
    """``kind`` over an input of the shape of the first of ``operands`` and constants for the others."""
    program = Program(targets=("arm64", "x86_64"))
    indices = [
        program.add(Tensor(f"t{i}", DType.F32, value.shape, None, value if i else None))
        for i, value in enumerate(operands)
    ]
    y = program.add(Tensor("y", DType.F32, dims))
    program.ops = [Op(kind, "op", tuple(indices), (y,), attributes)]
    program.inputs, program.outputs = indices[:1], [y]
    plan_memory(program)
    return program


ROWS = {
    "mean of a picture": (
        REDUCE, Reduce(function=ReduceFunction.MEAN, axes=0b0110), (1, 640, 640, 3), (1, 1, 1, 3)
    ),
    "mean of a row": (REDUCE, Reduce(function=ReduceFunction.MEAN, axes=0b10), (2, 300000), (2, 1)),
    "length": (REDUCE, Reduce(function=ReduceFunction.L2, axes=0b01), (200000, 5), (1, 5)),
    "average pool": (
        AVERAGE_POOL2D, Pool2d(kernel_h=320, kernel_w=320), (1, 320, 320, 3), (1, 1, 1, 3)
    ),
    "softmax": (SOFTMAX, Softmax(axis=1), (1, 500000), (1, 500000)),
}  # fmt: skip


@pytest.mark.parametrize("level", cpu_features().split())
@pytest.mark.parametrize("name", ROWS)
def test_the_error_does_not_grow(name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTQ_CPU", level)
    kind, attributes, x_dims, y_dims = ROWS[name]
    x = (0.7 + 0.01 * np.random.default_rng(0).random(x_dims)).astype(np.float32)
    program = one_operator(kind, attributes, [x], y_dims)
    with RuntimeProgram(write_program(program)) as opened:
        (y,) = opened.run(x)
    (exact,), (bound,) = run(program, [x]), error_bounds(program, [x])
    assert (np.abs(y.astype(np.float64) - exact) <= bound).all()
    assert (bound <= 2.0**-17 * exact).all()


def test_another_runtime_may_add_one_after_another() -> None:
    x = np.ones((1, 5000), np.float32)
    op = Op(REDUCE, "sum", (0,), (1,), Reduce(function=ReduceFunction.SUM, axes=0b10))
    ours, theirs = (
        error_bound(
            op, [x], [np.zeros(x.shape)], np.full((1, 1), 5000, np.float32), Roundoff(2.0**-24, blocks=blocks)
        )
        for blocks in (True, False)
    )
    assert ours == 88 * 2.0**-24 * 5000
    assert theirs == 5008 * 2.0**-24 * 5000
