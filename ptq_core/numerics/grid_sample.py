"""Values of a picture at computed positions: docs/numerics.md, "Grid sample". Every operation rounds to float32."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Taps = tuple[Array, Array]
"""Along one dimension, for P positions with T taps each: places int64 [P, T], −1 outside; weights float32 [P, T]."""

FURTHEST = np.float32(2**22)
"""Pixels that a position may lie away from the first one; no number lies as far before it."""

CUBIC = np.float32(-0.75)
"""a of Keys' kernel ("Cubic convolution interpolation for digital image processing", 1981), as ONNX has it."""


def position(n: Array, size: int, align_corners: bool) -> Array:
    """Where coordinates ``n`` of −1 … 1 (float32) lie in a dimension of ``size``, in pixels: onnxruntime's formulas."""
    one, two, n = np.float32(1), np.float32(2), n.astype(np.float32)
    with np.errstate(all="ignore"):
        p = (
            (n + one) / two * np.float32(size - 1)
            if align_corners
            else ((n + one) * np.float32(size) - one) / two
        )
        p = np.where(p > -FURTHEST, p, -FURTHEST)
        return np.where(p < FURTHEST, p, FURTHEST)


def taps(p: Array, size: int, mode: str, padding: str, align_corners: bool) -> Taps:
    """What the values at positions ``p`` [P] of a dimension of ``size`` are made of."""
    one = np.float32(1)
    below = np.floor(p)
    if mode == "nearest":
        places, weights = [np.rint(p)], [np.ones_like(p)]
    elif mode == "linear":
        places, weights = [below, below + one], [below + one - p, p - below]
    else:
        t = p - below
        places = [below - one, below, below + one, below + one + one]
        weights = [_far(one + t), _near(t), _near(one - t), _far(one + (one - t))]
    whole = np.stack(places, -1).astype(np.int64)
    return _padded(whole, size, padding, align_corners), np.stack(weights, -1).astype(np.float32)


def _near(d: Array) -> Array:
    """Keys' kernel at distances of 0 … 1."""
    return ((CUBIC + np.float32(2)) * d - (CUBIC + np.float32(3))) * d * d + np.float32(1)


def _far(d: Array) -> Array:
    """Keys' kernel at distances of 1 … 2."""
    return ((CUBIC * d - np.float32(5) * CUBIC) * d + np.float32(8) * CUBIC) * d - np.float32(4) * CUBIC


def _padded(places: Array, size: int, padding: str, align_corners: bool) -> Array:
    """Places of pixels, those outside as ``padding`` has it."""
    if padding == "zeros":
        return np.where((places >= 0) & (places < size), places, -1)
    if padding == "border":
        return np.clip(places, 0, size - 1)
    # A mirror stands on the middle of the last pixel, or behind it.
    period = max(2 * (size - 1), 1) if align_corners else 2 * size
    folded = places % period
    mirrored = (period if align_corners else period - 1) - folded
    return np.where(folded < size, folded, mirrored)


def grid_sample(x: Array, dimensions: Sequence[Sequence[Taps]]) -> Array:
    """y [N, P, C] of x [N, …, C], by the taps of every dimension between, for each of N."""
    y = np.zeros((len(x), dimensions[0][0][0].shape[0], x.shape[-1]), x.dtype)
    for picture, along, sums in zip(x, dimensions, y, strict=True):
        for chosen in itertools.product(*(range(places.shape[1]) for places, _ in along)):
            pairs = [
                (places[:, t], weights[:, t]) for (places, weights), t in zip(along, chosen, strict=True)
            ]
            weight = pairs[0][1].astype(x.dtype)
            for _, w in pairs[1:]:
                weight = weight * w
            inside = np.all([places >= 0 for places, _ in pairs], axis=0)
            terms = weight[:, None] * picture[tuple(places for places, _ in pairs)]
            sums += np.where(inside[:, None], terms, 0)
    return y
