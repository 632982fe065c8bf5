"""The closed list of reasons to doubt a measurement, and when each one holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptq_core.bench.context import DeviceContext
from ptq_core.bench.report import Advice, CaseResult

BUSY_SHARE = 0.5
"""Load average per core from which other work is likely to share the measured core's caches and clock."""

MAX_SPREAD = 0.10
"""MAD / median above which a median of some tens of samples is not worth two digits."""

ADVICE = {
    "host_busy": "the machine was busy (load {load:.1f} on {cores} cores): stop other work and measure again",
    "governor_powersave": "the frequency governor is powersave: set it to performance, or expect slow and uneven numbers",
    "more_threads_than_cores": "{threads} threads on {cores} cores: they wait for each other",
    "wide_spread": "{name} with {threads} thread(s) varies by {spread:.0%} (MAD/median): raise --repeats on a quiet machine",
    "int8_slower": "INT8 is slower than FP32 with {threads} thread(s) ({ratio:.2f}x): see --profile for the operator that"
    " costs most, and `cpu_features` for what this CPU lacks",
    "no_clear_difference": "with {threads} thread(s) the interval of the speed-up [{low:.2f}, {high:.2f}] holds 1:"
    " no difference was shown; raise --repeats",
}
"""Code → sentence. A warning with another code does not exist."""


def advise(context: DeviceContext, cases: Sequence[CaseResult]) -> tuple[Advice, ...]:
    """The warnings that hold, the machine's before those of single cases."""
    return (*_of_machine(context), *(warning for case in cases for warning in _of_case(context, case)))


def _of_machine(context: DeviceContext) -> Iterator[Advice]:
    if context.load_average is not None and context.load_average > BUSY_SHARE * context.cores:
        yield _warning("host_busy", load=context.load_average, cores=context.cores)
    if any(cluster.governor == "powersave" for cluster in context.clusters):
        yield _warning("governor_powersave")


def _of_case(context: DeviceContext, case: CaseResult) -> Iterator[Advice]:
    if case.threads > context.cores:
        yield _warning("more_threads_than_cores", threads=case.threads, cores=context.cores)
    for model in case.models:
        if model.latency.spread > MAX_SPREAD:
            yield _warning("wide_spread", name=model.name, threads=case.threads, spread=model.latency.spread)
    gain = case.speed_up
    if gain is None:
        return
    if gain.low <= 1 <= gain.high:
        yield _warning("no_clear_difference", threads=case.threads, low=gain.low, high=gain.high)
    elif gain.ratio < 1:
        yield _warning("int8_slower", threads=case.threads, ratio=gain.ratio)


def _warning(code: str, **values: object) -> Advice:
    return Advice(code, ADVICE[code].format(**values))
