"""The charts of the HTML page: latency, samples in order with their distribution, speed-ups, operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptq_core.bench.advice import DRIFT_CHANGE, DRIFT_P
from ptq_core.bench.profile import GainEater, OpPair
from ptq_core.bench.report import CaseResult, ModelResult, threads_words
from ptq_core.bench.statistics import Ratio, outliers
from ptq_core.pages import svg
from ptq_core.pages.svg import Axis, axis, escape

MOST_DOTS = 300
"""A longer series is shown by so many evenly spaced samples; all are in the JSON."""

MOST_OPS = 14
"""Operators with a row of their own; the others are one row."""

SHOWN_SIGMAS = 12
"""A sample further above the median than this is drawn at the edge: one page fault must not flatten the rest."""

ROW = 30
PANEL = 190
TOP, BOTTOM = 14, 172
"""Pixels: height of a row of bars, of a panel, and of its plot within."""


def latency(cases: Sequence[CaseResult]) -> str:
    """Median latencies as bars from zero, each with its samples as lines and the quartiles as a box."""
    models = [(case, model) for case in cases for model in case.models]
    scale = axis(0, max(model.latency.p99_ms for _, model in models), end=97)
    rows = []
    for case, model in models:
        name = f'<b class="{model.precision}">{model.precision.upper()}</b>'
        label, value = f"{threads_words(case.threads)} {name}", f"{model.latency.median_ms:.3f} ms"
        rows.append(_row(label, _latency_row(model, scale), value))
    return _rows(rows, scale, "ms")


def speed_ups(named: Sequence[tuple[str, Ratio]]) -> str:
    """Each case's speed-up with its interval, beside the line of no difference. ``named``: label, speed-up."""
    low = min(1.0, *(gain.low for _, gain in named))
    high = max(1.0, *(gain.high for _, gain in named))
    room = 0.08 * (high - low or 1)
    scale = axis(max(0.0, low - room), high + room, start=2, end=98)
    rows = []
    for label, gain in named:
        words = f"{gain.ratio:.2f}x, {gain.confidence:.0%} interval {gain.low:.2f} to {gain.high:.2f}"
        middle = ROW / 2
        body = (
            svg.line(scale.at(1), 0, scale.at(1), ROW, "one")
            + svg.line(scale.at(gain.low), middle, scale.at(gain.high), middle, "interval")
            + svg.dot(scale.at(gain.ratio), middle, 5, "int8 fill")
        )
        picture = svg.picture(
            _grid(scale, ROW) + body, height=ROW, title=f"{label}: speed-up {words}", css="row-chart"
        )
        value = f"{gain.ratio:.2f}× <small>{gain.low:.2f}–{gain.high:.2f}</small>"
        rows.append(_row(escape(label), picture, value))
    return _rows(rows, scale, "×")


def samples(model: ModelResult) -> str:
    """All samples in the order in which they were measured, beside their distribution; outliers are rings."""
    values = np.asarray(model.samples_ms, np.float64)
    median, figures = model.latency.median_ms, model.latency
    sigma = max(figures.mad_ms / 0.6745, 0.002 * median)
    top = float(values[values <= median + SHOWN_SIGMAS * sigma].max())
    scale = axis(float(values.min()), top, start=BOTTOM, end=TOP, ticks=4)
    above = int((values > scale.high).sum())
    body = "".join(
        svg.line(13, scale.at(tick), 100, scale.at(tick), "grid")
        + svg.text(11.5, scale.at(tick) + 4, scale.label(tick), "tick", "end")
        for tick in scale.ticks
    )
    body += svg.line(13, scale.at(median), 100, scale.at(median), f"median {model.precision}")
    body += _dots(values, scale, model.precision)
    drift = figures.drift
    if drift is not None and drift.p_value < DRIFT_P and abs(drift.change) > DRIFT_CHANGE:
        ends = [median * (1 + sign * drift.change / 2) for sign in (-1, 1)]
        body += svg.line(15, scale.at(ends[0]), 79, scale.at(ends[1]), "trend")
    body += _distribution(values, scale, model.precision)
    body += svg.text(15, PANEL - 3, "first sample", "tick")
    body += svg.text(79, PANEL - 3, "last", "tick", "end") + svg.text(
        100, PANEL - 3, "distribution", "tick", "end"
    )
    if above:
        body += svg.text(79, 10, f"{above} above, up to {values.max():.3f} ms", "tick", "end")
    said = (
        f"{figures.count} samples from {figures.min_ms:.3f} to {figures.max_ms:.3f} ms, median {median:.3f} ms, "
        f"90th percentile {figures.p90_ms:.3f} ms, {figures.outliers} outliers"
    )
    return svg.picture(
        body,
        height=PANEL,
        title=f"{model.precision.upper()} samples in order",
        css="panel",
        description=said,
    )


def operators(pairs: Sequence[OpPair], eater: GainEater | None) -> str:
    """The most expensive operators as rows of a table, a bar per model; the one that eats the gain is marked."""
    ranked = sorted(pairs, key=lambda pair: -max(pair.fp32_us or 0, pair.int8_us or 0))
    shown = set(ranked[: MOST_OPS if len(pairs) > MOST_OPS + 1 else len(pairs)]) | (
        {eater.op} if eater else set()
    )
    listed = [pair for pair in pairs if pair in shown]
    rest = [pair for pair in pairs if pair not in shown]
    longest = max(max(pair.fp32_us or 0, pair.int8_us or 0) for pair in listed) or 1.0
    rows = [
        _operator(pair, _op_bars(pair, longest), "eater" if eater is not None and pair == eater.op else "")
        for pair in listed
    ]
    for title, some in ((f"{len(rest)} others", rest), ("sum", pairs)):
        if some:
            sums = OpPair(*(tuple(op for pair in some for op in pair.ops(name)) for name in ("fp32", "int8")))
            rows.append(_operator(sums, "", "sum", title))
    return (
        '<table class="ops"><thead><tr><th scope="col">operator</th><td class="bars"></td><th scope="col">FP32 µs</th>'
        f'<th scope="col">INT8 µs</th><th scope="col">gain</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def density(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Gaussian kernel density at ``at``, bandwidth by Silverman's rule ("Density Estimation", 1986, eq. 3.31).

    None where the samples do not spread.
    """
    if values.size < 2:
        return None
    low, high = np.percentile(values, (25, 75))
    spread = min(float(values.std(ddof=1)), float(high - low) / 1.34)
    if spread <= 0:
        return None
    width = 0.9 * spread * values.size**-0.2
    scaled = (at[:, None] - values[None, :]) / width
    found: NDArray[np.float64] = np.exp(-0.5 * scaled**2).sum(axis=1)
    return found


def _latency_row(model: ModelResult, scale: Axis) -> str:
    figures, name = model.latency, model.precision
    low, high = (float(value) for value in np.percentile(model.samples_ms, (25, 75)))
    body = _grid(scale, ROW) + svg.rectangle(0, 8, scale.at(figures.median_ms), ROW - 16, f"{name} bar")
    body += svg.rectangle(scale.at(low), 5, scale.at(high) - scale.at(low), ROW - 10, f"{name} box")
    for sample in _thinned(np.asarray(model.samples_ms, np.float64)):
        body += svg.line(scale.at(float(sample)), 8, scale.at(float(sample)), ROW - 8, f"{name} rug")
    body += svg.line(scale.at(figures.median_ms), 3, scale.at(figures.median_ms), ROW - 3, f"{name} mark")
    title = f"{name.upper()}: median {figures.median_ms:.3f} ms, half of the samples between {low:.3f} and {high:.3f} ms"
    return svg.picture(body, height=ROW, title=title, css="row-chart")


def _dots(values: NDArray[np.float64], scale: Axis, name: str) -> str:
    order = np.linspace(15, 79, values.size) if values.size > 1 else np.array([47.0])
    odd = outliers(values)
    body = ""
    for index in np.union1d(_thinned(np.arange(values.size)), _thinned(np.flatnonzero(odd))):
        x, value = float(order[index]), float(values[index])
        if value > scale.high:
            body += svg.text(x, TOP + 4, "▲", f"{name} beyond", "middle")
        else:
            body += svg.dot(
                x, scale.at(value), 3 if odd[index] else 2.2, f"{name} {'ring' if odd[index] else 'sample'}"
            )
    return body


def _distribution(values: NDArray[np.float64], scale: Axis, name: str) -> str:
    """Density as a half violin and the quartiles as a box, on the panel's y axis, in its right margin."""
    inside = values[values <= scale.high]
    at = np.linspace(scale.low, scale.high, 80)
    found = density(inside, at)
    body = ""
    if found is not None:
        shares = 0.95 * found / found.max()
        outline = [
            (0.0, scale.at(scale.low)),
            *((float(share), scale.at(float(y))) for share, y in zip(shares, at, strict=True)),
            (0.0, scale.at(scale.high)),
        ]
        body += svg.area(outline, 85, 15, PANEL, f"{name} density")
    low, high = (float(value) for value in np.percentile(values, (25, 75)))
    body += svg.rectangle(82, scale.at(high), 1.6, scale.at(low) - scale.at(high), f"{name} box")
    median = float(np.median(values))
    return body + svg.line(81.6, scale.at(median), 84, scale.at(median), f"{name} mark")


def _operator(pair: OpPair, bars: str, css: str, title: str = "") -> str:
    """A row of the table, with the names of kernels; ``title`` stands for them and for the pair's own name."""
    ratio = f"{pair.fp32_us / pair.int8_us:.2f}×" if pair.fp32_us and pair.int8_us else "–"
    return (
        f'<tr class="{css}"><th scope="row">{escape(title) or _title(pair)}</th>'
        f'<td class="bars">{bars}</td>'
        f"<td>{_us(pair.fp32_us)}</td><td>{_us(pair.int8_us)}</td><td>{ratio}</td></tr>"
    )


def _title(pair: OpPair) -> str:
    kernels = dict.fromkeys(op.kernel for op in (*pair.fp32, *pair.int8))
    words = f"{pair.kind} · {', '.join(kernels)}"
    return f"{escape(pair.name)} <small>{escape(words)}</small>"


def _op_bars(pair: OpPair, longest: float) -> str:
    body = "".join(
        svg.rectangle(0, 2 + 8 * index, 100 * us / longest, 6, f"{name} fill")
        for index, (name, us) in enumerate((("fp32", pair.fp32_us), ("int8", pair.int8_us)))
        if us is not None
    )
    title = f"{pair.name}: FP32 {_us(pair.fp32_us)} µs, INT8 {_us(pair.int8_us)} µs"
    return svg.picture(body, height=18, title=title, css="row-chart")


def _row(label: str, picture: str, value: str) -> str:
    """A row of HTML pieces, already escaped."""
    return f'<div class="row"><span class="label">{label}</span>{picture}<span class="value">{value}</span></div>'


def _rows(rows: Sequence[str], scale: Axis, unit: str) -> str:
    """Rows above their common axis."""
    ticks = "".join(
        svg.text(scale.at(tick), 12, scale.label(tick), "tick", "middle" if tick > scale.low else "start")
        for tick in scale.ticks
    )
    foot = f'<svg class="row-chart" aria-hidden="true" width="100%" height="16">{ticks}</svg>'
    unit = f'<span class="tick unit">{unit}</span>'
    return f'<div class="rows">{"".join(rows)}<div class="row axis"><span></span>{foot}{unit}</div></div>'


def _grid(scale: Axis, height: float) -> str:
    return "".join(svg.line(scale.at(tick), 0, scale.at(tick), height, "grid") for tick in scale.ticks)


def _thinned(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """At most MOST_DOTS of ``values``, evenly spaced, the first and the last among them."""
    if values.size <= MOST_DOTS:
        return values
    return values[np.linspace(0, values.size - 1, MOST_DOTS).round().astype(np.int64)]


def _us(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
