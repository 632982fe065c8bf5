"""Streaming statistics: exact against a plain count, independent of batches and order, NaN refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ptq_core.calibration.statistics import BINS, CHUNK, Scratch, TensorStatistics
from ptq_core.errors import InputError

RANDOM = np.random.default_rng(2)

TENSORS = {
    "gauss": RANDOM.standard_normal((30, 50)),
    "relu": np.maximum(RANDOM.standard_normal((30, 50)), 0),
    "relu6": np.clip(RANDOM.standard_normal((30, 50)) * 5, 0, 6),
    "growing": RANDOM.standard_normal((30, 50)) * 10.0 ** np.arange(-6, 24)[:, np.newaxis],
    "shrinking": RANDOM.standard_normal((30, 50)) * 10.0 ** -np.arange(30)[:, np.newaxis],
    "negative": -RANDOM.uniform(1, 2, (30, 50)),
    "powers": np.ldexp(1.0, RANDOM.integers(-9, 9, (30, 50))) * RANDOM.choice([-1, 1], (30, 50)),
    "constant": np.full((30, 50), 3.0),
    "zero": np.zeros((30, 50)),
    "huge": np.full((30, 50), 3e38),
    "tiny": np.full((30, 50), -1e-44),
    "longer than a chunk": RANDOM.laplace(size=(30, CHUNK // 10)),
}


def observe(values: NDArray[np.float32], batch: int) -> TensorStatistics:
    statistics, scratch = TensorStatistics("t"), Scratch()
    for start in range(0, len(values), batch):
        statistics.update(values[start : start + batch], scratch)
    return statistics


def same(a: TensorStatistics, b: TensorStatistics) -> bool:
    scalars = [(s.minimum, s.maximum, s.count, s.zero_count, s.exponent) for s in (a, b)]
    return scalars[0] == scalars[1] and np.array_equal(a.histogram, b.histogram)


@pytest.mark.parametrize("name", TENSORS)
def test_agrees_with_a_plain_count(name: str) -> None:
    values = TENSORS[name].astype(np.float32)
    statistics = observe(values, 7)
    assert statistics.minimum == values.min()
    assert statistics.maximum == values.max()
    assert statistics.count == values.size
    assert statistics.zero_count == np.sum(values == 0)
    nonzero = values[values != 0].astype(np.float64)
    bins = np.floor(nonzero / statistics.bin_width).astype(np.int64)
    assert np.array_equal(statistics.histogram, np.bincount(bins + BINS, minlength=2 * BINS))


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("batch", [1, 3, 10])
def test_does_not_depend_on_batches_or_order(name: str, batch: int) -> None:
    values = TENSORS[name].astype(np.float32)
    whole = observe(values, len(values))
    assert same(observe(values, batch), whole)
    assert same(observe(values[::-1].copy(), batch), whole)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("batch", [1, 3, 10, 30])
def test_sums_over_samples_do_not_depend_on_batches(name: str, batch: int) -> None:
    values = TENSORS[name].astype(np.float32)
    statistics, scratch = TensorStatistics("t"), Scratch()
    for start in range(0, len(values), batch):
        part = values[start : start + batch]
        statistics.update(part, scratch, samples=len(part))
    assert same(statistics, observe(values, 7))
    rows = values.tolist()
    assert statistics.samples == len(rows)
    assert statistics.sum_minimum == sum(map(min, rows))  # added in the same order: equal to the last bit
    assert statistics.sum_maximum == sum(map(max, rows))
    assert statistics.sum_abs_max == sum(max(map(abs, row)) for row in rows)


def test_a_sample_may_be_several_rows_or_all_of_them() -> None:
    statistics = TensorStatistics("t")
    statistics.update(np.array([[1], [-2], [3], [-5]], np.float32), Scratch(), samples=2)
    assert (statistics.samples, statistics.sum_minimum, statistics.sum_maximum) == (2, -7, 4)
    statistics.update(np.array([1, 2, 6], np.float32), Scratch(), samples=2)  # not split by samples
    assert (statistics.samples, statistics.sum_abs_max) == (4, 2 + 5 + 12)
    statistics.update(np.array(-7, np.float32), Scratch(), samples=3)
    assert (statistics.samples, statistics.sum_minimum) == (7, -7 + 2 - 21)
    statistics.update(np.zeros((3, 0), np.float32), Scratch(), samples=3)
    assert statistics.samples == 7


def test_the_comparison_notices_one_value() -> None:
    values = TENSORS["gauss"].astype(np.float32)
    other = values.copy()
    other[3, 3] *= -1
    assert not same(observe(values, 3), observe(other, 3))


@pytest.mark.parametrize("name", ["gauss", "relu6", "negative", "huge"])
def test_at_least_half_of_the_bins_are_in_use(name: str) -> None:
    statistics = observe(TENSORS[name].astype(np.float32), 10)
    assert BINS / 2 * statistics.bin_width <= statistics.abs_max < BINS * statistics.bin_width


def test_magnitudes_fold_both_sides() -> None:
    statistics = observe(np.array([[-1.5, -0.5, 0.0, 0.5, 1.75]], np.float32), 1)
    magnitudes = statistics.magnitudes()
    assert magnitudes.sum() == 4
    filled = np.flatnonzero(magnitudes) * statistics.bin_width
    assert np.allclose(filled, [0.5, 0.5, 1.5, 1.75], atol=statistics.bin_width)


def test_minus_zero_is_a_zero() -> None:
    statistics = observe(np.array([[-0.0, 0.0, 1.0]], np.float32), 1)
    assert (statistics.zero_count, statistics.histogram.sum()) == (2, 1)


def test_nothing_seen() -> None:
    statistics = observe(np.zeros((0, 4), np.float32), 1)
    assert (statistics.count, statistics.abs_max, statistics.minimum) == (0, 0.0, math.inf)


@pytest.mark.parametrize(("bad", "kind"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_not_finite_is_an_error_that_names_tensor_and_row(bad: float, kind: str) -> None:
    values = np.ones((4, 3, 2), np.float32)
    values[2, 1, 1] = bad
    with pytest.raises(InputError) as caught:
        TensorStatistics("conv1/out").update(values, Scratch(), "picture {}".format)
    assert "`conv1/out`" in caught.value.problem
    assert "picture 2" in caught.value.problem
    assert kind in caught.value.problem
