"""Sums of many floats: the error does not grow with their number (docs/numerics.md, "Float operators")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ptq_core.flatfile import winograd
from ptq_core.flatfile.error_bound import error_bound, error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.attributes import Attributes, Clamp
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.numerics.reference import Window
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


Dims = tuple[int, ...]
ROWS: dict[str, tuple[OperatorKind[Any], Attributes, Dims, Dims]] = {
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


LAYERS: dict[str, tuple[OperatorKind[Any], Attributes, Dims, Dims, Dims]] = {
    "fully connected": (FULLY_CONNECTED, Clamp(), (2, 25088), (40, 25088), (2, 40)),
    "whole taps": (CONV2D, Conv2d(), (1, 5, 5, 800), (40, 5, 5, 800), (1, 1, 1, 40)),
    # Strided: not by Winograd, whose bound is another.
    "parts of taps": (
        CONV2D,
        Conv2d(stride_h=2, stride_w=2),
        (1, 3, 3, 2500),
        (40, 3, 3, 2500),
        (1, 1, 1, 40),
    ),
    "depthwise": (CONV2D, Conv2d(groups=5), (1, 120, 120, 5), (5, 120, 120, 1), (1, 1, 1, 5)),
}


@pytest.mark.parametrize("level", cpu_features().split())
@pytest.mark.parametrize("name", LAYERS)
def test_the_error_of_many_products_does_not_grow(
    name: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTQ_CPU", level)
    kind, attributes, x_dims, w_dims, y_dims = LAYERS[name]
    x = np.ones(x_dims, np.float32)
    w = np.full(w_dims, 1 + 0.98 / 2048, np.float32)  # a sum beyond 8192 rounds each one down
    program = one_operator(kind, attributes, [x, w], y_dims)
    with RuntimeProgram(write_program(program)) as opened:
        (y,) = opened.run(x)
    (exact,), (bound,) = run(program, [x]), error_bounds(program, [x])
    assert (np.abs(y.astype(np.float64) - exact) <= bound).all()
    assert (bound <= 1.25e-4 * np.abs(exact)).all()


@pytest.mark.parametrize("level", cpu_features().split())
def test_the_error_of_many_channels_by_winograd_does_not_grow(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ones have one transformed position that is not 0: sums to 2^17 of what is rounded down by half a step beyond 2^16."""
    monkeypatch.setenv("PTQ_CPU", level)
    channels = 14560
    x, w = (
        np.ones((1, 10, 18, channels), np.float32),
        np.full((16, 3, 3, channels), 1 + 0.49 / 128 / 9, np.float32),
    )
    program = one_operator(CONV2D, Conv2d(), [x, w], (1, 8, 16, 16))
    with RuntimeProgram(write_program(program)) as opened:
        (y,) = opened.run(x)
    exact = 9 * channels * float(w[0, 0, 0, 0])
    assert (np.abs(y.astype(np.float64) - exact) <= (2048 + 2 * 8 + 8) * 2.0**-24 * exact).all()


@pytest.mark.parametrize("level", cpu_features().split())
def test_many_channels_by_winograd(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTQ_CPU", level)
    random = np.random.default_rng(0)
    x, w = (random.standard_normal(dims).astype(np.float32) for dims in ((1, 8, 16, 2100), (17, 3, 3, 2100)))
    program = one_operator(
        CONV2D, Conv2d(pad_top=1, pad_left=1, pad_bottom=1, pad_right=1), [x, w], (1, 8, 16, 17)
    )
    with RuntimeProgram(write_program(program)) as opened:
        (y,) = opened.run(x)
    (exact,) = run(program, [x])
    np.testing.assert_allclose(y, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_the_sums_of_winograd_have_blocks_too() -> None:
    x, w = np.ones((1, 4, 4, 5000), np.float32), np.ones((1, 3, 3, 5000), np.float32)
    (bound,) = error_bounds(one_operator(CONV2D, Conv2d(), [x, w], (1, 2, 2, 1)), [x])
    magnitude = winograd.magnitude(x, w, Window((3, 3)))
    np.testing.assert_allclose(bound, (2048 + 2 * 3 + 8) * 2.0**-24 * magnitude, rtol=1e-12)


@pytest.mark.parametrize(
    ("roundoff", "roundings"),
    [
        (Roundoff(2.0**-24), 2048 + 2 * 13),
        (Roundoff(2.0**-24, blocks=False), 25088),  # another runtime
        (Roundoff(2.0**-11), 2048 + 2 * 13),  # half precision
    ],
)
def test_roundings_of_products(roundoff: Roundoff, roundings: int) -> None:
    assert roundoff.of_products(25088) == roundings
    assert roundoff.of_products(2048) == 2048
