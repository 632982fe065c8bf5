"""A bench report, and a comparison of two, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptq_cli.options import size_text, table

if TYPE_CHECKING:
    from ptq_core.bench.compare import Comparison
    from ptq_core.bench.profile import OpPair
    from ptq_core.bench.report import BenchReport, CaseResult, DeviceReport, ModelResult, Precision, Settings

HEADER = ("model", "threads", "size", "peak memory", "median ms", "min ms", "p90 ms", "p99 ms", "std ms")


def render(report: BenchReport) -> Iterator[str]:
    """The report as lines for people."""
    for device in report.devices:
        yield from _device(report.settings, device)
    for device in report.devices:  # behind all results, which they must not hide
        name = f"{device.device}: " if len(report.devices) > 1 else ""
        for warning in device.warnings:
            yield f"warning: {name}{warning.text}; {warning.fix}"


def render_comparison(comparison: Comparison) -> Iterator[str]:
    """Every case's medians and their ratio, then what else differs."""
    rows = [
        (
            f"{case.key.precision.upper()} {case.key.model}",
            case.key.device,
            str(case.key.threads),
            case.key.power_mode,
            f"{case.old_ms:.3f}",
            f"{case.new_ms:.3f}",
            f"{case.ratio.ratio:.3f}",
            f"[{case.ratio.low:.3f}, {case.ratio.high:.3f}]",
            case.verdict + (f", busy host ({', '.join(case.busy)})" if case.busy else ""),
        )
        for case in comparison.cases
    ]
    header = (
        "model", "device", "threads", "power mode", "old ms", "new ms", "new/old",
        f"{comparison.cases[0].ratio.confidence:.0%} interval", "",
    )  # fmt: skip
    yield from table([header, *rows], left=2)
    for difference in comparison.differences:
        yield f"differs: {difference}"
    unclear = len(comparison.of("unclear"))
    if unclear:
        yield (
            f"warning: {unclear} of {len(comparison.cases)} cases vary too much to tell whether they are within the limit;"
            " raise --repeats on a quiet device"
        )


def _device(settings: Settings, device: DeviceReport) -> Iterator[str]:
    if device.context is not None:
        cores = f"{device.context.cores} core(s)"
        name = device.context.model or device.context.cpu_model or device.context.abi
        yield (
            f"{device.device}: {name}, {cores}; "
            f"{settings.repeats} repeats after {settings.warmup} warm-up runs, models in turns"
        )
        yield ""
    if device.cases:
        yield from table([HEADER, *(_row(case, model) for case in device.cases for model in case.models)])
        yield ""
        for case in device.cases:
            yield from _speed_up(case)
        yield from _same_in_all_cases(device.cases)
        if settings.profile:
            for case in device.cases:
                yield from _profile(case)
        yield ""


def _row(case: CaseResult, model: ModelResult) -> tuple[str, ...]:
    latency = model.latency
    return (
        f"{model.precision.upper()} {model.name}",
        str(case.threads),
        size_text(model.file_bytes),
        "-" if model.peak_rss_bytes is None else size_text(model.peak_rss_bytes),
        f"{latency.median_ms:.3f}",
        f"{latency.min_ms:.3f}",
        f"{latency.p90_ms:.3f}",
        f"{latency.p99_ms:.3f}",
        "-" if latency.std_ms is None else f"{latency.std_ms:.3f}",
    )


def _speed_up(case: CaseResult) -> Iterator[str]:
    from ptq_core.bench.report import threads_words

    fp32, int8, gain = case.model("fp32"), case.model("int8"), case.speed_up
    if fp32 is None or int8 is None or gain is None:
        return
    yield (
        f"{threads_words(case.threads)}: INT8 {int8.latency.median_ms:.3f} ms, FP32 {fp32.latency.median_ms:.3f} ms, "
        f"speed-up {gain.ratio:.2f}x ± {gain.margin:.2f} "
        f"({gain.confidence:.0%} interval {gain.low:.2f} to {gain.high:.2f})"
    )


def _same_in_all_cases(cases: Sequence[CaseResult]) -> Iterator[str]:
    """Size and memory, and whether the outputs are those of this machine: the worst of all cases."""
    from ptq_core.bench.export.words import outputs_words, size_change

    fp32, int8 = cases[0].model("fp32"), cases[0].model("int8")
    if fp32 is not None and int8 is not None:
        change = size_change(fp32.file_bytes, int8.file_bytes).replace("×", "x")
        yield f"size: INT8 {size_text(int8.file_bytes)}, FP32 {size_text(fp32.file_bytes)}, {change}"
    what = "both models" if len(cases[0].models) == 2 else "the model"
    peak = max(case.peak_rss_bytes for case in cases)
    yield f"peak memory of the process with {what}: {size_text(peak)}"
    for name, words in outputs_words(model for case in cases for model in case.models).items():
        yield f"{name}: {words}"


def _profile(case: CaseResult) -> Iterator[str]:
    """Mean microseconds per piece of the network, the models side by side; '-' where one lacks it. Then what eats the gain.

    Under a piece that is several operators in a model, each of them has a row.
    """
    from ptq_core.bench.profile import gain_eater, op_pairs
    from ptq_core.bench.report import threads_words

    pairs, models = op_pairs(case), [model.precision for model in case.models]
    names = [model.upper() for model in models]
    rows = [("operator", "kind", *(f"{name} us" for name in names), *(f"{name} kernel" for name in names))]
    for pair in pairs:
        rows.append(_operator(pair, models))
        rows += (_operator(part, models, indent="  ") for part in pair.parts())
    sums = (sum(op.mean_us for op in model.ops) for model in case.models)
    rows.append(("sum", "", *(f"{us:.1f}" for us in sums), *("" for _ in models)))
    yield ""
    yield f"mean time per operator, {threads_words(case.threads)}"
    yield from table(rows, left=2)
    eater = gain_eater(pairs)
    if eater is not None:
        yield eater.sentence()


def _operator(pair: OpPair, models: Sequence[Precision], indent: str = "") -> tuple[str, ...]:
    times = (pair.time_us(model) for model in models)
    kernels = (" + ".join(op.kernel for op in pair.ops(model)) for model in models)
    if pair.parts():  # whose rows name them
        kernels = ("" for _ in models)
    return (
        indent + pair.name,
        pair.kind,
        *("-" if us is None else f"{us:.1f}" for us in times),
        *kernels,
    )
