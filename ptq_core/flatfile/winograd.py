"""Winograd's F(2×2, 3×3) as an error bound needs it: what its roundings are relative to (docs/numerics.md, "Float operators").

The matrices are those of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ptq_core.numerics.reference import Window

Array = npt.NDArray[Any]

INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float64)
"""Bᵀ"""
FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float64)
"""G"""
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float64)
"""Aᵀ"""


OUTLIER = 4.0
"""So many times the mean magnitude of its output's weights makes one an outlier: kWinogradOutlier of the runtime."""


def is_candidate(window: Window, groups: int) -> bool:
    """Whether the window is one that a runtime may compute so; whether it does depends on CPU, size and weights."""
    return window.kernel == (3, 3) and window.stride == window.dilation == (1, 1) and groups == 1


def growth(w: Array) -> Array:
    """By how much `magnitude` may exceed that of a direct sum, per output of ``w`` [O,3,3,C]; float64 [O].

    For inputs of one magnitude that are 0 at outliers (docs/numerics.md, "Which way is taken"). 0 for an output of zeros.
    """
    size = np.abs(w.astype(np.float64))
    taps = size.sum(axis=3)
    most = OUTLIER * size.mean(axis=(1, 2, 3), keepdims=True)
    ordinary = np.where(size < most, size, 0.0).sum(axis=(1, 2, 3))
    factors, reach = np.abs(OUTPUT) @ np.abs(FILTER), np.abs(INPUT).sum(axis=1).max()
    worst = reach**2 * np.einsum("py,qx,oyx->opq", factors, factors, taps).max(axis=(1, 2))
    return np.asarray(np.divide(worst, ordinary, out=np.where(worst > 0, np.inf, 0.0), where=ordinary > 0))


def magnitude(x: Array, w: Array, window: Window) -> Array:
    """|Aᵀ| [Σ |G g Gᵀ| ⊙ (|Bᵀ| |d| |B|)] |A|, float64 [N,OH,OW,O]; ``x`` [N,H,W,C], ``w`` [O,3,3,C], tiles from output 0, 0."""
    top, left, _, _ = window.pads
    n, height, width, channels = x.shape
    oh, ow = window.output_size(height, width)
    th, tw = -(-oh // 2), -(-ow // 2)
    padded = np.zeros((n, 2 * th + 2, 2 * tw + 2, channels))
    inside = np.abs(x)[:, : 2 * th + 2 - top, : 2 * tw + 2 - left]
    padded[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    windows = np.array(
        [[padded[:, i : i + 2 * th : 2, j : j + 2 * tw : 2] for j in range(4)] for i in range(4)]
    )
    a, b = np.abs(OUTPUT), np.abs(INPUT)
    transformed = np.einsum("ik,jl,klnhwc->ijnhwc", b, b, windows, optimize=True)
    filters = np.abs(np.einsum("iy,jx,oyxc->ijco", FILTER, FILTER, w.astype(np.float64), optimize=True))
    sums = transformed @ filters[:, :, None, None]
    tiles = np.asarray(np.einsum("pi,qj,ijnhwo->nhpwqo", a, a, sums, optimize=True))
    return tiles.reshape(n, 2 * th, 2 * tw, w.shape[0])[:, :oh, :ow]
