"""Weight scales of least squared error: the abs-max scale shrunk by the best of a list of factors.

Source: Y. Choukroun, E. Kravchik, F. Yang, P. Kisilev, "Low-bit Quantization of Neural Networks for Efficient Inference"
(OMSE), ICCV workshops 2019, section 3: minimise ‖w − Q(w; s)‖² over s, per kernel. The error is not convex in s, so all
factors of a coarse list are tried, then a finer list around the best of each channel; 1.0 is in the list, so the result
is never worse than abs-max.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptq_core.numerics import qparams

COARSE_STEP, FINE_STEP = 0.05, 0.01
"""Steps of the shrink factor: with 8 bits one fine step moves the error by less than a percent."""

LEAST_FACTOR = 0.25
"""Normal weights want 0.29 of the maximum of 10⁵ of them at 2 bits, more at all others."""


def least_squares_scales(weight: qparams.FloatArray, axis: int | None, bits: int) -> qparams.FloatArray:
    """Scales of ``weight``, float32 [channels] along ``axis`` or [1]; as ``qparams.weight_scales``, but of least squared error.

    One bit has its least-squares solution in closed form already.
    """
    widest = qparams.weight_scales(weight, axis, bits)
    if bits == 1:
        return widest
    rows = (weight.reshape(1, -1) if axis is None else np.moveaxis(weight, axis, 0)).reshape(widest.size, -1)
    best = np.ones(widest.size)
    error = _squared_errors(rows, widest, bits)

    def try_factors(factors: NDArray[np.float64]) -> None:
        """Keep the better one of ``best`` and ``factors`` [channels] in each channel."""
        found = _squared_errors(rows, (widest * factors).astype(np.float32), bits)
        better = found < error
        best[better], error[better] = factors[better], found[better]

    for factor in np.arange(1 - COARSE_STEP, LEAST_FACTOR - FINE_STEP, -COARSE_STEP):
        try_factors(np.full(widest.size, factor))
    coarse = best.copy()
    for offset in np.arange(FINE_STEP - COARSE_STEP, COARSE_STEP - FINE_STEP / 2, FINE_STEP):
        try_factors(np.minimum(coarse + offset, 1.0))
    scales: qparams.FloatArray = np.maximum((widest * best).astype(np.float32), qparams.MIN_SCALE)
    return scales


def _squared_errors(rows: qparams.FloatArray, scales: qparams.FloatArray, bits: int) -> NDArray[np.float64]:
    """Σ (w − s · q)² of each row, float64 [rows]."""
    scale = scales[:, np.newaxis]
    limit = np.float32(qparams.levels(bits))
    steps = rows / scale
    np.rint(steps, out=steps)
    np.clip(steps, -limit, limit, out=steps)
    steps *= scale
    steps -= rows
    errors: NDArray[np.float64] = np.einsum("rk,rk->r", steps, steps, dtype=np.float64)
    return errors
