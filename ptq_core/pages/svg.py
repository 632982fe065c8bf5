"""Small pieces of SVG and HTML as text: escaped words, axes with round ticks, shapes placed in per cent of the width.

Charts are as wide as the page lets them be; x is given in per cent and y in pixels, so that text and strokes keep their size.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ptq_core.printable import printable

ROUND_STEPS = (1, 2, 2.5, 5, 10)


def escape(text: object) -> str:
    """``text`` for HTML text and attributes: markup is shown as it was written, what is not seen as escapes."""
    return html.escape(printable(text), quote=True)


@dataclass(frozen=True)
class Axis:
    """A linear scale from ``low`` to ``high``, which lie on round ticks, to ``start`` … ``end`` (per cent or pixels)."""

    low: float
    high: float
    ticks: tuple[float, ...]
    start: float = 0.0
    end: float = 100.0

    def at(self, value: float) -> float:
        """Where ``value`` lies; values outside lie at the end that they are beyond."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 3)

    def label(self, tick: float) -> str:
        """A tick's number with as many decimals as the distance between ticks needs."""
        step = self.ticks[1] - self.ticks[0]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if round(step, decimals) != round(step, 9):  # a step of 2.5 needs one more
            decimals += 1
        return f"{tick:.{decimals}f}"


def axis(low: float, high: float, *, start: float = 0.0, end: float = 100.0, ticks: int = 5) -> Axis:
    """An axis that holds [low, high], with at most about ``ticks`` round ticks."""
    if not high > low:
        low, high = low - abs(low or 1) * 0.01, high + abs(high or 1) * 0.01
    raw = (high - low) / ticks
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in ROUND_STEPS if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = tuple(index * step for index in range(first, last + 1))
    return Axis(values[0], values[-1], values, start, end)


def picture(body: str, *, height: float, title: str, css: str, description: str = "") -> str:
    """An SVG as wide as its place, with words for those who cannot see it."""
    words = f"<desc>{escape(description)}</desc>" if description else ""
    return f'<svg class="{css}" role="img" width="100%" height="{height:g}"><title>{escape(title)}</title>{words}{body}</svg>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:g}%" y1="{y1:g}" x2="{x2:g}%" y2="{y2:g}"/>'


def rectangle(x: float, y: float, width: float, height: float, css: str) -> str:
    return f'<rect class="{css}" x="{x:g}%" y="{y:g}" width="{max(width, 0):g}%" height="{max(height, 0):g}" rx="2"/>'


def dot(x: float, y: float, radius: float, css: str) -> str:
    return f'<circle class="{css}" cx="{x:g}%" cy="{y:g}" r="{radius:g}"/>'


def text(x: float, y: float, words: object, css: str, anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:g}%" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def area(points: Sequence[tuple[float, float]], x: float, width: float, height: float, css: str) -> str:
    """A filled outline in a box at ``x`` … ``x + width`` per cent; ``points`` are shares of its width, and pixels."""
    path = "L".join(f"{100 * share:.2f} {y:.2f}" for share, y in points)
    return (
        f'<svg x="{x:g}%" width="{width:g}%" height="{height:g}" viewBox="0 0 100 {height:g}" '
        f'preserveAspectRatio="none"><path class="{css}" d="M{path}Z"/></svg>'
    )
