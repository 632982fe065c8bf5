"""Summaries of latency samples, in milliseconds: their figures, outliers, drift, and ratios of medians with an interval.

Nothing is ever removed from the samples: what looks odd is counted and said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_RESAMPLES = 2000
CONFIDENCE = 0.95

DRAWN_AT_ONCE = 1 << 20
"""Samples that the bootstrap draws at once: some 10 MB, however many samples there are."""

OUTLIER_SCORE = 3.5
"""Modified z-score above which a sample counts as an outlier.

Iglewicz & Hoaglin, "How to Detect and Handle Outliers", ASQC 1993, section 3.
"""

TREND_SAMPLES = 10
"""Below this number the normal approximation of the Mann-Kendall test does not hold.

Gilbert, "Statistical Methods for Environmental Pollution Monitoring", 1987, section 16.4.
"""

TREND_BLOCKS = 500
"""A longer series is looked at as the medians of so many consecutive blocks: the test looks at all pairs."""


@dataclass(frozen=True)
class Drift:
    """A trend over the series: `change` from the first to the last sample as a share of the median (+0.1: 10 % slower at
    the end), and `p_value`, how likely so much order is in samples without any trend."""

    change: float
    p_value: float


@dataclass(frozen=True)
class Latency:
    """A series of samples in figures.

    `std_ms` is the sample standard deviation (n − 1), None for one sample. `outliers` counts samples, which stay in all
    figures. `drift` is None for fewer than TREND_SAMPLES samples.
    """

    count: int
    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    p90_ms: float
    p99_ms: float
    std_ms: float | None
    mad_ms: float
    outliers: int
    drift: Drift | None

    @property
    def spread(self) -> float:
        """MAD / median: a share that one slow sample does not move."""
        return self.mad_ms / self.median_ms


@dataclass(frozen=True)
class Ratio:
    """One median over another: `ratio`, and the interval [low, high] that holds it with `confidence`."""

    ratio: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def margin(self) -> float:
        """How far the interval reaches from the ratio, on its longer side."""
        return max(self.ratio - self.low, self.high - self.ratio)


def summarize(samples_ms: Sequence[float]) -> Latency:
    """Summarize at least one positive sample.

    Percentiles interpolate linearly between order statistics (type 7 of Hyndman & Fan, "Sample Quantiles in Statistical
    Packages", 1996). MAD is the median absolute deviation from the median, not rescaled.
    """
    samples = np.asarray(samples_ms, np.float64)
    if samples.size == 0:
        raise ValueError("no samples")
    median, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
    return Latency(
        count=int(samples.size),
        min_ms=float(samples.min()),
        max_ms=float(samples.max()),
        mean_ms=float(samples.mean()),
        median_ms=median,
        p90_ms=p90,
        p99_ms=p99,
        std_ms=float(samples.std(ddof=1)) if samples.size > 1 else None,
        mad_ms=float(np.median(np.abs(samples - median))),
        outliers=int(outliers(samples).sum()),
        drift=_drift(samples),
    )


def speed_up(fp32_ms: Sequence[float], int8_ms: Sequence[float], *, seed: int = 0) -> Ratio:
    """Median of ``fp32_ms`` / median of ``int8_ms``; series of equal length were measured in turns (A B A B)."""
    return ratio_of_medians(fp32_ms, int8_ms, paired=len(fp32_ms) == len(int8_ms), seed=seed)


def ratio_of_medians(
    above_ms: Sequence[float], below_ms: Sequence[float], *, paired: bool, seed: int = 0
) -> Ratio:
    """Median of ``above_ms`` / median of ``below_ms``, with a bootstrap percentile interval, the same for the same ``seed``.

    ``paired`` series (of equal length, measured in turns) are drawn as whole pairs, and what slowed both down cancels;
    otherwise each is drawn by itself. Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    above, below = np.asarray(above_ms, np.float64), np.asarray(below_ms, np.float64)
    if above.size == 0 or below.size == 0:
        raise ValueError("no samples")
    generator = np.random.default_rng(seed)
    at_once = max(1, DRAWN_AT_ONCE // max(above.size, below.size))
    ratios = np.empty(BOOTSTRAP_RESAMPLES)
    for start in range(0, BOOTSTRAP_RESAMPLES, at_once):
        part = ratios[start : start + at_once]
        draw = generator.integers(above.size, size=(part.size, above.size))
        medians = np.median(above[draw], axis=1)
        if not paired:
            draw = generator.integers(below.size, size=(part.size, below.size))
        part[:] = medians / np.median(below[draw], axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = (float(value) for value in np.percentile(ratios, (tail, 100 - tail)))
    return Ratio(float(np.median(above) / np.median(below)), low, high)


def outliers(samples: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which samples have a modified z-score, 0.6745·|x − median| / MAD, above OUTLIER_SCORE.

    Where more than half of the samples are equal MAD is 0, and the mean absolute deviation takes its place (the normal
    distribution's is 0.7979 σ, as its MAD is 0.6745 σ).
    """
    deviations = np.abs(samples - np.median(samples))
    mad, mean_deviation = float(np.median(deviations)), float(deviations.mean())
    sigma = mad / 0.6745 if mad > 0 else mean_deviation / 0.7979
    found: NDArray[np.bool_] = deviations > OUTLIER_SCORE * sigma
    return found


def _drift(samples: NDArray[np.float64]) -> Drift | None:
    """The Theil-Sen line's change over the series and the Mann-Kendall test of a trend, two-sided, corrected for ties.

    Neither is moved by single slow samples. Mann, "Nonparametric Tests Against Trend", Econometrica 1945; Sen, "Estimates
    of the Regression Coefficient Based on Kendall's Tau", JASA 1968; variance with ties as in Gilbert 1987, eq. 16.2.
    """
    if samples.size < TREND_SAMPLES:
        return None
    blocks = np.array_split(samples, min(samples.size, TREND_BLOCKS))
    values = np.array([np.median(block) for block in blocks])
    n = values.size
    earlier, later = np.triu_indices(n, k=1)
    rises = values[later] - values[earlier]
    change = float(np.median(rises / (later - earlier))) * (n - 1) / float(np.median(samples))
    score = float(np.sign(rises).sum())
    ties = np.unique(values, return_counts=True)[1]
    variance = float(n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
    if variance == 0:  # all values are equal
        return Drift(0.0, 1.0)
    z = max(0.0, abs(score) - 1) / math.sqrt(variance)  # 1: continuity correction
    return Drift(change, math.erfc(z / math.sqrt(2)))
