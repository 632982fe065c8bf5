"""Each warning of the closed list: when it holds, and that it can be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ptq_core.bench.advice import ADVICE, advise
from ptq_core.bench.context import Battery, Cluster, DeviceContext, Facts, MachineState, device_context
from ptq_core.bench.report import CaseResult, ModelResult, Precision
from ptq_core.bench.statistics import speed_up, summarize

BIG = Cluster((4, 5, 6, 7), 2800.0, 1024, "performance")
LITTLE = Cluster((0, 1, 2, 3), 1800.0, 300, "schedutil")
QUIET = replace(device_context(Facts(), abi="arm64-v8a", cores=8), clusters=(LITTLE, BIG), load_average=3.9)
STATE = MachineState((1800.0, 2800.0), {"cpu": 45.0})
FP32 = [4.0, 4.1, 4.2, 4.1, 4.0, 4.2, 4.1, 4.0, 4.2, 4.1]
INT8 = [ms / 2 for ms in FP32]


def model(precision: Precision, samples_ms: Sequence[float], **changes: Any) -> ModelResult:
    good = ModelResult(
        precision=precision,
        name=f"{precision}.nb",
        path=f"{precision}.nb",
        file_bytes=1,
        arena_bytes=1,
        load_ms=1,
        first_ms=2 * samples_ms[0],
        output_crc32="0" * 8,
        peak_rss_bytes=None,
        outputs="identical",
        latency=summarize(samples_ms),
        samples_ms=tuple(samples_ms),
        ops=(),
    )
    return replace(good, **changes)


def case(
    fp32: Sequence[float] = FP32, int8: Sequence[float] = INT8, *, of_int8: Any = None, **changes: Any
) -> CaseResult:
    good = CaseResult(
        threads=1,
        power_mode="big",
        cpus=BIG.cpus,
        before=STATE,
        after=STATE,
        stopped="repeats",
        runtime_version="0.1.0",
        abi="arm64-v8a",
        cpu_features="scalar neon dotprod",
        peak_rss_bytes=1,
        models=(model("fp32", fp32), model("int8", int8, **(of_int8 or {}))),
        speed_up=speed_up(fp32, int8),
    )
    return replace(good, **changes)


def clocks(*mhz: float | None) -> MachineState:
    return MachineState(mhz, {})


def battery(level: int | None, charging: bool | None = False, celsius: float | None = 30) -> DeviceContext:
    return replace(QUIET, battery=Battery(level, charging, celsius))


def rising(share: float) -> list[float]:
    """INT8 that became ``share`` slower from the first to the last of 20 samples."""
    return [2 * (1 + share * index / 19) for index in range(20)]


SLOW = [1.1 * ms for ms in FP32]
Row = tuple[DeviceContext, CaseResult]

FIRES: dict[str, list[Row]] = {
    "host_busy": [(replace(QUIET, load_average=4.1), case())],
    "governor_powersave": [(replace(QUIET, clusters=(replace(LITTLE, governor="powersave"), BIG)), case())],
    "hot_device": [
        (battery(80, celsius=40.0), case()),
        (QUIET, case(before=MachineState(STATE.clock_mhz, {"skin": 30.0, "cpu": 70.0}))),
    ],
    "low_battery": [(battery(19), case())],
    "charging": [(battery(60, charging=True), case()), (battery(None, charging=True), case())],
    "screen_on": [(replace(QUIET, screen_on=True), case())],
    "airplane_mode_off": [(replace(QUIET, airplane_mode=False), case())],
    "too_few_samples": [(QUIET, case(FP32[:9], INT8[:9]))],
    "more_threads_than_cores": [(QUIET, case(threads=9))],
    "little_cores": [(QUIET, case(cpus=LITTLE.cpus)), (QUIET, case(cpus=(3, 4)))],
    "throttled": [
        (QUIET, case(after=clocks(1800.0, 2500.0))),
        (QUIET, case(cpus=(), after=clocks(1800.0, 2500.0))),
    ],
    "stop_rule_not_reached": [(QUIET, case(stopped="max_seconds"))],
    "sample_limit": [(QUIET, case(stopped="max_samples"))],
    "outputs_differ": [(QUIET, case(of_int8={"outputs": "different"}))],
    "outputs_unclear": [(QUIET, case(of_int8={"outputs": "unclear"}))],
    "drift": [(QUIET, case(int8=rising(0.06))), (QUIET, case(int8=rising(0.06)[::-1]))],
    "wide_spread": [(QUIET, case(int8=[1.0, 1.6, 1.2, 1.4, 1.0, 1.6, 1.2, 1.4, 1.0, 1.6]))],
    "many_outliers": [(QUIET, case(int8=[*INT8[:8], 3.0, 3.0]))],
    "slow_first_run": [(QUIET, case(of_int8={"first_ms": 10.3}))],
    "int8_slower": [(QUIET, case(FP32, SLOW))],
    "no_dot_product": [
        (QUIET, case([1.5 * ms for ms in INT8], INT8, cpu_features="scalar neon")),
        (QUIET, case([1.5 * ms for ms in INT8], INT8, cpu_features="scalar avx2")),
    ],
    "no_clear_difference": [(QUIET, case(FP32, FP32[::-1]))],
}

SILENT: dict[str, list[Row]] = {
    "host_busy": [(replace(QUIET, load_average=4.0), case()), (replace(QUIET, load_average=None), case())],
    "governor_powersave": [(replace(QUIET, clusters=(replace(LITTLE, governor=None), BIG)), case())],
    "hot_device": [
        (battery(80, celsius=39.9), case()),
        (battery(80, celsius=None), case()),
        # warm after the run is what a run does
        (QUIET, case(after=MachineState(STATE.clock_mhz, {"cpu": 90.0}))),
    ],
    "low_battery": [(battery(20), case()), (battery(None), case())],
    "charging": [(battery(95, charging=True), case()), (battery(60, charging=None), case())],
    "screen_on": [(replace(QUIET, screen_on=False), case()), (replace(QUIET, screen_on=None), case())],
    "airplane_mode_off": [(replace(QUIET, airplane_mode=True), case())],
    "too_few_samples": [(QUIET, case())],
    "more_threads_than_cores": [(QUIET, case(threads=8))],
    "little_cores": [
        (QUIET, case(cpus=())),
        (replace(QUIET, clusters=(replace(LITTLE, cpus=(0, 1)),)), case(cpus=(0, 1))),
    ],
    "throttled": [
        (QUIET, case(after=clocks(1800.0, 2520.0))),
        (QUIET, case(after=clocks(900.0, 2800.0))),  # a cluster that was not measured
        (QUIET, case(after=clocks(None, None))),
        (QUIET, case(after=clocks())),
    ],
    "stop_rule_not_reached": [(QUIET, case(stopped="confidence"))],
    "sample_limit": [(QUIET, case(stopped="max_seconds"))],
    "outputs_unclear": [(QUIET, case(of_int8={"outputs": "different"}))],
    "outputs_differ": [(QUIET, case(of_int8={"outputs": "close"})), (QUIET, case(of_int8={"outputs": None}))],
    "drift": [(QUIET, case(int8=rising(0.05)))],
    "wide_spread": [(QUIET, case(int8=[2.0, 2.3, 2.1, 2.2, 2.0, 2.3, 2.1, 2.2, 2.0, 2.3]))],
    "many_outliers": [(QUIET, case(int8=[*INT8[:9], 3.0]))],
    "slow_first_run": [(QUIET, case(of_int8={"first_ms": 10.2}))],
    "int8_slower": [(QUIET, case())],
    "no_dot_product": [
        (QUIET, case([1.5 * ms for ms in INT8], INT8)),
        (QUIET, case([1.5 * ms for ms in INT8], INT8, cpu_features="scalar avx2 avxvnni")),
        (QUIET, case([1.7 * ms for ms in INT8], INT8, cpu_features="scalar neon")),
    ],
    "no_clear_difference": [(QUIET, case(FP32, [0.9 * ms for ms in FP32]))],
}


def rows(table: dict[str, list[Row]]) -> list[Any]:
    return [
        pytest.param(code, *row, id=f"{code}-{index}")
        for code in table
        for index, row in enumerate(table[code])
    ]


def test_a_quiet_device_with_a_clear_gain_gets_no_advice() -> None:
    assert advise(QUIET, [case()]) == ()


@pytest.mark.parametrize(("code", "context", "measured"), rows(FIRES))
def test_each_warning_holds_where_it_should(code: str, context: DeviceContext, measured: CaseResult) -> None:
    (warning,) = advise(context, [measured])
    assert warning.code == code
    assert "{" not in warning.text + warning.fix
    assert not warning.text.endswith(".")


@pytest.mark.parametrize(("code", "context", "measured"), rows(SILENT))
def test_each_warning_is_silent_where_it_should(
    code: str, context: DeviceContext, measured: CaseResult
) -> None:
    assert code not in [warning.code for warning in advise(context, [measured])]


def test_an_emulated_core_is_named_and_a_real_one_not() -> None:
    (warning,) = advise(QUIET, [case()], emulated=True)
    assert warning.code == "emulated"
    assert advise(QUIET, [case()]) == ()


def test_a_slow_int8_model_on_a_core_without_dot_product_is_told_why() -> None:
    warnings = advise(QUIET, [case(FP32, SLOW, cpu_features="scalar neon")])
    assert [warning.code for warning in warnings] == ["no_dot_product", "int8_slower"]
    assert "1.1-1.6x is what others see on such cores (here 0.91x with 1 thread)" in warnings[0].text


def test_what_holds_for_all_cases_is_said_once() -> None:
    short = case(FP32[:5], INT8[:5])
    assert [warning.code for warning in advise(QUIET, [short, replace(short, threads=2)])] == [
        "too_few_samples"
    ]
    wrong = case(of_int8={"outputs": "different"})
    assert [w.code for w in advise(QUIET, [wrong, replace(wrong, threads=2)])] == ["outputs_differ"]


SLOWER = case(FP32, SLOW, cpu_features="scalar neon")
THICK = case(int8=rising(0.06))


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        (
            [SLOWER, replace(SLOWER, threads=2)],
            {
                "no_dot_product": "(here 0.91x with 1 thread, 0.91x with 2 threads)",
                "int8_slower": "with 1 thread (0.91x), 2 threads (0.91x)",
            },
        ),
        ([THICK, replace(THICK, threads=4)], {"drift": "INT8 with 4 threads became 6% slower"}),
        (
            [case(stopped="max_seconds"), case(stopped="max_seconds", threads=2)],
            {"stop_rule_not_reached": "as asked (1 thread, 2 threads)"},
        ),
    ],
)
def test_a_warning_of_several_cases_is_said_once(cases: list[CaseResult], said: dict[str, str]) -> None:
    found = {warning.code: warning.text for warning in advise(QUIET, cases)}
    assert [warning.code for warning in advise(QUIET, cases)] == list(said)
    for code, words in said.items():
        assert words in found[code]


def test_a_device_without_a_finished_case_still_gets_its_advice() -> None:
    assert [warning.code for warning in advise(battery(5), [])] == ["low_battery"]


def test_every_warning_of_the_list_is_tested_both_ways() -> None:
    assert set(FIRES) == set(SILENT) == set(ADVICE) - {"emulated"}
