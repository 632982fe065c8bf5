"""Statistics against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptq_core.bench.statistics import speed_up, summarize


def test_summary_of_hand_computed_samples() -> None:
    latency = summarize([4.0, 1.0, 3.0, 2.0, 10.0])
    assert latency.count == 5
    assert (latency.min_ms, latency.max_ms, latency.mean_ms, latency.median_ms) == (1.0, 10.0, 4.0, 3.0)
    assert latency.p90_ms == pytest.approx(7.6)  # position 0.9·4 = 3.6: 4 + 0.6·(10 − 4)
    assert latency.p99_ms == pytest.approx(9.76)  # position 3.96
    assert latency.std_ms == pytest.approx(math.sqrt(50 / 4))  # squares 0, 9, 1, 4, 36
    assert latency.mad_ms == 1.0  # deviations 1, 2, 0, 1, 7
    assert latency.spread == pytest.approx(1 / 3)


def test_one_sample_has_no_standard_deviation() -> None:
    latency = summarize([2.5])
    assert latency.std_ms is None
    assert (latency.median_ms, latency.p99_ms, latency.mad_ms) == (2.5, 2.5, 0.0)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarize([])
    with pytest.raises(ValueError, match="no samples"):
        speed_up([1.0], [])


def test_speed_up_of_constant_series_is_exact() -> None:
    gain = speed_up([6.0] * 5, [2.0] * 7)
    assert (gain.ratio, gain.low, gain.high) == (3.0, 3.0, 3.0)


def test_speed_up_is_the_same_for_the_same_seed() -> None:
    generator = np.random.default_rng(1)
    slow, fast = generator.normal(4, 0.2, 30).tolist(), generator.normal(2, 0.1, 30).tolist()
    assert speed_up(slow, fast, seed=3) == speed_up(slow, fast, seed=3)
    assert speed_up(slow, fast, seed=3) != speed_up(slow, fast, seed=4)


def test_interval_holds_the_true_speed_up_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    held = 0
    for trial in range(200):
        slow, fast = 4 * generator.lognormal(0, 0.1, 30), 2 * generator.lognormal(0, 0.1, 30)
        gain = speed_up(slow.tolist(), fast.tolist(), seed=trial)
        held += gain.low <= 2 <= gain.high
    assert 180 <= held <= 200


def test_drift_that_slows_both_down_cancels_in_pairs() -> None:
    drift = np.linspace(1, 2, 30)
    paired = speed_up((4 * drift).tolist(), (2 * drift).tolist())
    assert (paired.low, paired.high) == (2.0, 2.0)
    unpaired = speed_up((4 * drift).tolist(), (2 * drift[:-1]).tolist())
    assert unpaired.high - unpaired.low > 0.2
