"""The closed list of reasons to doubt a measurement, and when each one holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptq_core.bench.context import DeviceContext
from ptq_core.bench.report import EMULATED, HOST_BUSY, Advice, CaseResult, ModelResult, threads_words

BUSY_SHARE = 0.5
"""Load average per core from which other work is likely to share the measured core's caches and clock."""

MAX_SPREAD = 0.10
"""MAD / median above which a median of some tens of samples is not worth two digits."""

MIN_SAMPLES = 10
"""Below this, percentiles and the bootstrap repeat single samples, and drift cannot be tested."""

MAX_OUTLIERS = 0.10
"""Share of outliers above which they are no accidents: something else ran now and then."""

DRIFT_P = 0.01
DRIFT_CHANGE = 0.05
"""A drift is one if chance is ruled out and if it is larger than what one compares."""

FIRST_RUN_TIMES = 5
"""First inference / median from which it is worth a word: the first touches memory, and lazy work happens."""

THROTTLED = 0.9
"""Clock after / clock before below which the core was slowed down: governors step by less at full load."""

HOT_BATTERY_C = 40
"""Phones begin to lower clocks when the case is about as warm as this; the battery's sensor is nearest to it."""

HOT_ZONE_C = 70
"""A thermal zone that is this warm before the run has no room left: trip points begin at 80 to 95 °C."""

LOW_BATTERY = 20
FULL_BATTERY = 95
"""Per cent: below the first, phones save power; above the second, charging no longer heats."""

SMALL_GAIN = 1.6
"""The most that others publish for INT8 over FP32 on cores without a dot product (Paddle-Lite's and ncnn's tables)."""

DOT_PRODUCT = frozenset({"dotprod", "i8mm", "avxvnni", "avx512vnni", "amx"})
"""The names in `cpu_features` of which each multiplies and adds four int8 pairs at once."""


@dataclass(frozen=True)
class Reason:
    """What was seen and what to do; `{each}` in the text stands for every case or model of which it holds, in `each`'s words."""

    text: str
    fix: str
    each: str = ""


ADVICE = {
    EMULATED: Reason(
        "this is an emulated processor: its latency says nothing about a real one",
        "use it to see that models run and outputs agree; measure on a phone",
    ),
    HOST_BUSY: Reason(
        "the machine was busy before the run (load {load:.1f} on {cores} cores)",
        "stop other work and measure again",
    ),
    "governor_powersave": Reason(
        "the frequency governor is powersave: numbers are slow and uneven",
        "set it to performance",
    ),
    "hot_device": Reason(
        "the device was hot before the run ({each}): it may already be slowed down",
        "let it cool, take it out of its case, use `cool_down_s=`",
        "{what} {celsius:.0f} °C",
    ),
    "low_battery": Reason(
        "the battery is at {level} %: phones lower their clocks to save power",
        "charge it, then measure off the charger",
    ),
    "charging": Reason(
        "the battery is charging ({level}), which heats the phone",
        "charge it full first, or measure over Wi-Fi (adb tcpip)",
    ),
    "screen_on": Reason("the screen is on: drawing shares cores and memory", "switch it off"),
    "airplane_mode_off": Reason("airplane mode is off: radio and background work interrupt", "switch it on"),
    "too_few_samples": Reason(
        "{count} samples per model: percentiles and intervals repeat single samples",
        "`repeats=` of at least {least}",
    ),
    "more_threads_than_cores": Reason(
        "{each} on {cores} cores: they wait for each other", "fewer threads", "{threads}"
    ),
    "little_cores": Reason(
        "little cores were used ({each})", "`power_mode=big` for the fast ones", "CPUs {cpus} with {threads}"
    ),
    "throttled": Reason(
        "the clock fell during the run ({each}): it was probably slowed down",
        "cool the device, use `cool_down_s=` and fewer `repeats=`",
        "from {before:.0f} to {after:.0f} MHz with {threads}",
    ),
    "stop_rule_not_reached": Reason(
        "the time ran out before the intervals were as narrow as asked ({each})",
        "a quieter device, or more `max_seconds=`",
        "{threads}",
    ),
    "sample_limit": Reason(
        "there were as many samples as are kept before the intervals were as narrow as asked ({each})",
        "a quieter device, or a larger `confidence_percent=`",
        "{threads}",
    ),
    "outputs_differ": Reason(
        "{each} outputs differ from this machine's on the same input",
        "do not use this latency; report it with the model and `cpu_features`",
        "{name}",
    ),
    "outputs_unclear": Reason(
        "{each} outputs differ from this machine's, and whether by more than float rounding is not known",
        "compare the accuracy (`ptq eval`): a float operator before an integer one may have turned a rounding",
        "{name}",
    ),
    "drift": Reason(
        "the latency changed during the run: {each}",
        "the machine had not settled: more `warmup=`, or `cool_down_s=` if it got hot",
        "{name} with {threads} became {change:.0%} {direction} (p = {p:.2g})",
    ),
    "wide_spread": Reason(
        "samples vary (MAD/median): {each}",
        "raise `repeats=` on a quiet machine",
        "{name} with {threads} by {spread:.0%}",
    ),
    "many_outliers": Reason(
        "{each} are outliers; all were kept",
        "stop what runs in the background; trust the median, not the mean",
        "{outliers} of {count} samples of {name} with {threads}",
    ),
    "slow_first_run": Reason(
        "the first inference took {each}: that is loading and first touch of memory, and in no figure here",
        "run the model once when the application starts",
        "{first:.1f} ms with {name} and {threads} ({times:.0f} times the median)",
    ),
    "int8_slower": Reason(
        "INT8 is slower than FP32 with {each}",
        "`profile=` names the operator that eats the gain",
        "{threads} ({ratio:.2f}x)",
    ),
    "no_dot_product": Reason(
        "this core has no dot-product instruction: 1.1-1.6x is what others see on such cores (here {each})",
        "measure on a core with dotprod, i8mm or VNNI, or take INT8 for its size",
        "{ratio:.2f}x with {threads}",
    ),
    "no_clear_difference": Reason(
        "the interval of the speed-up holds 1: no difference was shown ({each})",
        "raise `repeats=`",
        "{low:.2f} to {high:.2f} with {threads}",
    ),
}
"""Code → reason. A warning with another code does not exist."""

Seen = tuple[str, Mapping[str, object]]
"""A code that holds, and the values for its words."""


def advise(
    context: DeviceContext, cases: Sequence[CaseResult], *, emulated: bool = False
) -> tuple[Advice, ...]:
    """The warnings that hold for a device, each once for all cases; those of all cases before those of single ones."""
    found = (
        *([_warning(EMULATED)] if emulated else ()),
        *_of_device(context),
        *_of_samples(cases),
        *(warning for case in cases for warning in _of_case(context, case)),
    )
    by_code: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for code, values in found:
        by_code[code].append(values)
    return tuple(_advice(code, values) for code, values in by_code.items())


def _advice(code: str, values: Sequence[Mapping[str, object]]) -> Advice:
    reason, first = ADVICE[code], values[0]
    each = ", ".join(dict.fromkeys(reason.each.format(**every) for every in values))
    return Advice(code, reason.text.format(**{**first, "each": each}), reason.fix.format(**first))


def _of_device(context: DeviceContext) -> Iterator[Seen]:
    if context.load_average is not None and context.load_average > BUSY_SHARE * context.cores:
        yield _warning(HOST_BUSY, load=context.load_average, cores=context.cores)
    if any(cluster.governor == "powersave" for cluster in context.clusters):
        yield _warning("governor_powersave")
    battery = context.battery
    if battery is not None:
        level = battery.level_percent
        if battery.temperature_c is not None and battery.temperature_c >= HOT_BATTERY_C:
            yield _warning("hot_device", what="battery", celsius=battery.temperature_c)
        if level is not None and level < LOW_BATTERY:
            yield _warning("low_battery", level=level)
        if battery.charging and (level is None or level < FULL_BATTERY):
            yield _warning("charging", level="level unknown" if level is None else f"{level} %")
    if context.screen_on:
        yield _warning("screen_on")
    if context.airplane_mode is False:
        yield _warning("airplane_mode_off")


def _of_samples(cases: Sequence[CaseResult]) -> Iterator[Seen]:
    fewest = min((model.latency.count for case in cases for model in case.models), default=MIN_SAMPLES)
    if fewest < MIN_SAMPLES:
        yield _warning("too_few_samples", count=fewest, least=MIN_SAMPLES)


def _of_case(context: DeviceContext, case: CaseResult) -> Iterator[Seen]:
    threads = case.threads
    if threads > context.cores:
        yield _warning("more_threads_than_cores", threads=threads_words(threads), cores=context.cores)
    if len(context.clusters) > 1 and set(case.cpus) & set(context.clusters[0].cpus):
        yield _warning("little_cores", cpus=",".join(map(str, case.cpus)), threads=threads_words(threads))
    for zone, celsius in case.before.temperatures_c.items():
        if celsius >= HOT_ZONE_C:
            yield _warning("hot_device", what=zone, celsius=celsius)
            break
    for before, after in _clocks(context, case):
        if after < THROTTLED * before:
            yield _warning("throttled", before=before, after=after, threads=threads_words(threads))
            break
    if case.stopped == "max_seconds":
        yield _warning("stop_rule_not_reached", threads=threads_words(threads))
    if case.stopped == "max_samples":
        yield _warning("sample_limit", threads=threads_words(threads))
    for model in case.models:
        yield from _of_model(model, threads)
    yield from _of_gain(case)


def _of_model(model: ModelResult, threads: int) -> Iterator[Seen]:
    name, latency, drift = model.precision.upper(), model.latency, model.latency.drift
    if model.outputs == "different":
        yield _warning("outputs_differ", name=name)
    if model.outputs == "unclear":
        yield _warning("outputs_unclear", name=name)
    if drift is not None and drift.p_value < DRIFT_P and abs(drift.change) > DRIFT_CHANGE:
        direction = "slower" if drift.change > 0 else "faster"
        yield _warning(
            "drift",
            name=name,
            threads=threads_words(threads),
            change=abs(drift.change),
            direction=direction,
            p=drift.p_value,
        )
    if latency.spread > MAX_SPREAD:
        yield _warning("wide_spread", name=name, threads=threads_words(threads), spread=latency.spread)
    if latency.count >= MIN_SAMPLES and latency.outliers > MAX_OUTLIERS * latency.count:
        yield _warning(
            "many_outliers",
            outliers=latency.outliers,
            count=latency.count,
            name=name,
            threads=threads_words(threads),
        )
    times = model.first_ms / latency.median_ms
    if times >= FIRST_RUN_TIMES:
        yield _warning(
            "slow_first_run", name=name, threads=threads_words(threads), first=model.first_ms, times=times
        )


def _of_gain(case: CaseResult) -> Iterator[Seen]:
    gain = case.speed_up
    if gain is None:
        return
    if gain.ratio < SMALL_GAIN and not DOT_PRODUCT & set(case.cpu_features.split()):
        yield _warning("no_dot_product", threads=threads_words(case.threads), ratio=gain.ratio)
    if gain.low <= 1 <= gain.high:
        yield _warning(
            "no_clear_difference", threads=threads_words(case.threads), low=gain.low, high=gain.high
        )
    elif gain.ratio < 1:
        yield _warning("int8_slower", threads=threads_words(case.threads), ratio=gain.ratio)


def _clocks(context: DeviceContext, case: CaseResult) -> Iterator[tuple[float, float]]:
    """(before, after) in MHz of the clusters that were measured; of the fastest one where threads were not pinned."""
    clusters = zip(context.clusters, case.before.clock_mhz, case.after.clock_mhz, strict=False)
    for index, (cluster, before, after) in enumerate(clusters):
        used = set(case.cpus) & set(cluster.cpus) if case.cpus else index == len(context.clusters) - 1
        if used and before is not None and after is not None:
            yield before, after


def _warning(code: str, **values: object) -> Seen:
    return code, values
