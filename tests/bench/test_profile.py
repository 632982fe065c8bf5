"""Operators side by side, and the one that eats the gain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptq_cli.main import run
from ptq_core.bench.compare import load_report
from ptq_core.bench.profile import OpPair, gain_eater, op_pairs
from ptq_core.bench.protocol import OpTime
from ptq_core.errors import InputError
from tests.bench.reports import case, device, report, save


def ops(times_us: dict[str, float], kind: str = "conv2d") -> tuple[OpTime, ...]:
    return tuple(OpTime(name, kind, "kernel", us) for name, us in times_us.items())


def pairs(fp32: dict[str, float], int8: dict[str, float]) -> tuple[OpPair, ...]:
    return op_pairs(case(ops=(ops(fp32), ops(int8))))


def test_operators_are_joined_by_name_in_the_order_of_int8() -> None:
    found = pairs({"conv": 30.0, "softmax": 5.0}, {"quantize": 2.0, "conv": 10.0})
    assert [(pair.name, pair.kind, pair.fp32_us, pair.int8_us) for pair in found] == [
        ("quantize", "conv2d", None, 2.0),
        ("conv", "conv2d", 30.0, 10.0),
        ("softmax", "conv2d", 5.0, None),
    ]


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
    assert op_pairs(replace(alone, models=alone.models[1:])) == (OpPair((), ops({"a": 2.0})),)


def graph(text: str) -> tuple[OpTime, ...]:
    """`NAME:KIND<NAME,NAME` per operator, with the names of those that it reads (the last of a name); 1, 2, 4, ... us."""
    made: dict[str, int] = {}
    found: list[OpTime] = []
    for word in text.split():
        label, _, reads = word.partition("<")
        name, _, kind = label.partition(":")
        after = tuple(made[each] for each in reads.split(",") if each)
        made[name] = len(found)
        found.append(OpTime(name, kind, f"{kind}_kernel", 2.0 ** len(found), after))
    return tuple(found)


RESIDUAL = "r:conv2d e:conv2d<r join:conv2d_add<e,r y:conv2d<join"
APART = "q:quantize r:conv2d<q e:conv2d<r project:conv2d<e join:binary<project,r y:conv2d<join d:dequantize<y"
PIECES = {
    "a sum that one file adds to a convolution": (
        RESIDUAL,
        APART,
        ["-|q", "r|r", "e|e", "join|project+join", "y|y", "-|d"],
    ),
    "one residual behind the other": (
        "r:conv2d a:conv2d_add<r,r b:conv2d_add<a,a y:conv2d<b",
        "r:conv2d p:conv2d<r a:binary<p,r s:conv2d<a b:binary<s,a y:conv2d<b",
        ["r|r", "a|p+a", "b|s+b", "y|y"],
    ),
    "an activation that one file does in the convolution": (
        "c:conv2d d:conv2d<c y:softmax<d",
        "c:conv2d relu:clamp<c d:conv2d<relu y:softmax<d",
        ["c|c+relu", "d|d", "y|y"],
    ),
    "... and the other way round": (
        "c:conv2d relu:clamp<c d:conv2d<relu",
        "c:conv2d d:conv2d<c",
        ["c+relu|c", "d|d"],
    ),
    "padding that one file does in the convolution": (
        "c:conv2d d:conv2d<c",
        "c:conv2d p:pad<c d:conv2d<p",
        ["c|c", "d|p+d"],
    ),
    "a table for two operators": (
        "c:conv2d s:unary<c m:binary<s,c d:conv2d<m",
        "c:conv2d m_quantize:lookup<c d:conv2d<m_quantize",
        ["c|c", "s+m|m_quantize", "d|d"],
    ),
    "two tables side by side": (
        "c:conv2d s:unary<c t:unary<c d:binary<s,t",
        "c:conv2d u:lookup<c v:lookup<c d:binary<u,v",
        ["c|c", "s+t|u+v", "d|d"],
    ),
    "several operators of one name": (
        "y:conv2d y:transpose<y z:conv2d<y z:conv2d<z",
        "y:conv2d y:transpose<y z:conv2d<y z:conv2d<z",
        ["y|y", "y|y", "z|z", "z|z"],
    ),
    "the same transposition, of floats and of integers": (
        "x:transpose c:conv2d<x y:transpose<c",
        "q:quantize t:transpose<q c:conv2d<t d:dequantize<c u:transpose<d",
        ["-|q", "x|t", "c|c", "-|d", "y|u"],
    ),
    "one model alone": ("", APART, ["-|q", "-|r", "-|e", "-|project", "-|join", "-|y", "-|d"]),
    "a report without the data flow": (
        " ".join(word.partition("<")[0] for word in RESIDUAL.split()),
        APART,
        ["-|q", "r|r", "e|e", "-|project", "-|join", "y|y", "-|d", "join|-"],
    ),
}


@pytest.mark.parametrize(("fp32", "int8", "pieces"), PIECES.values(), ids=PIECES)
def test_pieces_of_the_network(fp32: str, int8: str, pieces: list[str]) -> None:
    models = graph(fp32), graph(int8)
    found = op_pairs(case(ops=models))
    words = [["+".join(op.name for op in side) or "-" for side in (pair.fp32, pair.int8)] for pair in found]
    assert ["|".join(word) for word in words] == pieces
    for index, side in enumerate(models):  # every operator once
        assert sorted(op.mean_us for pair in found for op in (pair.fp32, pair.int8)[index]) == [
            op.mean_us for op in side
        ]


def test_long_networks_that_share_no_name() -> None:
    """One path in each, 2^2000 paths through them."""
    models = [
        tuple(OpTime(f"{name}{i}", "conv2d", "k", 1.0, tuple(range(max(0, i - 2), i))) for i in range(2000))
        for name in "ab"
    ]
    (pair,) = op_pairs(case(ops=(models[0], models[1])))
    assert (pair.fp32_us, pair.int8_us) == (2000.0, 2000.0)


def test_every_operator_has_a_row_with_its_kernel(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    profiled = report(device("R58M", case(ops=(graph(RESIDUAL), graph(APART)))), profile=True)
    path = save(tmp_path / "b.json", profiled)
    assert load_report(path) == profiled
    assert run(["bench", "--from-json", str(path)]) == 0
    out = capfd.readouterr().out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    start = rows.index("operator kind FP32 us INT8 us FP32 kernel INT8 kernel")
    assert rows[start + 1 : start + 11] == [
        "q quantize - 1.0 quantize_kernel",
        "r conv2d 1.0 2.0 conv2d_kernel conv2d_kernel",
        "e conv2d 2.0 4.0 conv2d_kernel conv2d_kernel",
        "join conv2d_add → conv2d + binary 4.0 24.0",
        "join conv2d_add 4.0 - conv2d_add_kernel",
        "project conv2d - 8.0 conv2d_kernel",
        "join binary - 16.0 binary_kernel",
        "y conv2d 8.0 32.0 conv2d_kernel conv2d_kernel",
        "d dequantize - 64.0 dequantize_kernel",
        "sum 15.0 127.0",
    ]


@pytest.mark.parametrize("after", [[7], [1], [-1]])
def test_a_flow_that_cannot_be_is_refused(tmp_path: Path, after: list[int]) -> None:
    path = save(tmp_path / "b.json", report(device("R58M", case(ops=(graph(RESIDUAL), graph(APART))))))
    document = json.loads(path.read_text(encoding="utf-8"))
    document["devices"][0]["cases"][0]["models"][0]["ops"][1]["after"] = after
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match="names one that is not before it"):
        load_report(path)
