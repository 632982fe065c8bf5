"""The HTML page of an analysis: one file, no network; its one script is named by its hash, and all from outside is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from string import Template

from ptq_core.analyze.export import charts
from ptq_core.analyze.report import Analysis, Budget, Operator
from ptq_core.analyze.words import decibels, limit, operators, share
from ptq_core.pages import style
from ptq_core.pages.svg import escape
from ptq_core.version import VERSION


def page(report: Analysis) -> str:
    """The whole page."""
    folder = resources.files(__package__)
    script = folder.joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        script=script,
        script_hash=f"sha256-{digest}",
        style=style(),
        title=escape(_headline(report)),
        model=escape(report.model),
        settings=escape(
            f"{len(report.operators)} operators in int8, {report.float_operators} in float; algo {report.algo}, "
            f"calibrated on {report.pictures} pictures, compared on {report.samples}"
        ),
        tiles="".join(_tiles(report)),
        warnings=_warnings(report),
        budgets=_budgets(report),
        graph=charts.along_the_graph(report),
        count=escape(f"{len(report.operators)} of {len(report.operators)}"),
        operators=_operators(report),
        outputs=_outputs(report),
        histograms=_histograms(report),
        version=escape(VERSION),
    )


def _headline(report: Analysis) -> str:
    start = f"{decibels(report.sqnr_db)} in int8"
    best = _distinct(report)[-1:]
    if not best:
        return start
    (last,) = best
    return f"{start}, {decibels(last.sqnr_db)} with {operators(len(last.added))} in float"


def _distinct(report: Analysis) -> list[Budget]:
    """The budgets whose list is not that of a smaller one, and not empty."""
    found: dict[tuple[str, ...], Budget] = {}
    for budget in report.budgets:
        if budget.added:
            found.setdefault(budget.added, budget)
    return list(found.values())


def _tiles(report: Analysis) -> Iterator[str]:
    yield _tile("All in int8", decibels(report.sqnr_db), "worst output against FP32")
    for budget in _distinct(report):
        below = f"{operators(len(budget.added))}, {share(budget.macs_share)} of the MACs"
        yield _tile(f"At most {limit(budget.most_share)} in float", decibels(budget.sqnr_db), below)


def _tile(label: str, value: str, below: str) -> str:
    return (
        f'<div class="tile"><dt>{escape(label)}</dt><dd><strong>{escape(value)}</strong>'
        f"<span>{escape(below)}</span></dd></div>"
    )


def _warnings(report: Analysis) -> str:
    items = "".join(f"<li><strong>{escape(each)}</strong></li>" for each in (*report.warnings, *report.notes))
    return f'<ul class="warnings" aria-label="Warnings">{items}</ul>' if items else ""


def _budgets(report: Analysis) -> str:
    distinct = _distinct(report)
    if not distinct:
        words = (
            "No list was better than all in int8." if report.budgets else "The model's MACs are not known."
        )
        return f"<p>{escape(words)}</p>"
    cards = []
    for budget in distinct:
        nodes = json.dumps(list(budget.skip_nodes), ensure_ascii=False)
        cards.append(
            f"<figure><figcaption><strong>{escape(decibels(budget.sqnr_db))}</strong> "
            f"<small>{escape(operators(len(budget.added)))} in float, {escape(share(budget.macs_share))} of the MACs "
            f"(at most {escape(limit(budget.most_share))})</small></figcaption>"
            f'<pre class="yaml">{escape(f"skip_nodes: {nodes}")}</pre></figure>'
        )
    return f'<div class="cards">{"".join(cards)}</div>'


@dataclass(frozen=True)
class _Column:
    """A column after the name: its heading, what it is, its value to sort by and in words."""

    heading: str
    about: str
    value: Callable[[Operator], float | None]
    words: Callable[[float | None], str] = decibels


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _signed(value: float | None) -> str:
    return "–" if value is None or math.isinf(value) else f"{round(value, 1) + 0.0:+.1f} dB"


def _input_db(each: Operator) -> float | None:
    return None if each.worst_input is None else each.worst_input.total_db


def _clipped(each: Operator) -> float | None:
    return None if each.worst_input is None else each.worst_input.clipped_share


_COLUMNS = (
    _Column("rank", "1 adds most noise at the model's outputs", lambda each: each.rank, _whole),
    _Column(
        "alone int8", "the model's worst output where this operator alone is int8", lambda each: each.alone_db
    ),
    _Column(
        "alone float", "... where this operator alone is float, all others int8", lambda each: each.without_db
    ),
    _Column("gain", "what that wins over all in int8", lambda each: each.gain_db, _signed),
    _Column(
        "output",
        "of the operator's output, all in int8: with all noise from before",
        lambda each: each.output_db,
    ),
    _Column("weights", "of its rounded weights", lambda each: each.weights_db),
    _Column(
        "input",
        "of its worst input, clipped and rounded",
        _input_db,
    ),
    _Column(
        "clipped",
        "share of that input's values outside its range",
        _clipped,
        share,
    ),
    _Column("MACs", "share of the model's multiply-accumulates", lambda each: each.macs_share, share),
    _Column("latency", "share of the profiled time", lambda each: each.latency_share, share),
)


def _operators(report: Analysis) -> str:
    columns = [c for c in _COLUMNS if any(c.value(each) is not None for each in report.operators)]
    heads = _head("#", "place in the graph", ' aria-sort="ascending"') + _head(
        "operator", "its name and type"
    )
    heads += "".join(_head(column.heading, column.about) for column in columns)
    rows = []
    for each in report.operators:
        cells = "".join(_cell(column.value(each), column.words) for column in columns)
        css = ' class="worst"' if each.rank <= charts.MARKED else ""
        name = f"{escape(each.name)} <small>{escape(each.op_type)}</small>"
        head_cell = f'<th scope="row" data-tip="{escape(charts.tip(each))}">{name}</th>'
        rows.append(f"<tr{css}>{_cell(each.index + 1, _whole)}{head_cell}{cells}</tr>")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _head(heading: str, about: str, more: str = "") -> str:
    return f'<th scope="col"{more}><button type="button" data-tip="{escape(about)}">{escape(heading)}</button></th>'


def _cell(value: float | None, words: Callable[[float | None], str]) -> str:
    key = "" if value is None else f"{min(max(value, -1e9), 1e9):.9g}"
    return f'<td data-value="{key}">{escape(words(value))}</td>'


def _outputs(report: Analysis) -> str:
    if len(report.outputs) < 2:
        return ""
    lists = _distinct(report)
    head = "".join(
        f'<th scope="col">{escape(words)}</th>'
        for words in ("output", "all in int8", *(f"at most {limit(b.most_share)} in float" for b in lists))
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(output.name)}</th>'
        + "".join(
            f"<td>{escape(decibels(figure.sqnr_db))}</td>"
            for figure in (output, *(budget.outputs[number] for budget in lists))
        )
        + "</tr>"
        for number, output in enumerate(report.outputs)
    )
    return (
        '<section><h2>Outputs</h2><div class="scroll" tabindex="0" role="region" aria-label="Outputs, scrolls sideways">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _histograms(report: Analysis) -> str:
    if not report.histograms:
        return ""
    panels = []
    for each in report.histograms:
        readers = ", ".join(each.readers[:3]) + (" …" if len(each.readers) > 3 else "")
        panels.append(
            f"<figure><figcaption><b>{escape(each.name)}</b><small>read by {escape(readers)}<br>"
            f"{escape(decibels(each.total_db))}, {escape(share(each.clipped_share))} clipped; values {each.minimum:.4g} to "
            f"{each.maximum:.4g}, kept {each.low:.4g} to {each.high:.4g}</small></figcaption>{charts.distribution(each)}</figure>"
        )
    return (
        "<section><h2>Distributions</h2><p>The worst inputs of the operators that cost most, over all that calibration saw; "
        "counts are on a logarithmic scale. Upright lines are the ends of the int8 range; what lies outside is clipped.</p>"
        f'<div class="panels">{"".join(panels)}</div></section>'
    )
