"""Values against right ones, element by element: what may differ by how much, and what is said where it differs by more."""

from __future__ import annotations

import numpy as np

from ptq_core.errors import PtqError
from ptq_core.flatfile.program import Array

TINY = float(np.finfo(np.float32).tiny)
"""Differences below the smallest normal float32 are none."""


class MismatchError(PtqError):
    """An operator computes something else than it should: a bug of ours."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            problem,
            rule="the flat file computes what the model computes",
            fix="report this as a bug of ptq with the model; --no-verify writes the file all the same",
        )


def same(got: Array, wanted: Array) -> Array:
    """Where both have one value or are no number."""
    return np.asarray((got == wanted) | ((got != got) & (wanted != wanted)))


def distances(got: Array, wanted: Array) -> Array:
    """|got − wanted| in float64, 0 where both are equal or no number, inf where one of them is not finite."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    return np.where(same(got, wanted), 0.0, np.where(np.isnan(difference), np.inf, difference))


def exceeds(got: Array, wanted: Array, allowed: Array) -> Array:
    """Where they differ by more than ``allowed`` (broadcast); a bound that is infinite or no number allows everything."""
    return np.asarray(distances(got, wanted) > np.where(np.isnan(allowed), np.inf, allowed) + TINY)


def share(got: Array, wanted: Array, allowed: Array) -> float:
    """The largest finite difference as a share of what is ``allowed``."""
    with np.errstate(invalid="ignore"):
        shares = distances(got, wanted) / (allowed + TINY)
    return float(shares[np.isfinite(shares)].max(initial=0.0))


def described(got: Array, wanted: Array, allowed: Array) -> str:
    """The element that is furthest beyond what is ``allowed``: `at [0, 3, 4, 1] 0.25, not 0.5 (± 1e-06); 12 of 64 values`."""
    bad = exceeds(got, wanted, allowed)
    beyond = np.where(bad, distances(got, wanted) - np.nan_to_num(allowed, nan=0.0, posinf=0.0), -1.0)
    where = tuple(int(i) for i in np.unravel_index(int(beyond.argmax()), beyond.shape))
    bound = float(np.broadcast_to(allowed, bad.shape)[where])
    return (
        f"at {list(where)} {got[where]:.9g}, not {wanted[where]:.9g} (± {bound:.3g}); "
        f"{int(bad.sum())} of {bad.size} values"
    )


def sqnr_db(wanted: Array, got: Array) -> float:
    """Σ y² over Σ (y − y')² in dB; inf where nothing differs, nan where it cannot be told."""
    noise = float((distances(got, wanted) ** 2).sum())
    signal = float((wanted.astype(np.float64) ** 2).sum())
    if noise == 0.0:
        return float("inf")
    return (
        float(10 * np.log10(signal / noise)) if signal > 0 and np.isfinite(signal / noise) else float("nan")
    )
