"""Which way to round: integers u next to w / s that minimise a layer's quadratic reconstruction error.

``coordinate_descent`` minimises, for every output channel on its own,

    L(u) = uᵀ H u − 2 uᵀ t,    u_k ∈ {floor(w_k / s), floor(w_k / s) + 1}, clipped to the integers' range,

with H [K, K] and t [rows, K] from ``layer_moments`` in units of steps of the weight scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def losses(second: FloatArray, target: FloatArray, u: FloatArray) -> NDArray[np.float64]:
    """L(u) of each row without the constant term, float64 [groups, rows]; shapes as in ``coordinate_descent``."""
    result: NDArray[np.float64] = np.einsum("grk,grk->gr", u @ second - 2 * target, u, dtype=np.float64)
    return result


def coordinate_descent(
    second: FloatArray, target: FloatArray, u: FloatArray, low: FloatArray, high: FloatArray, sweeps: int
) -> FloatArray:
    """Move one integer at a time by one step within [low, high] while that lowers L; all rows of all groups at once.

    A step d of u_k changes L by d · g_k + d² · H_kk with the gradient g = 2 (u H − t), which is kept up to date.
    ``second`` float32 [groups, K, K], symmetric; the others and the result float32 [groups, rows, K].
    """
    groups, rows, size = u.shape
    group = np.repeat(np.arange(groups), rows)
    curvature = np.repeat(np.diagonal(second, axis1=1, axis2=2), rows, axis=0)
    low, high = low.reshape(-1, size), high.reshape(-1, size)
    result = u.reshape(-1, size).copy()
    for _ in range(sweeps):
        gradient = (2 * (result.reshape(u.shape) @ second - target)).reshape(-1, size)
        moved = False
        for k in range(size):
            step = -np.sign(gradient[:, k])
            ahead = result[:, k] + step
            better = (ahead <= high[:, k]) & (ahead >= low[:, k])
            better &= np.abs(gradient[:, k]) > curvature[:, k] * np.float32(1 + 1e-6)
            chosen = np.flatnonzero(better)
            if len(chosen):
                result[chosen, k] = ahead[chosen]
                gradient[chosen] += 2 * step[chosen, np.newaxis] * second[group[chosen], k]
                moved = True
        if not moved:
            break
    return result.reshape(u.shape)
