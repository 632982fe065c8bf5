"""Distributions of the activations that are hurt most, in few enough bins to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ptq_core.analyze.report import Histogram, Operator
from ptq_core.calibration.statistics import BINS, TensorStatistics

MOST = 12
"""So many tensors are kept: the worst inputs of the operators that cost most."""

DRAWN = 96
"""So many bins at most."""


def histograms(
    operators: Sequence[Operator], statistics: Mapping[str, TensorStatistics]
) -> tuple[Histogram, ...]:
    """Of the worst inputs of ``operators``, which are in the order of their ranks; each tensor once."""
    found: dict[str, Histogram] = {}
    for each in operators:
        worst = each.worst_input
        if worst is None or worst.clipped_share is None or worst.total_db is None:
            continue
        if worst.name not in found and len(found) < MOST:
            start, width, counts = binned(statistics[worst.name])
            known = statistics[worst.name]
            found[worst.name] = Histogram(
                name=worst.name,
                readers=tuple(_readers(operators, worst.name)),
                start=start,
                width=width,
                counts=counts,
                low=worst.low,
                high=worst.high,
                minimum=float(known.minimum),
                maximum=float(known.maximum),
                clipped_share=worst.clipped_share,
                total_db=worst.total_db,
            )
    return tuple(found.values())


def binned(statistics: TensorStatistics) -> tuple[float, float, tuple[int, ...]]:
    """Start and width of the bins, and their counts, zeros among them; bins of the statistics are joined, never cut."""
    counts = statistics.histogram.copy()
    counts[BINS] += statistics.zero_count
    used = np.flatnonzero(counts)
    first, last = int(used[0]), int(used[-1]) + 1
    joined = -(-(last - first) // DRAWN)
    parts = np.add.reduceat(counts[first:last], np.arange(0, last - first, joined))
    width = statistics.bin_width
    return (first - BINS) * width, joined * width, tuple(int(count) for count in parts)


def _readers(operators: Sequence[Operator], tensor: str) -> Iterator[str]:
    for each in operators:
        if any(read.name == tensor for read in each.inputs):
            yield each.name
