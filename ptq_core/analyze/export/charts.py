"""The charts of the page: noise along the graph, and distributions with their ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from ptq_core.analyze.report import Analysis, Histogram, Operator
from ptq_core.analyze.words import decibels, share
from ptq_core.pages import svg
from ptq_core.pages.svg import Axis, axis, escape

HIGHEST_DB = 60.0
"""Less noise than that is drawn there: it matters to nobody."""

MARKED = 5
"""So many of the worst operators have their rank beside them."""

GRAPH, PLOT = 300, (14, 272)
BINS, BINS_PLOT = 150, (10, 122)
"""Pixels: height of a chart, top and bottom of its plot."""


def along_the_graph(report: Analysis) -> str:
    """Each operator's dB in graph order: alone in int8 as a dot, its own output as a line, all in int8 dashed."""
    known = [db for each in report.operators for db in (each.alone_db, each.output_db) if db is not None]
    lowest = min((db for db in known if math.isfinite(db)), default=0.0)
    scale = axis(min(lowest, 0.0), HIGHEST_DB, start=PLOT[1], end=PLOT[0])
    places = axis_of(len(report.operators))
    body = [
        svg.line(6, scale.at(tick), 100, scale.at(tick), "grid")
        + svg.text(5, scale.at(tick) + 4, f"{scale.label(tick)} dB", "tick", "end")
        for tick in scale.ticks
    ]
    if report.sqnr_db is not None:
        y = scale.at(_drawn(report.sqnr_db))
        body.append(svg.line(6, y, 100, y, "whole"))
    ends = [
        (place, scale.at(_drawn(each.output_db)))
        for place, each in zip(places, report.operators, strict=True)
    ]
    body += [svg.line(*first, *second, "along") for first, second in pairwise(ends)]
    for place, each in zip(places, report.operators, strict=True):
        if each.alone_db is None:
            continue
        y, worst = scale.at(_drawn(each.alone_db)), each.rank <= MARKED
        body.append(svg.dot(place, y, 4.5 if worst else 3, "dot worst" if worst else "dot"))
        if worst:
            anchor = "end" if place > 90 else "start"
            body.append(svg.text(place + (-1 if place > 90 else 1), y + 4, each.rank, "rankmark", anchor))
        body.append(f'<circle class="hit" cx="{place:g}%" cy="{y:g}" r="9" data-tip="{escape(tip(each))}"/>')
    return svg.picture(
        "".join(body), height=GRAPH, title="Signal to noise of every operator in graph order", css="graph"
    )


def axis_of(count: int) -> list[float]:
    """Where ``count`` operators lie, in per cent of the width."""
    return [round(8 + 90 * (index + 0.5) / count, 3) for index in range(count)]


def tip(each: Operator) -> str:
    """What is said of an operator where it is pointed at."""
    lines = [
        f"{each.name} ({each.op_type}), rank {each.rank}",
        f"alone in int8 {decibels(each.alone_db)}, alone in float {decibels(each.without_db)}",
        f"its output {decibels(each.output_db)}, its weights {decibels(each.weights_db)}",
    ]
    worst = each.worst_input
    if worst is not None:
        lines.append(f"its input {decibels(worst.total_db)}, {share(worst.clipped_share)} clipped")
    return "\n".join(lines)


def distribution(histogram: Histogram) -> str:
    """A tensor's values on a logarithmic scale of counts, with the range that they are rounded to."""
    ends = (histogram.minimum, histogram.maximum, histogram.low, histogram.high)
    scale = axis(min(ends), max(ends), start=1, end=99)
    top, most = BINS_PLOT, math.log1p(max(histogram.counts))
    body = _ticks(scale)
    for number, count in enumerate(histogram.counts):
        if count:
            start = histogram.start + number * histogram.width
            x, end = scale.at(start), scale.at(start + histogram.width)
            height = (top[1] - top[0]) * math.log1p(count) / most
            middle = start + histogram.width / 2
            css = "bin" if histogram.low <= middle <= histogram.high else "bin clipped"
            body += svg.rectangle(x, top[1] - height, max(end - x, 0.3), height, css)
    for bound in (histogram.low, histogram.high):
        if bound or histogram.low == histogram.high:
            body += svg.line(scale.at(bound), top[0] - 6, scale.at(bound), top[1], "threshold")
    title = f"Distribution of {histogram.name}: kept from {histogram.low:.4g} to {histogram.high:.4g}"
    return svg.picture(body, height=BINS, title=title, css="distribution")


def _ticks(scale: Axis) -> str:
    anchors: Sequence[str] = ["start", *["middle"] * (len(scale.ticks) - 2), "end"]
    return "".join(
        svg.line(scale.at(tick), BINS_PLOT[0], scale.at(tick), BINS_PLOT[1], "grid")
        + svg.text(scale.at(tick), BINS - 8, scale.label(tick), "tick", anchor)
        for tick, anchor in zip(scale.ticks, anchors, strict=True)
    )


def _drawn(db: float) -> float:
    return min(max(db, -1e6), HIGHEST_DB)
