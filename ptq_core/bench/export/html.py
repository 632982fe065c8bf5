"""The HTML page of a bench report: one file, no network, no script; everything that came from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from string import Template

from ptq_core.bench.export import charts
from ptq_core.bench.export.accuracy import Accuracy
from ptq_core.bench.export.rows import COLUMNS, rows
from ptq_core.bench.export.words import (
    context_words,
    device_title,
    error_words,
    headline,
    megabytes,
    outputs_words,
    real_gains,
    settings_words,
    signed_points,
    size_change,
    started_words,
    state_words,
    times,
)
from ptq_core.bench.profile import gain_eater, op_pairs
from ptq_core.bench.report import (
    BenchReport,
    CaseResult,
    DeviceReport,
    ModelResult,
    Precision,
    threads_words,
)
from ptq_core.pages import style
from ptq_core.pages.svg import escape
from ptq_core.version import VERSION


def page(report: BenchReport, accuracy: Accuracy) -> str:
    """The whole page."""
    template = Template(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    names = dict.fromkeys(
        model.name for device in report.devices for case in device.cases for model in case.models
    )
    return template.substitute(
        style=style(),
        title=escape(headline(report)),
        models=escape(" · ".join(names)) or "no finished measurement",
        settings=escape(settings_words(report)),
        started=escape(started_words(report)),
        tiles="".join(_tiles(report, accuracy)),
        speed_ups=_speed_ups(report),
        devices="".join(_device(device) for device in report.devices),
        accuracy=_accuracy(accuracy),
        numbers=_numbers(report),
        version=escape(VERSION),
    )


def _tiles(report: BenchReport, accuracy: Accuracy) -> Iterator[str]:
    """The headline's figures: of all cases the range, of latency the fastest INT8 (else FP32) case."""
    cases = [(device, case) for device in report.devices for case in device.cases]
    gains = real_gains(report)
    if len(gains) == 1:
        (gain,) = gains
        interval = f"{gain.confidence:.0%} interval {gain.low:.2f} to {gain.high:.2f}"
        yield _tile("Speed-up", times(gain.ratio), interval)
    elif gains:
        low, high = (times(bound(gain.ratio for gain in gains)) for bound in (min, max))
        value = low if low == high else f"{low.removesuffix('×')}–{high}"
        yield _tile("Speed-up", value, f"least and most of {len(gains)} cases")
    if cases:
        yield _latency_tile(*min(cases, key=lambda item: _last(item[1]).latency.median_ms))
        fp32, int8 = cases[0][1].model("fp32"), cases[0][1].model("int8")
        yield _sizes_tile("Size", *(model.file_bytes if model else None for model in (fp32, int8)))
        peaks = [
            max((m.peak_rss_bytes for _, c in cases if (m := c.model(p)) and m.peak_rss_bytes), default=None)
            for p in _BOTH
        ]
        if any(peaks):
            yield _sizes_tile("Peak memory", *peaks)
        else:
            peak = max(case.peak_rss_bytes for _, case in cases)
            both = "both models" if len(cases[0][1].models) == 2 else "the model"
            yield _tile("Peak memory", megabytes(peak), f"process with {both}")
    yield _accuracy_tile(accuracy)


_BOTH: tuple[Precision, Precision] = ("fp32", "int8")


def _latency_tile(device: DeviceReport, case: CaseResult) -> str:
    fp32, int8 = case.model("fp32"), case.model("int8")
    where = f"{device_title(device)}, {threads_words(case.threads)}"
    if fp32 is None or int8 is None:
        only = _last(case)
        return _tile(f"{only.precision.upper()} latency", f"{only.latency.median_ms:.2f} ms", where)
    return _tile(
        "INT8 latency", f"{int8.latency.median_ms:.2f} ms", f"FP32 {fp32.latency.median_ms:.2f} ms · {where}"
    )


def _sizes_tile(what: str, fp32: int | None, int8: int | None) -> str:
    if fp32 and int8:
        return _tile(what, megabytes(int8), f"FP32 {megabytes(fp32)} · {size_change(fp32, int8)}")
    return _tile(what, megabytes(int8 or fp32 or 0), "INT8" if int8 else "FP32")


def _accuracy_tile(accuracy: Accuracy) -> str:
    fp32, int8 = accuracy.get("fp32"), accuracy.get("int8")
    only = int8 or fp32
    if only is None:
        return _tile(
            "Top-1 accuracy", "not measured", "what ptq eval measured can be shown here", css=" none"
        )
    pictures = f"{only.count} pictures"
    if fp32 is None or int8 is None:
        return _tile("Top-1 accuracy", f"{only.top1:.2%}", f"{'INT8' if int8 else 'FP32'} · {pictures}")
    points = 100 * (int8.top1 - fp32.top1)
    return _tile(
        "Top-1 accuracy",
        f"{int8.top1:.2%}",
        f"FP32 {fp32.top1:.2%} · {signed_points(points)} points · {pictures}",
    )


def _tile(label: str, value: str, below: str, css: str = "") -> str:
    return (
        f'<div class="tile{css}"><dt>{escape(label)}</dt><dd><strong>{escape(value)}</strong>'
        f"<span>{escape(below)}</span></dd></div>"
    )


def _speed_ups(report: BenchReport) -> str:
    """The chart of all cases on real processors, where there is more than one to compare."""
    devices = [device for device in report.devices if not device.is_emulated]
    several = len(devices) > 1
    named = [
        (
            f"{device_title(device)}, {threads_words(case.threads)}"
            if several
            else threads_words(case.threads),
            gain,
        )
        for device in devices
        for case in device.cases
        if (gain := case.speed_up) is not None
    ]
    if len(named) < 2:
        return ""
    return (
        "<section><h2>Speed-up of INT8 over FP32</h2><p>Median FP32 / median INT8; the line is the bootstrap interval of "
        f"these samples. 1× is no difference.</p><figure>{charts.speed_ups(named)}</figure></section>"
    )


def _device(device: DeviceReport) -> str:
    parts = [f'<section class="device"><h2>{escape(device_title(device))}</h2>']
    if device.error is not None:
        said = escape(error_words(device.error))
        parts.append(f'<p class="error" role="alert"><strong>Ended early.</strong> {said}</p>')
    if device.context is not None:
        parts.append(_terms(context_words(device.context)))
    parts.append(_warnings(device))
    if device.cases:
        parts.append(
            "<h3>Latency</h3><p>Bars are medians, from zero; the box holds half of the samples. Thin lines are samples; "
            "those beyond the scale lie at its end.</p>"
            f"<figure>{charts.latency(device.cases)}</figure>"
            "<h3>Every sample, in order</h3><p>A trend is drift; rings are outliers, counted but never removed. "
            "Each panel has its own scale, in ms, which need not begin at zero.</p>"
        )
        parts += [
            f'<div class="panels">{"".join(_panel(case, m) for m in case.models)}</div>'
            for case in device.cases
        ]
        parts += [_profile(case) for case in device.cases]
        parts += [_case_terms(case) for case in device.cases]
    return "".join(parts) + "</section>"


def _warnings(device: DeviceReport) -> str:
    if not device.warnings:
        return (
            '<p class="fine">Nothing was found that speaks against these numbers.</p>' if device.cases else ""
        )
    items = "".join(
        f"<li><strong>{escape(w.text)}</strong><span>{escape(w.fix)}</span></li>" for w in device.warnings
    )
    return f'<ul class="warnings" aria-label="Warnings">{items}</ul>'


def _panel(case: CaseResult, model: ModelResult) -> str:
    name, figures = model.precision, model.latency
    std = "" if figures.std_ms is None else f" · std {figures.std_ms:.3f}"
    return (
        f'<figure><figcaption><b class="{name}">{name.upper()}</b> {threads_words(case.threads)} '
        f"<small>median {figures.median_ms:.3f} · p90 {figures.p90_ms:.3f} · p99 {figures.p99_ms:.3f}{std} ms · "
        f"{figures.outliers} of {figures.count} outliers</small></figcaption>{charts.samples(model)}</figure>"
    )


def _profile(case: CaseResult) -> str:
    pairs = op_pairs(case)
    if not pairs:
        return ""
    eater = gain_eater(pairs)
    sentence = f"<p>{escape(eater.sentence())}.</p>" if eater is not None else ""
    return (
        f"<h3>Operators, {threads_words(case.threads)}</h3>{sentence}"
        f"<figure>{charts.operators(pairs, eater)}</figure>"
    )


def _case_terms(case: CaseResult) -> str:
    words = {**state_words(case), **outputs_words(case.models)}
    return f"<h3>{threads_words(case.threads)}: state of the device</h3>{_terms(words)}"


def _terms(words: dict[str, str]) -> str:
    items = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(said)}</dd></div>" for term, said in words.items()
    )
    return f'<dl class="terms">{items}</dl>'


def _accuracy(accuracy: Accuracy) -> str:
    if not accuracy:
        return ""
    body = "".join(
        f'<tr><th scope="row"><b class="{name}">{name.upper()}</b> {escape(found.model)}</th><td>{found.top1:.2%}</td>'
        f"<td>{found.top5:.2%}</td><td>{found.count}</td></tr>"
        for name in _BOTH
        if (found := accuracy.get(name)) is not None
    )
    return (
        '<section><h2>Accuracy</h2><table class="plain"><thead><tr><th scope="col">model</th><th scope="col">top-1</th>'
        f'<th scope="col">top-5</th><th scope="col">pictures</th></tr></thead><tbody>{body}</tbody></table></section>'
    )


def _numbers(report: BenchReport) -> str:
    head = "".join(f'<th scope="col">{escape(column.name)}</th>' for column in COLUMNS)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_cell(value))}</td>' for value in row)}</tr>" for row in rows(report)
    )
    return f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _last(case: CaseResult) -> ModelResult:
    """INT8 where it was measured."""
    models: Sequence[ModelResult] = case.models
    return models[-1]
