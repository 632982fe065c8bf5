"""Analyses made by hand for the files that show them."""

from __future__ import annotations

import math

from ptq_core.analyze.report import Analysis, Budget, Histogram, InputRange, Operator, OutputFigure

HOSTILE = "</script><b onmouseover=alert(1)>\u202e=cmd|'x'"


def operator(index: int, rank: int, name: str, **changed: object) -> Operator:
    read = InputRange(f"{name}/in", -1.5, 2.5, 0.0004 * rank, 30.0 + rank, 28.0 + rank)
    fields: dict[str, object] = {
        "index": index,
        "name": name,
        "op_type": "Conv" if index % 3 else "Add",
        "weights_db": 40.0 + index % 7 if index % 3 else None,
        "inputs": (read,),
        "output_db": 45.0 - 0.8 * index,
        "alone_db": 12.0 + 1.1 * rank,
        "without_db": 11.0 + 3 / rank,
        "gain_db": 3 / rank,
        "macs_share": 0.0003 * (index + 1),
        "latency_share": None,
        "rank": rank,
    }
    return Operator(**{**fields, **changed})  # type: ignore[arg-type]


def histogram(name: str, high: float) -> Histogram:
    counts = tuple(int(1e6 * math.exp(-((i - 40) ** 2) / 90)) for i in range(90))
    return Histogram(name, ("a", "b", "c", "d"), -4.0, 0.1, counts, -high, high, -3.9, 5.0, 0.002, 24.5)


def rich_report() -> Analysis:
    """Forty operators, two outputs, lists that differ and one that repeats, an input without statistics."""
    ranks = sorted(range(40), key=lambda index: (index * 17) % 40)
    rank = {index: place for place, index in enumerate(ranks, start=1)}
    operators = [operator(i, rank[i], f"backbone/stage{i // 8}/block{i % 8}/conv") for i in range(40)]
    unknown = InputRange("shared", -1.0, 1.0, None, None, None)
    operators[5] = operator(5, rank[5], "backbone/concat", inputs=(unknown,), alone_db=math.inf)
    outputs = (OutputFigure("boxes", 11.0), OutputFigure("scores", 19.5))
    better = (OutputFigure("boxes", 17.0), OutputFigure("scores", 22.5))
    names = tuple(operators[i].name for i in (3, 9, 21))
    budgets = (
        Budget(0.01, (), (), 0.0, 11.0, outputs),
        Budget(0.02, ("head/*", *names[:2]), names[:2], 0.018, 15.0, better),
        Budget(0.05, ("head/*", *names[:2]), names[:2], 0.018, 15.0, better),
        Budget(0.10, ("head/*", *names), names, 0.08, 17.0, better),
    )
    return Analysis(
        model="detector.onnx",
        algo="KL",
        pictures=100,
        samples=16,
        sqnr_db=11.0,
        outputs=outputs,
        operators=tuple(operators),
        float_operators=12,
        budgets=budgets,
        histograms=tuple(histogram(f"tensor{i}", 1.0 + i) for i in range(5)),
        warnings=("calibrated on 3 pictures only",),
        notes=(),
        seconds=12.5,
    )


def hostile_report() -> Analysis:
    """One operator; names that are markup, formulas and invisible; nothing known, nothing finite."""
    nothing = Operator(0, HOSTILE, HOSTILE, None, (), -math.inf, None, None, None, None, None, 1)
    other = operator(
        1, 2, HOSTILE * 9, alone_db=-math.inf, without_db=math.inf, gain_db=math.inf, output_db=-300.0
    )
    point = Histogram(HOSTILE, (HOSTILE,), 0.0, 1e-38, (1,), 0.0, 0.0, 0.0, 0.0, 0.0, math.inf)
    return Analysis(
        HOSTILE,
        "KL",
        1,
        1,
        None,
        (OutputFigure(HOSTILE, None),),
        (nothing, other),
        0,
        (),
        (point,),
        (HOSTILE,),
        (HOSTILE,),
        0.1,
    )
