"""The vectorised reference operators against loops over single elements."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ptq_core.numerics import reference
from ptq_core.numerics.reference import Window

# kernel, stride, dilation, pads, groups, channels, outputs
WINDOWS = [
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, 4, 5),
    ((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 4, 3),
    ((3, 2), (2, 1), (1, 2), (0, 1, 2, 0), 2, 4, 6),
    ((3, 3), (2, 2), (1, 1), (0, 0, 1, 1), 4, 4, 4),
    ((2, 3), (1, 2), (2, 1), (1, 0, 0, 2), 4, 4, 8),
]


@pytest.mark.parametrize(("kernel", "stride", "dilation", "pads", "groups", "channels", "outputs"), WINDOWS)
def test_conv2d_i8_against_loops(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
    groups: int,
    channels: int,
    outputs: int,
) -> None:
    random = np.random.default_rng(0)
    x = random.integers(-128, 128, (2, 7, 6, channels)).astype(np.int8)
    w = random.integers(-127, 128, (outputs, *kernel, channels // groups)).astype(np.int8)
    bias = random.integers(-1000, 1000, outputs).astype(np.int32)
    window = Window(kernel, stride, dilation, pads)
    got = reference.conv2d_i8_sums(x, 9, w, bias, window, groups)
    oh, ow = window.output_size(7, 6)
    assert got.shape == (2, oh, ow, outputs)
    per_group = channels // groups
    for n, i, j, o in itertools.product(range(2), range(oh), range(ow), range(outputs)):
        total = int(bias[o])
        first = o // (outputs // groups) * per_group
        for kh, kw, c in itertools.product(range(kernel[0]), range(kernel[1]), range(per_group)):
            h = i * stride[0] + kh * dilation[0] - pads[0]
            v = j * stride[1] + kw * dilation[1] - pads[1]
            if 0 <= h < 7 and 0 <= v < 6:
                total += (int(x[n, h, v, first + c]) - 9) * int(w[o, kh, kw, c])
        assert got[n, i, j, o] == total


def test_float_convolution_is_the_same_sum() -> None:
    x = np.random.default_rng(1).standard_normal((1, 5, 5, 3)).astype(np.float32)
    w = np.random.default_rng(2).standard_normal((2, 3, 3, 3)).astype(np.float32)
    y = reference.conv2d(x, w, np.ones(2, np.float32), Window((3, 3)), 1, 0.0, np.inf)
    expected = np.einsum("hwc,ohwc->o", x[0, 1:4, 1:4].astype(np.float64), w.astype(np.float64)) + 1
    np.testing.assert_array_equal(y[0, 1, 1], np.maximum(expected, 0).astype(np.float32))


def test_pools_against_loops() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (1, 5, 5, 2)).astype(np.int8)
    window = Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1))
    maximum = reference.max_pool2d(x, window)
    average = reference.average_pool2d_i8(x, window, False, np.float32(0.5), 4, np.float32(0.25), -3)
    for i, j, c in itertools.product(range(3), range(3), range(2)):
        part = x[0, max(0, 2 * i - 1) : 2 * i + 2, max(0, 2 * j - 1) : 2 * j + 2, c].astype(np.int64)
        assert maximum[0, i, j, c] == part.max()
        m = np.float32(0.5) / (np.float32(0.25) * np.float32(part.size))
        q = np.rint(np.float32((part - 4).sum()) * m) - 3
        assert average[0, i, j, c] == np.clip(q, -128, 127)


def test_average_counts_padding_on_request() -> None:
    x = np.ones((1, 2, 2, 1), np.float32)
    window = Window((2, 2), (2, 2), (1, 1), (1, 1, 1, 1))
    assert reference.average_pool2d(x, window, False)[0, 0, 0, 0] == 1
    assert reference.average_pool2d(x, window, True)[0, 0, 0, 0] == 0.25


def test_max_pool_never_takes_the_padding() -> None:
    window = Window((2, 2), (1, 1), (1, 1), (1, 1, 0, 0))
    assert reference.max_pool2d(np.full((1, 1, 1, 1), -100, np.int8), window)[0, 0, 0, 0] == -100
    assert reference.max_pool2d(np.full((1, 1, 1, 1), -5e30, np.float32), window)[0, 0, 0, 0] == np.float32(
        -5e30
    )


def test_quantize_rounds_to_even_and_saturates() -> None:
    x = np.array([0.25, 0.75, -0.25, 1e9, -1e9, np.inf, -np.inf], np.float32)
    assert reference.quantize(x, np.float32(0.5), 1).tolist() == [1, 3, 1, 127, -128, 127, -128]


def test_rescale_copies_equal_parameters() -> None:
    x = np.arange(-128, 128).astype(np.int8)
    s = np.float32(0.1)
    np.testing.assert_array_equal(reference.rescale_i8(x, s, 3, s, 3), x)
    np.testing.assert_array_equal(reference.rescale_i8(x, s, 0, s, 5), np.clip(x.astype(int) + 5, -128, 127))


def test_dequantize_of_quantize_is_within_half_a_step() -> None:
    x = np.linspace(-6, 6, 1001, dtype=np.float32)
    y = reference.dequantize(reference.quantize(x, np.float32(0.1), -3), np.float32(0.1), -3)
    assert np.abs(x - y).max() <= 0.05 * (1 + 1e-5)


def test_an_overflowing_accumulator_is_an_error() -> None:
    x = np.full((1, 200000), -128, np.int8)
    with pytest.raises(OverflowError):
        reference.fully_connected_i8_sums(x, 127, np.full((1, 200000), 127, np.int8), None)
