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
    """L(u) of each row of ``u`` [rows, K], without the constant term; float64 [rows]."""
    result: NDArray[np.float64] = np.einsum("rk,rk->r", u @ second - 2 * target, u, dtype=np.float64)
    return result


def coordinate_descent(
    second: FloatArray, target: FloatArray, u: FloatArray, low: FloatArray, high: FloatArray, sweeps: int
) -> FloatArray:
    """Move one integer at a time by one step within [low, high] while that lowers L; all rows at once.

    A step d of u_k changes L by d · g_k + d² · H_kk with g = 2 (u H − t).
    """
    u = u.copy()
    curvature = np.diag(second)
    for _ in range(sweeps):
        gradient = 2 * (u @ second - target)
        moved = False
        for k in range(u.shape[1]):
            step = -np.sign(gradient[:, k])
            allowed = (u[:, k] + step <= high[:, k]) & (u[:, k] + step >= low[:, k])
            better = allowed & (np.abs(gradient[:, k]) > curvature[k] * (1 + 1e-6))
            rows = np.flatnonzero(better)
            if len(rows):
                u[rows, k] += step[rows]
                gradient[rows] += 2 * step[rows, np.newaxis] * second[k]
                moved = True
        if not moved:
            break
    return u
