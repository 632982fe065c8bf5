"""KL: the threshold whose quantized distribution loses the least information, by Kullback-Leibler divergence.

Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017. Over a histogram of |x| with about 2048 bins, every
candidate keeps the first i bins (levels ≤ i ≤ all of them) and saturates the rest:

    P = h[0:i], with all outliers h[i:] added to its last bin;
    Q = h[0:i] without the outliers, merged into `levels` groups, each group's sum spread evenly over those of its bins
        where P is not zero;
    KL(P‖Q) = Σ P/ΣP · log((P/ΣP) / (Q/ΣQ)),  infinite where P > 0 = Q.

The candidate with the least KL wins, the widest of equal ones; T is the upper edge of its last bin. What is made precise
here, as the talk leaves it open:

- exact zeros are not in h: after Relu they would outweigh everything, and they cost no precision;
- group g holds the bins from ⌊g·i/levels⌋ to ⌊(g+1)·i/levels⌋, so groups differ by at most one bin;
- a candidate saturates at most the share 16 / levels² of the values (0.1 % with 8 bits), never more than half. Without
  this a tensor with a spike away from zero (a grey background after mean and std, a Clip's bound, a batch norm behind a
  Relu) would end in the spike's own bin: P and Q are then nearly that one spike, with a divergence near 0, and all
  that the picture shows is cut off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.observers.base import Quantizer, Range, clipped_range
from ptq_core.calibration.statistics import TensorStatistics

SEARCH_BINS = 2048
"""Bins that the range is searched with (Migacz 2017); the finer histogram is merged to the nearest count."""

TIE = 1e-12
"""Divergences closer than this are equal: the rounding error of sums over 2048 bins in float64."""

MAX_LEVELS = SEARCH_BINS // 8
"""Most levels that a range is searched for. With fewer than 8 bins per level Q is nearly P for every candidate: what is left
of the divergence is the noise of the counts, and more levels would clip more."""

WORK = 5 * 2**16
"""Candidates · levels that are tried: all candidates up to 128 levels, every other one with 256, always the widest."""


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """|x| ≤ T with T by the search above, at most max |x|.

    ``levels`` is the number of grid points on the wider side: 2**(bits−1), or 2**bits for an asymmetric quantizer of a tensor
    with one sign. An asymmetric range is cut at ±T on both sides: the divergence is that of |x|. With more
    levels than MAX_LEVELS (10 bits and more) clipping gains nothing that the histogram could show: T is max |x|.
    """
    one_sided = statistics.minimum >= 0 or statistics.maximum <= 0
    levels = 2**quantizer.bits if one_sided and not quantizer.symmetric else 2 ** (quantizer.bits - 1)
    return clipped_range(statistics, threshold(statistics, levels), quantizer)


def threshold(statistics: TensorStatistics, levels: int) -> float:
    """T in units of the tensor; 0.0 for one that is zero everywhere."""
    histogram, width = search_histogram(statistics)
    if levels > MAX_LEVELS or levels >= histogram.size:
        return statistics.abs_max
    candidates, divergence = divergences(histogram, levels)
    best = np.flatnonzero(divergence <= divergence.min() + TIE)[-1]
    return min(float(candidates[best]) * width, statistics.abs_max)


def least_kept(levels: int) -> float:
    """Least share of the non-zero values that a candidate keeps unsaturated.

    About ten times what saturates at the mean-square optimum of a gaussian (measured for 2 to 128 levels), so that it only
    stops candidates that end in a spike: those cost up to 40 dB, while on gaussian, laplacian and Student-t tensors it
    changes nothing.
    """
    return max(0.5, 1 - 16 / levels**2)


def search_histogram(statistics: TensorStatistics) -> tuple[NDArray[np.int64], float]:
    """Histogram of |x| up to max |x| without zeros, int64 [1707 … 2560], and its bin width.

    Whole numbers of bins (2, 3 or 4) are merged, so that no count is split; the last bin may reach beyond max |x|.
    """
    magnitudes = statistics.magnitudes()
    used = int(np.flatnonzero(magnitudes)[-1]) + 1 if magnitudes.any() else 0
    merge = max(1, round(used / SEARCH_BINS))
    groups = -(-used // merge)
    padded = np.zeros(groups * merge, np.int64)
    padded[:used] = magnitudes[:used]
    return padded.reshape(groups, merge).sum(axis=1), statistics.bin_width * merge


def divergences(histogram: NDArray[np.int64], levels: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidates i, int64 [n] ascending, and KL(P‖Q) of each, float64 [n] (inf where not allowed), in nats.

    ``histogram`` is int64 [bins], bins > levels, and not all zero. All candidates at once, from prefix sums: within a
    group Q is constant, so Σ P·log Q needs only the group's sum of P, sum of h and number of non-empty bins.
    """
    bins = histogram.size
    counts = histogram.astype(np.float64)
    total = counts.sum()
    below = np.concatenate(([0.0], np.cumsum(counts)))
    filled = np.concatenate(([0.0], np.cumsum(counts > 0)))
    entropy = np.concatenate(([0.0], np.cumsum(_x_log_x(counts))))

    stride = -(-(bins - levels + 1) * levels // WORK)
    candidates = np.arange(bins, levels - 1, -stride)[::-1]
    candidates = candidates[below[candidates] >= least_kept(levels) * total]
    outliers = total - below[candidates]
    last = counts[candidates - 1]

    # [n, levels]: of every group the sum of h and the number of bins where P > 0
    edges = candidates[:, np.newaxis] * np.arange(levels + 1) // levels
    kept = np.diff(below[edges], axis=1)
    places = np.diff(filled[edges], axis=1)
    places[:, -1] += (last == 0) & (outliers > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_q = np.log(kept) - np.log(places)
        p_log_q = np.einsum("ng,ng->n", kept, np.where(kept > 0, log_q, 0.0))
        p_log_q += np.where(outliers > 0, outliers * log_q[:, -1], 0.0)
        p_log_p = entropy[candidates - 1] + _x_log_x(last + outliers)
        divergence = (p_log_p - p_log_q) / total - np.log(total) + np.log(below[candidates])
    return candidates, divergence


def _x_log_x(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * np.log(np.where(x > 0, x, 1.0))
