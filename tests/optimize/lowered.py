"""Graphs of float operators, lowered: the program against onnxruntime and the C++ runtime."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from ptq_core.graph.io import to_bytes
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program
from tests.agreement import RUNTIME_IS_BUILT, assert_runtime_agrees, exceeds
from tests.optimize.graphs import Graph, Qdq, build

PICTURE = (1, 8, 13, 11)


def behind(op_type: str, *constants: object, **attributes: object) -> Graph:
    """conv [1, 6, 13, 11] → the node with ``constants`` as further inputs (None: absent) → Neg, which keeps the layout."""

    def graph(b: Qdq) -> str:
        x = b.conv("conv", "input", 8, 6)
        return b.node("Neg", "neg", [b.node(op_type, "op", [x, *_constants(b, constants)], **attributes)])

    return graph


def node(op_type: str, *constants: object, **attributes: object) -> Graph:
    """The node alone, with ``constants`` as further inputs (None: absent)."""

    def graph(b: Qdq) -> str:
        return b.node(op_type, "op", ["input", *_constants(b, constants)], **attributes)

    return graph


def _constants(b: Qdq, constants: tuple[object, ...]) -> list[str]:
    return ["" if c is None else b.constant(f"c{i}", np.asarray(c)) for i, c in enumerate(constants)]


def assert_agrees(graph: Graph, shape: tuple[int, ...], opset: int = 17, scale: float = 1.0) -> Program:
    """Our program of ``graph`` and onnxruntime on one random input of deviation ``scale``; returns the program."""
    model = build(graph, shape, opset)
    program = lower_to_program(model)
    program.targets = ("x86_64",)
    data = write_program(program)
    program = read_program(data)
    x = (scale * np.random.default_rng(3).standard_normal(shape)).astype(np.float32)
    (wanted,) = open_session(to_bytes(model)).run(None, {"input": x})
    (got,), (bound,) = run(program, [x]), error_bounds(program, [x])
    assert got.shape == wanted.shape
    assert exceeds(got, wanted, 2 * bound) <= 0
    assert np.median(bound) < 0.001 * np.abs(wanted).max()
    if RUNTIME_IS_BUILT:
        assert_runtime_agrees(program, data, [x])
    return program
