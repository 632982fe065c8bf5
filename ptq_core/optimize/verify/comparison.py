"""Values against right ones, element by element: what may differ by how much, and what is said where it differs by more."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptq_core.errors import PtqError
from ptq_core.flatfile.tensors import Array

TINY = float(np.finfo(np.float32).tiny)
"""Differences below the smallest normal float32 are none."""


class MismatchError(PtqError):
    """An operator computes something else than it should: a bug of ours."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            problem,
            rule="the flat file computes what the model computes",
            fix="report this as a bug of ptq with the model; `verify=False` writes the file all the same",
        )


class Difference:
    """|got − wanted| element by element: 0 where both are equal or no number, inf where only one of them is finite."""

    def __init__(self, got: Array, wanted: Array) -> None:
        self._got, self._wanted = got, wanted
        same = np.asarray(got == wanted)
        self.none = bool(same.all())
        """Nothing differs."""
        if self.none:
            self.distances: Array = np.zeros(())
            return
        same = same | ((got != got) & (wanted != wanted))
        with np.errstate(invalid="ignore"):
            distances = np.asarray(np.abs(got.astype(np.float64) - wanted.astype(np.float64)))
        distances[np.isnan(distances)] = np.inf
        if got.dtype.kind != "f":
            distances = np.maximum(distances, 1.0)  # neighbours beyond 2^53 are one float
        distances[same] = 0.0
        self.none, self.distances = bool(same.all()), distances

    def exceeds(self, allowed: Array) -> bool:
        """True if an element differs by more than ``allowed`` (broadcast); a bound that is no number allows everything."""
        return not self.none and bool(self._beyond(allowed).any())

    def share(self, allowed: Array) -> float:
        """The largest finite difference as a share of what is ``allowed``."""
        if self.none:
            return 0.0
        with np.errstate(invalid="ignore"):
            shares = self.distances / (allowed + TINY)
        return float(shares[np.isfinite(shares)].max(initial=0.0))

    def described(self, allowed: Array) -> str:
        """The element furthest beyond what is ``allowed``: `at [0, 3, 4, 1] 0.25, not 0.5 (± 1e-06); 12 of 64 values`."""
        bad = self._beyond(allowed)
        excess = np.where(bad, self.distances - np.nan_to_num(allowed, nan=0.0, posinf=0.0), -1.0)
        where = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
        bound = float(np.broadcast_to(allowed, bad.shape)[where])
        return (
            f"{self._shown(self._got[where])} at {list(where)}, not {self._shown(self._wanted[where])} (± {bound:.3g}); "
            f"{int(bad.sum())} of {bad.size} values"
        )

    @staticmethod
    def _shown(value: Any) -> str:
        return f"{value:.9g}" if value.dtype.kind == "f" else str(int(value))

    def _beyond(self, allowed: Array) -> Array:
        beyond = np.asarray(self.distances > allowed + TINY)
        return beyond & ~np.isnan(allowed)
