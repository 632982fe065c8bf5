"""Statistics against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptq_core.bench import statistics
from ptq_core.bench.statistics import TREND_BLOCKS, Ratio, ratio_of_medians, speed_up, summarize


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


def test_the_interval_does_not_depend_on_how_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = [4.0, 4.5, 4.1, 4.3], [2.0, 2.2, 2.1, 2.5]
    at_once = speed_up(slow, fast)
    monkeypatch.setattr(statistics, "DRAWN_AT_ONCE", 40)
    assert speed_up(slow, fast) == at_once


def test_series_of_two_runs_are_no_pairs() -> None:
    generator = np.random.default_rng(5)
    shared = generator.lognormal(0, 0.1, 30)
    runs = (2 * shared).tolist(), shared.tolist()
    assert ratio_of_medians(*runs, paired=True) == Ratio(2.0, 2.0, 2.0)
    apart = ratio_of_medians(*runs, paired=False)
    assert apart.ratio == 2.0
    assert apart.low < 1.95
    assert apart.high > 2.05


@pytest.mark.parametrize(
    ("samples", "outliers"),
    [
        ([1.0], 0),
        ([3.0] * 10, 0),
        # median 5, MAD 2, so that σ is 2.965 and the fence 10.38 from the median
        ([1.0, 3.0, 5.0, 7.0, 15.3], 0),
        ([1.0, 3.0, 5.0, 7.0, 15.4], 1),
        # more than half equal: mean absolute deviation 1/10, σ 0.1253, fence 0.4387
        ([3.0] * 9 + [4.0], 1),
        ([3.0] * 5 + [3.1, 2.9, 3.1, 2.9], 0),
    ],
)
def test_outliers_are_counted_and_kept(samples: list[float], outliers: int) -> None:
    latency = summarize(samples)
    assert latency.outliers == outliers
    assert (latency.count, latency.max_ms) == (len(samples), max(samples))


def test_about_no_normal_sample_is_an_outlier() -> None:
    samples = np.random.default_rng(2).normal(10, 1, 2000)
    assert summarize(samples.tolist()).outliers <= 4  # 0.05 % lie beyond 3.5 σ


def test_drift_of_a_hand_computed_series() -> None:
    # Ten values that rise by 1 with one pair swapped: score 45 − 2, variance 10·9·25/18 = 125
    drift = summarize([10.0, 11, 12, 13, 15, 14, 16, 17, 18, 19]).drift
    assert drift is not None
    assert drift.change == pytest.approx(9 / 14.5)
    assert drift.p_value == pytest.approx(math.erfc(42 / math.sqrt(125) / math.sqrt(2)))


def test_ties_and_constant_series_have_no_drift() -> None:
    constant = summarize([2.0] * 10).drift
    assert constant is not None
    assert (constant.change, constant.p_value) == (0.0, 1.0)
    tied = summarize([1.0, 2.0] * 8).drift
    assert tied is not None
    assert tied.p_value > 0.1


def test_a_short_series_has_no_drift() -> None:
    assert summarize([float(n) for n in range(1, 10)]).drift is None
    assert summarize([float(n) for n in range(1, 11)]).drift is not None


def test_drift_is_seldom_found_where_there_is_none_and_found_where_it_is() -> None:
    generator = np.random.default_rng(11)
    found = {"none": 0, "some": 0}
    for _ in range(200):
        noise = generator.lognormal(0, 0.03, 30)
        for name, trend in (("none", 0.0), ("some", 0.15)):
            drift = summarize((noise * np.linspace(1, 1 + trend, 30)).tolist()).drift
            assert drift is not None
            found[name] += drift.p_value < 0.01
    assert found["none"] <= 6
    assert found["some"] >= 195


def test_a_long_series_is_looked_at_in_blocks() -> None:
    samples = np.linspace(1, 2, 20 * TREND_BLOCKS)
    drift = summarize(samples.tolist()).drift
    assert drift is not None
    assert drift.change == pytest.approx(1 / 1.5, rel=0.01)
