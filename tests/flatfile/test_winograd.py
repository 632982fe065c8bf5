"""The bound of Winograd's F(2×2, 3×3): the matrices are right, float32 keeps to it, and a wrong result exceeds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptq_core.flatfile import winograd
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d, may_be_winograd
from ptq_core.flatfile.operators.roundoff import SLACK, UNITS
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.numerics.reference import Window, conv2d_sums
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.runtime import Program as RuntimeProgram
from ptq_core.runtime import cpu_features

Array = NDArray[Any]
PADS = [(1, 1, 1, 1), (0, 0, 0, 0), (2, 0, 1, 3), (4, 5, 5, 4)]


def operands(channels: int) -> tuple[Array, Array]:
    random = np.random.default_rng(channels)
    return random.standard_normal((2, 7, 6, channels)), random.standard_normal((4, 3, 3, channels))


def convolve(x: Array, w: Array, pads: tuple[int, int, int, int], dtype: Any) -> Array:
    """A convolution by F(2×2, 3×3) in ``dtype``, one rounding after another; filters are rounded once."""
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (top, bottom + 1), (left, right + 1), (0, 0))).astype(dtype)
    oh, ow = x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2
    filters = np.einsum("iy,jx,oyxc->ijoc", winograd.FILTER, winograd.FILTER, w).astype(dtype)
    y = np.zeros((x.shape[0], oh + 1, ow + 1, w.shape[0]), dtype)
    for row in range(0, oh, 2):
        for column in range(0, ow, 2):
            window = padded[:, row : row + 4, column : column + 4]
            window = np.einsum("ik,nklc->nilc", winograd.INPUT.astype(dtype), window)
            window = np.einsum("jl,nilc->nijc", winograd.INPUT.astype(dtype), window)
            sums = np.zeros((*window.shape[:3], w.shape[0]), dtype)
            for c in range(x.shape[3]):
                sums = sums + window[..., None, c] * filters[..., c]
            sums = np.einsum("pi,nijo->npjo", winograd.OUTPUT.astype(dtype), sums)
            tile = np.einsum("qj,npjo->npqo", winograd.OUTPUT.astype(dtype), sums)
            y[:, row : row + 2, column : column + 2] = tile
    return y[:, :oh, :ow]


@pytest.mark.parametrize("pads", PADS)
def test_the_matrices_make_a_convolution(pads: tuple[int, int, int, int]) -> None:
    x, w = operands(5)
    direct = conv2d_sums(x, w, Window((3, 3), pads=pads), 1)
    np.testing.assert_allclose(convolve(x, w, pads, np.float64), direct, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pads", PADS)
def test_the_magnitude_is_at_least_that_of_a_direct_convolution(pads: tuple[int, int, int, int]) -> None:
    x, w = operands(5)
    window = Window((3, 3), pads=pads)
    magnitude = winograd.magnitude(x, w, window)
    assert np.all(magnitude >= conv2d_sums(np.abs(x), np.abs(w), window, 1) - 1e-12)
    assert np.array_equal(magnitude, winograd.magnitude(-x, -w, window))


@pytest.mark.parametrize("channels", [1, 16, 100])
def test_float32_keeps_to_the_bound_and_a_wrong_result_does_not(channels: int) -> None:
    x, w = (v.astype(np.float32).astype(np.float64) for v in operands(channels))
    window = Window((3, 3), pads=PADS[0])
    exact = conv2d_sums(x, w, window, 1)
    bound = (channels + SLACK) * UNITS[DType.F32] * winograd.magnitude(x, w, window)
    error = np.abs(convolve(x, w, PADS[0], np.float32).astype(np.float64) - exact)
    assert np.all(error <= bound)
    assert error.max() > 0
    assert not np.all(np.abs(exact * 1.001 - exact) <= bound)


def test_what_may_be_computed_so() -> None:
    assert winograd.is_candidate(Window((3, 3), pads=(0, 1, 2, 3)), 1)
    assert not winograd.is_candidate(Window((3, 3)), 2)
    assert not winograd.is_candidate(Window((3, 3), stride=(2, 1)), 1)
    assert not winograd.is_candidate(Window((3, 3), dilation=(1, 2)), 1)
    assert not winograd.is_candidate(Window((3, 1)), 1)


def filters(kind: str, channels: int = 32) -> Array:
    """[32,3,3,channels] float32; "outliers" are in one output."""
    random = np.random.default_rng(1)
    w = (random.standard_normal((32, 3, 3, channels)) * 0.1).astype(np.float32)
    if kind == "uniform":
        w = np.full_like(w, 0.1)
    elif kind == "heavy tails":
        w = (random.standard_t(3, w.shape) * 0.1).astype(np.float32)
    elif kind == "half zeros":
        w[random.random(w.shape) < 0.5] = 0
    elif kind == "dead output":
        w[7] = 0
    elif kind == "one outlier":
        w[5, 2, 2, 11] = -1.6e9
    elif kind == "outliers of many sizes":
        w[5, 0, :, :3] = np.array([[1e3, -1e4, 1e5]] * 3, np.float32)
    elif kind == "loud channel":
        w[..., 4] *= 1e6
    elif kind == "nothing but an outlier":
        w[5] = 0
        w[5, 1, 1, 11] = 1
    elif kind == "infinite":
        w[5, 2, 2, 11] = np.inf
    return w


KINDS = {
    "normal": True,
    "uniform": True,
    "heavy tails": True,
    "half zeros": True,
    "dead output": True,
    "one outlier": False,
    "outliers of many sizes": False,
    "loud channel": False,
    "nothing but an outlier": False,
    "infinite": False,
}
"""Whether Winograd's way is taken."""


def convolution(w: Array, size: int) -> Program:
    program = Program(targets=("arm64", "x86_64"))
    x = program.add(Tensor("x", DType.F32, (1, size, size, w.shape[3])))
    weight = program.add(Tensor("w", DType.F32, w.shape, None, w))
    y = program.add(Tensor("y", DType.F32, (1, size, size, w.shape[0])))
    pads = {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}
    program.ops = [Op(CONV2D, "conv", (x, weight), (y,), Conv2d(**pads))]
    program.inputs, program.outputs = [x], [y]
    plan_memory(program)
    return program


@pytest.mark.parametrize("level", cpu_features().split())
@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_decide_and_both_sides_decide_alike(
    kind: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTQ_CPU", level)
    w = filters(kind)
    x = np.random.default_rng(2).standard_normal((1, 16, 16, w.shape[3])).astype(np.float32)
    loud = np.abs(w).max(axis=(0, 1, 2)) > 100  # these inputs are silent in most places
    x[:, 5:, :, loud] = 0
    with RuntimeProgram(write_program(convolution(w, 16))) as opened:
        assert opened.ops[0].kernel.startswith("winograd") == KINDS[kind]
        (y,) = opened.run(x)
    window = Window((3, 3), pads=(1, 1, 1, 1))
    assert may_be_winograd(w, window, 1) == KINDS[kind]
    if kind != "infinite":
        exact, direct = (
            conv2d_sums(f(x.astype(np.float64)), f(w.astype(np.float64)), window, 1)
            for f in (np.array, np.abs)
        )
        assert (np.abs(y - exact) <= (9 * w.shape[3] + SLACK) * UNITS[DType.F32] * direct).all()
