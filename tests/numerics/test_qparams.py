"""Ranges to scales, zero points and integers: docs/numerics.md, "Affine quantization", row by row."""

from __future__ import annotations

import numpy as np
import pytest

from ptq_core.numerics import qparams

# bits, symmetric → q_min, q_max
RANGES = [
    (8, True, -128, 127),
    (8, False, -128, 127),
    (16, True, -32768, 32767),
    (4, False, -8, 7),
    (2, True, -2, 1),
    (1, True, -1, 1),  # three levels: with two of them one sign would be lost
    (1, False, -1, 0),
]


@pytest.mark.parametrize(("bits", "symmetric", "low", "high"), RANGES)
def test_integer_range(bits: int, symmetric: bool, low: int, high: int) -> None:
    assert qparams.integer_range(bits, symmetric=symmetric) == (low, high)
    info = np.iinfo(qparams.storage_type(bits))
    assert info.min <= low <= high <= info.max


# low, high, bits, symmetric → scale, zero point
PARAMS = [
    (-1.0, 127.0, 8, True, 1.0, 0),
    (-254.0, 3.0, 8, True, 2.0, 0),
    (0.0, 0.0, 8, True, 1.0, 0),
    (0.0, 0.0, 8, False, 1.0, 0),
    (0.0, 255.0, 8, False, 1.0, -128),
    (-255.0, 0.0, 8, False, 1.0, 127),
    (-128.0, 127.0, 8, False, 1.0, 0),
    (10.0, 255.0, 8, False, 1.0, -128),  # widened to hold 0
    (-51.0, -10.0, 8, False, 0.2, 127),
    (-0.5, 254.5, 8, False, 1.0, -128),  # -127.5: the tie goes to even
    (-1.5, 253.5, 8, False, 1.0, -126),  # -126.5
    (-1.0, 65534.0, 16, False, 1.0, -32767),
    (0.0, 3.0, 2, False, 1.0, -2),
    (-1.0, 1.0, 1, True, 1.0, 0),
    (0.0, 2.0, 1, False, 2.0, -1),  # levels 0 and 2
]


@pytest.mark.parametrize(("low", "high", "bits", "symmetric", "scale", "zero_point"), PARAMS)
def test_affine_params(
    low: float, high: float, bits: int, symmetric: bool, scale: float, zero_point: int
) -> None:
    assert qparams.affine_params(low, high, bits, symmetric=symmetric) == (np.float32(scale), zero_point)


@pytest.mark.parametrize("bits", range(1, 17))
def test_zero_is_exact_and_the_range_fits_within_a_step(bits: int) -> None:
    random = np.random.default_rng(bits)
    q_min, q_max = qparams.integer_range(bits, symmetric=False)
    for low, high in zip(-random.exponential(3, 50), random.exponential(3, 50), strict=True):
        scale, zero = qparams.affine_params(low, high, bits, symmetric=False)
        assert q_min <= zero <= q_max
        x = np.array([0, low, high], np.float32)
        q = qparams.quantize_affine(x, scale, zero, q_min, q_max).astype(np.float64)
        assert q[0] == zero
        assert np.abs((q - zero) * scale - x).max() <= 0.5001 * scale + (bits == 1) * scale


@pytest.mark.parametrize(("low", "high"), [(np.nan, 1), (-np.inf, 1), (0, np.inf), (2, 1)])
def test_no_range(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="not a finite range"):
        qparams.affine_params(low, high, 8, symmetric=False)


def test_scales_are_never_subnormal() -> None:
    assert qparams.affine_params(0.0, 1e-40, 8, symmetric=False)[0] == qparams.MIN_SCALE
    assert qparams.affine_params(0.0, 1e-40, 8, symmetric=True)[0] == qparams.MIN_SCALE


def test_one_bit_weights_are_least_squares() -> None:
    weight = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)
    weight[2] = 0
    weight[1, :20] = 0
    scales = qparams.weight_scales(weight, 0, 1)
    integers = qparams.quantize(weight, scales, axis=0, bits=1)
    np.testing.assert_array_equal(integers, np.sign(weight))

    def error(factor: float) -> float:
        return float(((weight - qparams.dequantize(integers, scales * factor, axis=0)) ** 2).sum())

    assert error(1) < min(error(0.99), error(1.01))
    assert scales[2] == scales[:2].max()


@pytest.mark.parametrize("bits", range(2, 17))
def test_weights_use_all_levels(bits: int) -> None:
    weight = np.random.default_rng(1).standard_normal((4, 1000)).astype(np.float32)
    integers = qparams.quantize(weight, qparams.weight_scales(weight, 0, bits), axis=0, bits=bits)
    assert integers.dtype == (np.int8 if bits <= 8 else np.int16)
    assert np.abs(integers.astype(int)).max(axis=1).tolist() == [2 ** (bits - 1) - 1] * 4
