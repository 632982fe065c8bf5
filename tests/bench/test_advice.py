"""Each warning of the closed list: when it holds, and that it can be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ptq_core.bench.advice import ADVICE, advise
from ptq_core.bench.context import Cluster, Facts, MachineState, device_context
from ptq_core.bench.report import CaseResult, ModelResult, Precision
from ptq_core.bench.statistics import speed_up, summarize

QUIET = replace(
    device_context(Facts(), abi="x86_64", cores=4),
    clusters=(Cluster((0, 1, 2, 3), 2000.0, 1024, "performance"),),
    load_average=1.9,
)
STATE = MachineState((2000.0,), {})


def model(precision: Precision, samples_ms: Sequence[float]) -> ModelResult:
    return ModelResult(
        precision,
        f"{precision}.nb",
        f"{precision}.nb",
        1,
        1,
        1,
        1,
        "0" * 8,
        None,
        None,
        summarize(samples_ms),
        tuple(samples_ms),
        (),
    )


def case(fp32: Sequence[float], int8: Sequence[float], threads: int = 1) -> CaseResult:
    both = (model("fp32", fp32), model("int8", int8))
    return CaseResult(
        threads, "none", (), STATE, STATE, "repeats", "0.1.0", "host", "scalar", 1, both, speed_up(fp32, int8)
    )


GOOD = case([4.0, 4.1, 4.2], [2.0, 2.1, 2.2])


def test_a_quiet_machine_with_a_clear_gain_gets_no_advice() -> None:
    assert advise(QUIET, [GOOD]) == ()


ROWS = {
    "host_busy": (replace(QUIET, load_average=2.1), GOOD),
    "governor_powersave": (
        replace(QUIET, clusters=(Cluster((0,), None, None, "powersave"), *QUIET.clusters)),
        GOOD,
    ),
    "more_threads_than_cores": (QUIET, case([4.0, 4.1], [2.0, 2.1], threads=5)),
    "wide_spread": (QUIET, case([4.0, 4.0, 4.0], [1.0, 2.0, 3.0])),
    "int8_slower": (QUIET, case([2.0, 2.1, 2.2], [4.0, 4.1, 4.2])),
    "no_clear_difference": (QUIET, case([2.0, 2.1, 2.2], [2.1, 2.0, 2.15])),
}


@pytest.mark.parametrize("code", ROWS)
def test_each_warning_holds_where_it_should(code: str) -> None:
    context, measured = ROWS[code]
    (warning,) = advise(context, [measured])
    assert warning.code == code
    assert "{" not in warning.text


def test_every_warning_of_the_list_has_a_row() -> None:
    assert set(ROWS) == set(ADVICE)
