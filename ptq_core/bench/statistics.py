"""Summaries of latency samples, in milliseconds, and the speed-up of one series over another with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BOOTSTRAP_RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Latency:
    """A series of samples in figures. `std_ms` is the sample standard deviation (n − 1), None for one sample."""

    count: int
    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    p90_ms: float
    p99_ms: float
    std_ms: float | None
    mad_ms: float

    @property
    def spread(self) -> float:
        """MAD / median: a share that one slow sample does not move."""
        return self.mad_ms / self.median_ms


@dataclass(frozen=True)
class SpeedUp:
    """How many times faster: `ratio`, and the interval [low, high] that holds it with `confidence`."""

    ratio: float
    low: float
    high: float
    confidence: float = CONFIDENCE


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
    )


def speed_up(slow_ms: Sequence[float], fast_ms: Sequence[float], *, seed: int = 0) -> SpeedUp:
    """Median of ``slow_ms`` / median of ``fast_ms``, with a bootstrap percentile interval, the same for the same ``seed``.

    Series of equal length were measured in turns (A B A B), so whole pairs are drawn and what slowed both down cancels;
    otherwise each is drawn by itself. Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    slow, fast = np.asarray(slow_ms, np.float64), np.asarray(fast_ms, np.float64)
    if slow.size == 0 or fast.size == 0:
        raise ValueError("no samples")
    generator = np.random.default_rng(seed)
    draw = generator.integers(slow.size, size=(BOOTSTRAP_RESAMPLES, slow.size))
    slow_medians = np.median(slow[draw], axis=1)
    if slow.size != fast.size:
        draw = generator.integers(fast.size, size=(BOOTSTRAP_RESAMPLES, fast.size))
    ratios = slow_medians / np.median(fast[draw], axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = (float(value) for value in np.percentile(ratios, (tail, 100 - tail)))
    return SpeedUp(float(np.median(slow) / np.median(fast)), low, high)
