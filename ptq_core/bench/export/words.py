"""A report in words: what the headline says, what a device is called, its state and settings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ptq_core.bench.context import Cluster, DeviceContext
from ptq_core.bench.report import BenchReport, CaseResult, DeviceReport, ModelResult, Outputs
from ptq_core.bench.statistics import Ratio

OUTPUTS: dict[Outputs, str] = {
    "identical": "identical to this machine's",
    "close": "within the bound of float rounding of this machine's",
    "unclear": "different from this machine's; by more than rounding or not is unknown",
    "different": "DIFFERENT from this machine's",
}


def headline(report: BenchReport) -> str:
    """The result in one sentence, no stronger than its intervals."""
    gains = real_gains(report)
    if not gains:
        cases = [(d, c) for d in report.devices for c in d.cases]
        if cases and all(device.is_emulated for device, _ in cases):
            return "Run on an emulated processor: its latency says nothing about a real one"
        names = {m.precision.upper() for _, c in cases for m in c.models}
        return f"Latency of {' and '.join(sorted(names)) or 'nothing: no case was finished'}"
    low, high = min(gain.ratio for gain in gains), max(gain.ratio for gain in gains)
    ratio = times(low) if times(low) == times(high) else f"{times(low)} to {times(high)}"
    if all(gain.low > 1 for gain in gains):
        return f"INT8 is {ratio} as fast as FP32"
    if all(gain.high < 1 for gain in gains):
        return f"INT8 is slower than FP32: {ratio} its speed"
    if all(gain.low <= 1 <= gain.high for gain in gains):
        return f"INT8 and FP32: no difference was shown ({ratio})"
    return f"INT8 against FP32: {ratio}, not faster in every case"


def real_gains(report: BenchReport) -> list[Ratio]:
    """The speed-ups of all cases that ran on real processors."""
    devices = (device for device in report.devices if not device.is_emulated)
    return [case.speed_up for device in devices for case in device.cases if case.speed_up is not None]


def size_change(fp32_bytes: int, int8_bytes: int) -> str:
    """`4.00× smaller`, or larger; empty where one is unknown."""
    if not fp32_bytes or not int8_bytes:
        return ""
    ratio = fp32_bytes / int8_bytes
    return f"{times(ratio)} smaller" if ratio >= 1 else f"{times(1 / ratio)} larger"


def times(ratio: float) -> str:
    """`2.25×`: three digits."""
    return f"{ratio:.2f}×" if ratio < 9.995 else f"{ratio:.1f}×"


def device_title(device: DeviceReport) -> str:
    """What people call the device, and the name that `ptq bench` knows it by."""
    context = device.context
    if context is None:
        return device.device
    maker, model = context.manufacturer, context.model
    if model is None:
        name = context.cpu_model
    else:
        name = model if maker is None or model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return f"{name} ({device.device})" if name else device.device


def error_words(error: str) -> str:
    """The lines of an error on one."""
    return " · ".join(line.strip() for line in error.splitlines())


def settings_words(report: BenchReport) -> str:
    """How it was measured."""
    settings = report.settings
    stop = settings.stop
    until = (
        f"{settings.repeats} repeats"
        if stop is None
        else f"until every interval is below {stop.confidence_percent:g} %, at least {settings.repeats} repeats,"
        f" at most {stop.max_seconds:g} s,"
    )
    cool = f", {settings.cool_down_s:g} s of cool-down between cases" if settings.cool_down_s else ""
    return f"{until} after {settings.warmup} warm-up runs, models in turns, power mode {settings.power_mode}{cool}"


def context_words(context: DeviceContext) -> dict[str, str]:
    """What the device said of itself; what it did not say is left out."""
    android = (
        context.android_version
        and f"{context.android_version}{f' (API {context.sdk})' if context.sdk else ''}"
    )
    battery = context.battery
    level = battery and battery.level_percent
    states = [
        None if level is None else f"{level} %",
        None
        if battery is None or battery.charging is None
        else ("charging" if battery.charging else "not charging"),
        None if battery is None or battery.temperature_c is None else f"{battery.temperature_c:.1f} °C",
    ]
    found = {
        "processor": context.cpu_model,
        "SoC": context.soc,
        "cores": "; ".join(_cluster(cluster) for cluster in context.clusters) or str(context.cores),
        "governor": ", ".join(dict.fromkeys(c.governor for c in context.clusters if c.governor)),
        "Android": android,
        "ABI": context.abi,
        "kernel": context.kernel,
        "load before": None if context.load_average is None else f"{context.load_average:.2f}",
        "battery": ", ".join(filter(None, states)),
        "airplane mode": _on_off(context.airplane_mode),
        "screen": _on_off(context.screen_on),
    }
    return {term: said for term, said in found.items() if said}


def state_words(case: CaseResult) -> dict[str, str]:
    """Clocks and temperatures around a case, and where it ran."""
    clocks = [
        " / ".join("?" if mhz is None else f"{mhz:.0f}" for mhz in state.clock_mhz)
        for state in (case.before, case.after)
        if any(mhz is not None for mhz in state.clock_mhz)
    ]
    warmest = [
        "{} {:.0f} °C".format(*max(state.temperatures_c.items(), key=lambda zone: zone[1]))
        for state in (case.before, case.after)
        if state.temperatures_c
    ]
    found = {
        "threads kept on": f"CPUs {', '.join(map(str, case.cpus))}" if case.cpus else "any CPU",
        "clock (MHz per cluster), before → after": " → ".join(clocks),
        "hottest zone, before → after": " → ".join(warmest),
        "instruction sets": case.cpu_features,
        "ended by": case.stopped.replace("_", " "),
    }
    return {term: said for term, said in found.items() if said}


def outputs_words(models: Iterable[ModelResult]) -> dict[str, str]:
    """How each precision's outputs compare with this machine's, where they were: the worst of ``models``."""
    found: dict[str, Outputs] = {}
    for model in models:
        name = f"{model.precision.upper()} outputs"
        if model.outputs is not None:
            found[name] = max(model.outputs, found.get(name, "identical"), key=list(OUTPUTS).index)
    return {name: OUTPUTS[outputs] for name, outputs in found.items()}


def started_words(report: BenchReport) -> str:
    """`2026-11-28 01:00 UTC`; what is no time is shown as it is."""
    try:
        return f"{datetime.fromisoformat(report.started):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return report.started


def signed_points(points: float) -> str:
    """Percentage points with their sign."""
    return f"{points:+.2f}".replace("-", "−")


def megabytes(size_bytes: int) -> str:
    """Bytes in MB of 1000², with as many decimals as three digits need."""
    size = size_bytes / 1e6
    return f"{size:.0f} MB" if size >= 100 else f"{size:.1f} MB" if size >= 10 else f"{size:.2f} MB"


def _cluster(cluster: Cluster) -> str:
    speed = "" if cluster.max_mhz is None else f" at {cluster.max_mhz:.0f} MHz"
    return f"{len(cluster.cpus)}{speed}"


def _on_off(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"
