"""How the results of float operators are rounded, and how their errors come together (docs/numerics.md, "Float operators")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.tensors import Array, DType

UNITS = {DType.F32: 2.0**-24, DType.F16: 2.0**-11}
"""Unit roundoffs."""

SUBNORMAL_STEP = 2.0**-24
"""So far apart are the smallest numbers of half precision; those of float32 are beyond notice."""

SUM_ROUNDINGS = 80
"""Roundings on the way of a value into a sum, however many there are: kSumRoundings of the runtime's numerics/sum_blocks.h."""

PRODUCT_BLOCK = 2048
"""Products that a float layer adds up one after another: kProductBlock of the runtime's numerics/sum_blocks.h."""

SLACK = 8
"""Roundings granted beside the sum of k products: epilogue, folded constants, polynomial exp."""


LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Roundoff:
    """How results are rounded: to ``unit`` (a relative error), and how the errors of several operators come together.

    ``independent`` errors are joined by the root of the sum of squares, others in the worst way, by their sum.
    ``accumulates`` False is for sums that are rounded once, in whatever order: only factors and the result are. ``winograd``
    False leaves out that a convolution may be one by Winograd's transforms, ``blocks`` False that long sums are made of
    blocks: what another runtime is held to.
    """

    unit: float
    independent: bool = True
    accumulates: bool = True
    winograd: bool = True
    blocks: bool = True

    def of_sum(self, n: int) -> int:
        """Roundings on the way of a value into a sum of ``n`` (reduce, average pool, softmax)."""
        return min(n, SUM_ROUNDINGS) if self.blocks else n

    def of_products(self, k: int) -> int:
        """Roundings on the way of one of ``k`` products into their sum (convolution, fully connected)."""
        in_blocks = self.blocks and k > PRODUCT_BLOCK
        return PRODUCT_BLOCK + 2 * -(-k // PRODUCT_BLOCK) if in_blocks else k

    @property
    def power(self) -> int:
        """p of the norm by which errors are joined."""
        return 2 if self.independent else 1

    def own(self, k: int, magnitude: Array, bias: Array | None = None) -> Array:
        """The page's bound for k terms whose magnitudes add up to ``magnitude``."""
        total = magnitude if bias is None else magnitude + np.abs(bias)
        # A partial sum may be infinite, and its sign is then anyone's.
        return np.where(total > LARGEST, np.inf, self.terms(k) * self.unit * total)

    def terms(self, k: int) -> int:
        """Roundings of a sum of k terms, with the slack."""
        return (k if self.accumulates else 0) + SLACK

    def joined(self, *errors: Array) -> Array:
        """(Σ e^p)^(1/p) of errors ≥ 0 that broadcast."""
        if not self.independent:
            return np.asarray(sum(errors))
        return np.asarray(np.sqrt(sum(e * e for e in errors)))

    def carried(self, linear: Callable[[Array, Array], Array], e: Array, w: Array) -> Array:
        """What errors ``e`` of the operand make of Σ w · x, which ``linear`` (e, w) sums; 0 if there are none."""
        if not e.any():
            return np.zeros(())
        sums = linear(e**self.power, np.abs(w) ** self.power)
        return np.asarray(np.sqrt(sums) if self.independent else sums)
