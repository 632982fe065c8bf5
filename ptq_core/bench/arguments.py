"""The arguments of `bench`, checked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptq_core.bench.report import Precision, StopRule
from ptq_core.errors import InputError
from ptq_core.runtime import MAX_THREADS

MOST_SECONDS = 86400.0


def check_arguments(
    given: Sequence[tuple[Precision, Path]],
    threads: Sequence[int],
    warmup: int,
    repeats: int,
    stop: StopRule | None,
    cool_down_s: float,
    timeout_s: float,
) -> None:
    if not given:
        raise InputError(
            "neither `fp32=` nor `int8=` is given",
            rule="at least one model is measured; with both, the speed-up is known",
            fix="name a .nb or .onnx file with `fp32=`, `int8=` or both",
        )
    for precision, path in given:
        if path.suffix not in (".nb", ".onnx"):
            raise InputError(
                f"`{precision}={path}`",
                rule="a model is a flat file (.nb) or an ONNX model (.onnx)",
                fix="name the file itself; `ptq opt` makes a .nb of an ONNX model",
            )
        if not path.is_file():
            raise InputError(
                f"`{precision}={path}`: no such file", rule="the model must exist", fix="check the path"
            )
    for name, value, low, high in (
        *(("threads", count, 1, MAX_THREADS) for count in threads),
        ("warmup", warmup, 0, None),
        ("repeats", repeats, 1, None),
    ):
        if value < low or (high is not None and value > high):
            limits = f"{low} to {high}" if high is not None else f"at least {low}"
            raise InputError(f"`{name}={value}`", rule=f"`{name}=` takes {limits}", fix="correct the value")
    if not threads or len(set(threads)) < len(threads):
        raise InputError(
            f"`threads={','.join(map(str, threads))}`",
            rule="`threads=` takes one number of threads or several different ones",
            fix="for example `threads=1,2,4`",
        )
    positive = [("timeout_s", timeout_s)]
    if stop is not None:
        positive += [("confidence_percent", stop.confidence_percent), ("max_seconds", stop.max_seconds)]
    for name, seconds in positive:
        if not 0 < seconds <= MOST_SECONDS:
            raise InputError(
                f"`{name}={seconds:g}`", rule=f"`{name}=` takes a number above 0", fix="correct the value"
            )
    if not 0 <= cool_down_s <= MOST_SECONDS:
        raise InputError(
            f"`cool_down_s={cool_down_s:g}`",
            rule="`cool_down_s=` takes seconds from 0",
            fix="correct the value",
        )
    if stop is not None and timeout_s <= stop.max_seconds:
        raise InputError(
            f"`timeout_s={timeout_s:g}` with `max_seconds={stop.max_seconds:g}`",
            rule="a case must have more time than its samples alone",
            fix="raise `timeout_s=` or lower `max_seconds=`",
        )
