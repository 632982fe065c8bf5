"""The bound of Winograd's F(2×2, 3×3): the matrices are right, float32 keeps to it, and a wrong result exceeds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptq_core.flatfile import winograd
from ptq_core.flatfile.error_bound import SLACK, UNITS
from ptq_core.flatfile.program import DType
from ptq_core.numerics.reference import Window, conv2d_sums

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
