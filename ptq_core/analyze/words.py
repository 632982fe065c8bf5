"""Figures of an analysis in words, the same on the terminal and on the page."""

from __future__ import annotations

import math


def decibels(value: float | None) -> str:
    """`21.3 dB`, `exact` where nothing differs, `lost` where there is no signal, `–` for None."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "exact" if value > 0 else "lost"
    return f"{value:.1f} dB"


def share(value: float | None) -> str:
    """`4.4 %`, `–` for None; small ones with the digits that they need."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if value == 0 or value >= 0.001 else f"{100 * value:.2g} %"


def limit(value: float) -> str:
    """A budget: `5 %`."""
    return f"{100 * value:g} %"


def operators(count: int) -> str:
    """`1 operator`, `3 operators`."""
    return "1 operator" if count == 1 else f"{count} operators"
