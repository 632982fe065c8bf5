"""KL: the vectorised search against a plain one, clipping of heavy tails, tensors far from zero, zeros, bits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ptq_core.calibration.observers import Quantizer, kl
from ptq_core.calibration.statistics import Scratch, TensorStatistics

RANDOM = np.random.default_rng(3)
N = 20_000

TENSORS = {
    "gaussian": RANDOM.standard_normal(N),
    "laplace": RANDOM.laplace(size=N),
    "relu of student t": np.maximum(RANDOM.standard_t(3, N), 0),
    "relu6": np.clip(RANDOM.standard_normal(N) * 4, 0, 6),
    "sparse": RANDOM.choice([0.001, 0.4, 1.0, 5.0, 9.0], N),
    "uniform": RANDOM.uniform(-1, 1, N),
    "offset": RANDOM.normal(1.5, 0.1, N),
}


def observe(values: NDArray[np.float64]) -> TensorStatistics:
    statistics = TensorStatistics("t")
    statistics.update(values.astype(np.float32), Scratch())
    return statistics


def threshold(statistics: TensorStatistics, bits: int) -> float:
    return kl.find_range(statistics, Quantizer(bits)).high


def plain_kl(histogram: Sequence[int], i: int, levels: int) -> float:
    """KL(P‖Q) for the first ``i`` bins, as the docstring of kl.py says it, one bin at a time; inf if not allowed."""
    saturated = sum(histogram[i:]) / sum(histogram)
    if saturated > 0.5 or saturated * levels**2 > 16 * (1 + 1e-12):
        return math.inf
    p = [float(h) for h in histogram[:i]]
    p[-1] += sum(histogram[i:])
    q = [0.0] * i
    for group in range(levels):
        places = range(group * i // levels, (group + 1) * i // levels)
        filled = [b for b in places if p[b] > 0]
        for b in filled:
            q[b] = sum(histogram[c] for c in places) / len(filled)
    total_p, total_q = sum(p), sum(q)
    divergence = 0.0
    for pb, qb in zip(p, q, strict=True):
        if pb > 0 and qb == 0:
            return math.inf
        if pb > 0:
            divergence += pb / total_p * math.log(pb / total_p / (qb / total_q))
    return divergence


@pytest.mark.parametrize("bits", [9, 8, 4, 2])
@pytest.mark.parametrize("name", TENSORS)
def test_search_agrees_with_the_plain_one(name: str, bits: int) -> None:
    histogram, _ = kl.search_histogram(observe(TENSORS[name]))
    levels = 2 ** (bits - 1)
    candidates, divergence = kl.divergences(histogram, levels)
    found = dict(zip(candidates.tolist(), divergence.tolist(), strict=True))
    counts = histogram.tolist()
    every = range(levels, len(counts) + 1)
    sampled = {*every[:3], *every[::97], *every[-3:], int(candidates[np.argmin(divergence)])}
    for i in sampled:
        if i not in found and bits == 9:
            continue  # with 256 levels every other candidate is left out
        assert found.get(i, math.inf) == pytest.approx(plain_kl(counts, i, levels), rel=1e-9, abs=1e-11), i


@pytest.mark.parametrize("bits", [8, 4, 1])
def test_small_histograms_agree_in_full(bits: int) -> None:
    levels = 2 ** (bits - 1)
    for density in (0.05, 0.3, 1.0):
        histogram = RANDOM.integers(1, 1000, 3 * levels) * (RANDOM.random(3 * levels) < density)
        histogram[-1] += 1
        candidates, divergence = kl.divergences(histogram, levels)
        plain = [plain_kl(histogram.tolist(), i, levels) for i in range(levels, 3 * levels + 1)]
        padded = np.full(len(plain), np.inf)
        padded[candidates - levels] = divergence
        np.testing.assert_allclose(padded, plain, rtol=1e-9, atol=1e-11)


def test_plain_kl_of_a_known_case() -> None:
    # P = [1, 1, 2], Q = [1, 1 | 1] → normalised [1/4, 1/4, 1/2] against [1/3, 1/3, 1/3]
    expected = 0.5 * math.log(3 / 4) + 0.5 * math.log(3 / 2)
    assert plain_kl([1, 1, 1, 1], 3, 2) == pytest.approx(expected)


@pytest.mark.parametrize("name", TENSORS)
def test_kl_stays_in_the_range(name: str) -> None:
    statistics = observe(TENSORS[name])
    for bits in (1, 2, 4, 8, 9, 12, 16):
        assert 0 < threshold(statistics, bits) <= statistics.abs_max


def test_kl_clips_a_heavy_tail_below_half_of_the_maximum() -> None:
    statistics = observe(TENSORS["relu of student t"])
    assert threshold(statistics, 8) < 0.5 * statistics.abs_max


def test_kl_keeps_a_spike_at_the_end_of_the_range() -> None:
    assert threshold(observe(TENSORS["relu6"]), 8) == pytest.approx(6.0, rel=0.01)


def test_kl_does_not_lose_the_offset_of_a_tensor_far_from_zero() -> None:
    statistics = observe(RANDOM.uniform(1, 2, N))
    assert threshold(statistics, 8) > 1.95


SPIKES = {
    "grey background after mean and std": np.where(
        RANDOM.random(N) < 0.8, -0.4242, RANDOM.uniform(-0.42, 2.82, N)
    ),
    "batch norm behind relu": np.maximum(RANDOM.standard_normal(N), 0) * 1.3 - 0.5,
    "clip from 1 to 3": np.clip(RANDOM.standard_normal(N) * 2, 1, 3),
}


@pytest.mark.parametrize("name", SPIKES)
def test_kl_does_not_end_in_a_spike(name: str) -> None:
    statistics = observe(SPIKES[name])
    assert threshold(statistics, 8) > 0.6 * statistics.abs_max


def test_kl_ignores_zeros() -> None:
    values = TENSORS["relu of student t"]
    with_zeros = np.concatenate([values, np.zeros(10 * N)])
    assert threshold(observe(values), 8) == threshold(observe(with_zeros), 8)


def test_fewer_bits_clip_more() -> None:
    statistics = observe(TENSORS["laplace"])
    thresholds = [threshold(statistics, bits) for bits in (2, 4, 8)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < 0.6 * thresholds[2]


def test_search_uses_about_2048_bins() -> None:
    for scale in np.linspace(1, 2, 9):
        statistics = observe(np.linspace(-scale, scale, 30_000))
        histogram, width = kl.search_histogram(statistics)
        assert 1707 <= histogram.size <= 2560
        assert (histogram.size - 1) * width <= statistics.abs_max <= histogram.size * width
        assert histogram.sum() == statistics.count - statistics.zero_count


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_more_levels_than_the_histogram_can_judge_clip_nothing(bits: int) -> None:
    statistics = observe(TENSORS["laplace"])
    assert threshold(statistics, bits) == statistics.abs_max


def test_the_widest_candidate_is_always_tried() -> None:
    for levels in (1, 100, 256):
        candidates, _ = kl.divergences(np.ones(2048, np.int64), levels)
        assert candidates[-1] == 2048
        assert len(candidates) * levels <= kl.WORK + levels


def test_asymmetric_tensor_of_one_sign_has_twice_the_levels() -> None:
    statistics = observe(TENSORS["relu of student t"])
    for bits in (4, 7):
        asymmetric = kl.find_range(statistics, Quantizer(bits, symmetric=False))
        assert (asymmetric.low, asymmetric.high) == (0, threshold(statistics, bits + 1))


def test_asymmetric_is_cut_on_both_sides() -> None:
    statistics = observe(np.concatenate([TENSORS["laplace"], [-40.0]]))
    found = kl.find_range(statistics, Quantizer(8, symmetric=False))
    assert found.low == -threshold(statistics, 8)
    assert found.high == min(threshold(statistics, 8), statistics.maximum)
