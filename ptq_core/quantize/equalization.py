"""Cross-layer equalization: move scale between the channels of neighbouring layers, without changing the function.

M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, section 4.1. For y = f(W1 x + b1), z = W2 y + b2 and f positively homogeneous, channel i may be
divided by any s_i > 0 in W1 and b1 and multiplied by s_i in W2. With the ranges r1_i = max |W1[i]| and
r2_i = max |W2[:, i]| the factor

    s_i = sqrt(r1_i / r2_i)

gives both layers the range sqrt(r1_i · r2_i) in every channel, which is the best for one scale per weight tensor. Links are
visited in graph order, again and again until no factor moves; a depthwise layer between two others is in two links, which is the
triplet of the paper.

**The range of y is never enlarged.** Let [−L_i, H_i] be the range of channel i over the calibration samples, with 0 inside,
and [−L, H] = [−max_i L_i, max_i H_i] that of the whole tensor. All factors keep H_i / s_i ≤ H and L_i / s_i ≤ L, in every
tensor between the two layers (`Link.ranged`); otherwise what the weights gain is lost again in the one scale of the activation.

**Relu6 stays Relu6.** Clip[0, c] is not homogeneous: exactly, channel i would need the bound c / s_i, one per channel, which
no int8 requantizer has; the paper replaces Relu6 by Relu instead, which changes the function. Here a channel that reaches
c (M_i ≥ c, where M_i is its largest value before the Clip) keeps s_i = 1, and one that does not may be scaled, because with
M_i / s_i ≤ c the old and the new bound are both out
of its reach. The function is the same on every input that stays below the calibrated maxima (times `HEADROOM`); beyond
them a channel may saturate earlier or later than before. The channels that ruin a network with folded batch
norms are those with nearly no variance, and they are far from the bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph import io
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize.channel_links import Link, ScaledWeights, find_links
from ptq_core.quantize.plan import Samples
from ptq_core.quantize.simulation import observe

Floats = NDArray[np.float64]

HEADROOM = 1.05
"""A channel counts as clear of its bound, before and after scaling, while its calibrated maximum times this is below it."""

SWEEPS = 20
"""Most sweeps over all links."""

TOLERANCE = 1e-3
"""The sweeps end when no factor moves by more than this, relatively."""

LARGEST_FACTOR = 2.0**20
"""Bound of one channel's factor: far from float32's limits, and more than any network with folded batch norms needs."""


@dataclass(frozen=True)
class Equalized:
    """What became of one link: ``factors`` float64 [channels], product over all sweeps; ``fixed`` are channels at the bound."""

    first: str
    second: str
    factors: Floats
    fixed: int


def equalize_layers(
    model: ir.Model, options: QuantizeOptions, samples: Samples | None = None
) -> list[Equalized]:
    """Equalize all links of the simplified float ``model`` in place.

    ``samples`` are calibration samples, float32 of the input's shape without the batch; one forward pass over them gives the
    channel maxima. Without them (algo weight_only) only links whose activation has no bound are scaled, by the ranges of
    the weights alone. Raises InputError if the model does not run.
    """
    links = find_links(model.graph)
    if not links:
        return []
    observed = [value for link in links for value in (link.value, *link.ranged)]
    maxima = None if samples is None else channel_maxima(model, observed, samples)
    if maxima is None:
        links = [link for link in links if link.bound is None]
    weights = ScaledWeights(links)
    limits = {link: _limits(link, maxima) for link in links}
    totals = {link: np.ones(len(weights.output_ranges(link.first))) for link in links}
    for _ in range(SWEEPS):
        moved = 0.0
        for link in links:
            lowest, highest = limits[link]
            wanted = _wanted(link, weights)
            total = np.clip(totals[link] * wanted, lowest, highest)
            factors = total / totals[link]
            weights.scale(link, factors)
            totals[link] = total
            moved = max(moved, float(np.abs(np.log(factors)).max()))
        if moved < TOLERANCE:
            break
    weights.write(model.graph)
    return [
        Equalized(str(link.first.name), str(link.second.name), totals[link], int(_at_bound(limits[link])))
        for link in links
    ]


def channel_maxima(model: ir.Model, values: Sequence[ir.Value], samples: Samples) -> dict[ir.Value, Floats]:
    """H and L, the largest v and −v (at least 0) per channel (axis 1) over all samples; one forward pass.

    float64 [2, channels] for each of ``values``, which may repeat.
    """
    picture = io.picture_input(model)
    proto = onnx.ModelProto.FromString(io.to_bytes(model))
    names = {str(value.name): value for value in values}
    result: dict[ir.Value, Floats] = {}
    for arrays in observe(proto, list(names), str(picture.name), samples):
        for name, array in arrays.items():
            axes = tuple(d for d in range(array.ndim) if d != 1)
            sides = np.stack([array.max(axis=axes), -array.min(axis=axes)])
            largest = np.maximum(sides, 0).astype(np.float64)
            value = names[name]
            result[value] = np.maximum(result[value], largest) if value in result else largest
    return result


def _wanted(link: Link, weights: ScaledWeights) -> Floats:
    """sqrt(r1 / r2); 1 for a channel that one of the layers ignores."""
    first, second = weights.output_ranges(link.first), weights.input_ranges(link.second)
    usable = (first > 0) & (second > 0)
    return np.sqrt(np.where(usable, first, 1) / np.where(usable, second, 1))


def _limits(link: Link, maxima: Mapping[ir.Value, Floats] | None) -> tuple[Floats | float, Floats | float]:
    """The smallest and the largest factor of each channel."""
    if maxima is None:
        return 1 / LARGEST_FACTOR, LARGEST_FACTOR
    highest = maxima[link.value][0]
    lowest = np.full(len(highest), 1 / LARGEST_FACTOR)
    for sides in (maxima[value] for value in link.ranged):
        share = sides / np.maximum(sides.max(axis=1, keepdims=True), 1e-30)
        lowest = np.maximum(lowest, share.max(axis=0))
    if link.bound is None:
        return lowest, LARGEST_FACTOR
    fixed = highest * HEADROOM >= link.bound
    lowest = np.maximum(lowest, highest * HEADROOM / link.bound)
    return np.where(fixed, 1.0, lowest), np.where(fixed, 1.0, LARGEST_FACTOR)


def _at_bound(limits: tuple[Floats | float, Floats | float]) -> int:
    return int(np.count_nonzero(np.asarray(limits[0]) == np.asarray(limits[1])))
