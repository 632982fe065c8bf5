"""The rounding rules of docs/numerics.md on hand-picked and random values."""

from __future__ import annotations

import numpy as np
import pytest

from ptq_core.numerics.qparams import quantize_bias
from ptq_core.numerics.requantize import multiplier, quantize_bound, requantize

F = np.float32

# acc, m, zero point, q_min, q_max → q
ROWS = [
    (1, 0.5, 0, -128, 127, 0),  # 0.5: the tie goes to even
    (3, 0.5, 0, -128, 127, 2),  # 1.5
    (5, 0.5, 0, -128, 127, 2),  # 2.5
    (-1, 0.5, 0, -128, 127, 0),
    (-3, 0.5, 0, -128, 127, -2),
    (1, 0.5, 7, -128, 127, 7),  # the zero point is added after rounding
    (1000, 1.0, 0, -128, 127, 127),
    (-1000, 1.0, 0, -128, 127, -128),
    (1000, 1.0, -5, 0, 60, 60),  # fused Clip
    (-1000, 1.0, -5, -5, 60, -5),  # fused Relu: q_min is the zero point
    (2**24 + 1, 2.0**-22, 0, -128, 127, 4),  # float32(acc) drops the last bit
    (2**31 - 1, 3e38, 0, -128, 127, 127),  # overflow to inf saturates
]


@pytest.mark.parametrize(("acc", "m", "zero_point", "q_min", "q_max", "q"), ROWS)
def test_requantize(acc: int, m: float, zero_point: int, q_min: int, q_max: int, q: int) -> None:
    result = requantize(np.array([acc], np.int32), F(m), zero_point, q_min, q_max)
    assert result.dtype == np.int8
    assert result[0] == q


def test_multiplier_rounds_twice() -> None:
    s_in, s_w, s_out = F(0.1), np.array([0.3, 0.7], np.float32), F(0.9)
    expected = [F(F(s_in * w) / s_out) for w in s_w]
    np.testing.assert_array_equal(multiplier(s_in, s_w, s_out), np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("bound", "scale", "zero_point", "q"),
    [
        (0.0, 0.1, -128, -128),
        (6.0, 0.05, -128, -8),
        (6.0, 0.01, 0, 127),
        (np.inf, 0.1, 3, 127),
        (-np.inf, 0.1, 3, -128),
    ],
)
def test_quantize_bound(bound: float, scale: float, zero_point: int, q: int) -> None:
    assert quantize_bound(bound, F(scale), zero_point) == q


def test_quantize_bias_is_per_channel_and_saturates() -> None:
    bias = quantize_bias(np.array([1.0, -1.0, 1e30], np.float32), np.array([0.25, 0.125, 5e-4], np.float32))
    assert bias.tolist() == [4, -8, 2**31 - 1]
