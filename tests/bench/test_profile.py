"""Operators side by side, and the one that eats the gain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ptq_core.bench.profile import OpPair, gain_eater, op_pairs
from ptq_core.bench.protocol import OpTime
from tests.bench.reports import case


def ops(times_us: dict[str, float], kind: str = "conv2d") -> tuple[OpTime, ...]:
    return tuple(OpTime(name, kind, "kernel", us) for name, us in times_us.items())


def pairs(fp32: dict[str, float], int8: dict[str, float]) -> tuple[OpPair, ...]:
    return op_pairs(case(ops=(ops(fp32), ops(int8))))


def test_operators_are_joined_by_name_in_the_order_of_int8() -> None:
    assert pairs({"conv": 30.0, "softmax": 5.0}, {"quantize": 2.0, "conv": 10.0}) == (
        OpPair("quantize", "conv2d", None, 2.0),
        OpPair("conv", "conv2d", 30.0, 10.0),
        OpPair("softmax", "conv2d", 5.0, None),
    )


def test_the_operator_that_gained_less_than_the_model_is_named() -> None:
    # 160 / 80 us: twice as fast; "slow" would take 25 us and takes 45
    eater = gain_eater(pairs({"fast": 110.0, "slow": 50.0}, {"fast": 35.0, "slow": 45.0}))
    assert eater is not None
    assert eater.op.name == "slow"
    assert eater.loss_us == pytest.approx(20.0)
    assert eater.share == pytest.approx(45 / 80)
    assert eater.model_ratio == pytest.approx(2.0)
    assert eater.sentence() == (
        "slow (conv2d) eats the gain: 56% of the INT8 time; it is 1.11x faster (50.0 → 45.0 us),"
        " the model as a whole is 2.00x faster"
    )


def test_an_operator_that_only_int8_has_can_eat_the_gain() -> None:
    eater = gain_eater(pairs({"conv": 100.0}, {"conv": 40.0, "quantize": 10.0}))
    assert eater is not None
    assert eater.sentence() == (
        "quantize (conv2d) eats the gain: 20% of the INT8 time, and FP32 has no such operator;"
        " the model as a whole is 2.00x faster"
    )


def test_a_slower_model_has_its_culprit() -> None:
    eater = gain_eater(pairs({"a": 50.0, "b": 50.0}, {"a": 50.0, "b": 75.0}))
    assert eater is not None
    assert "b (conv2d) eats the gain: 60% of the INT8 time; it is 1.50x slower" in eater.sentence()
    assert eater.sentence().endswith("the model as a whole is 1.25x slower")


@pytest.mark.parametrize(
    ("fp32", "int8"),
    [
        ({"a": 20.0, "b": 30.0}, {"a": 10.0, "b": 15.0}),  # all gained the same
        ({"a": 100.0, "b": 100.0}, {"a": 51.0, "b": 49.0}),  # 1 % is noise
        ({}, {"a": 10.0}),
        ({"a": 10.0}, {}),
        ({}, {}),
    ],
)
def test_no_operator_is_named_without_reason(fp32: dict[str, float], int8: dict[str, float]) -> None:
    assert gain_eater(pairs(fp32, int8)) is None


def test_one_model_alone_has_its_times() -> None:
    alone = case(ops=(ops({"a": 1.0}), ops({"a": 2.0})))
    assert op_pairs(replace(alone, models=alone.models[1:])) == (OpPair("a", "conv2d", None, 2.0),)
