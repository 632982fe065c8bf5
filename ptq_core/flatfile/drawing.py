"""A program as a graph for Graphviz: a box per operator, an arrow per value, constants as words in the box of their reader."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from ptq_core.errors import DeviceError
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import INTEGERS, DType, Tensor
from ptq_core.printable import printable

FILLS = {
    DType.I8: "#d5e8d4",
    DType.F32: "#dae8fc",
    DType.F16: "#e1d5e7",
    **dict.fromkeys((*INTEGERS, DType.BOOL), "#fff2cc"),
}
"""By the type that an operator writes."""

TIMEOUT_S = 120


def program_dot(program: Program, name: str) -> str:
    """``program`` in the DOT language; deterministic."""
    return "\n".join(_lines(program, name)) + "\n"


def graphviz_svg(dot: str) -> str:
    """``dot`` drawn by the program `dot`, which must be installed; DeviceError if it fails."""
    try:
        done = subprocess.run(
            ["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip()
        raise DeviceError(
            f"Graphviz failed: {said}",
            rule=f"`dot -Tsvg` draws a graph in {TIMEOUT_S} s",
            fix="draw the .dot file elsewhere, or with another layout (sfdp, fdp)",
        ) from error
    return done.stdout


def _lines(program: Program, name: str) -> Iterator[str]:
    yield f"digraph {_quoted(name)} {{"
    yield '  rankdir=TB; node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];'
    yield '  edge [fontname="sans-serif", fontsize=8];'
    producer: dict[int, str] = {}
    for index in program.inputs:
        producer[index] = f"in{index}"
        yield _node(f"in{index}", [program.tensors[index].name], "#f5f5f5", "ellipse")
    for step, op in enumerate(program.ops):
        yield _node(f"op{step}", _words(program, op), FILLS[program.tensors[op.outputs[0]].dtype])
        for index in op.reads:
            if index in producer:
                yield f"  {producer[index]} -> op{step} [label={_quoted(_type(program.tensors[index]))}];"
        producer.update(dict.fromkeys(op.outputs, f"op{step}"))
    for position, index in enumerate(program.outputs):
        tensor = program.tensors[index]
        yield _node(f"out{position}", [tensor.name], "#f5f5f5", "ellipse")
        yield f"  {producer[index]} -> out{position} [label={_quoted(_type(tensor))}];"
    yield "}"


def _words(program: Program, op: Op) -> list[str]:
    constants = [program.tensors[index] for index in op.reads if program.tensors[index].is_constant]
    return [op.kind.name, op.name, *(f"constant {_type(tensor)}" for tensor in constants)]


def _node(key: str, words: list[str], fill: str, shape: str = "") -> str:
    kind = f", shape={shape}" if shape else ""
    return f"  {key} [label={_quoted(*words)}, fillcolor={_quoted(fill)}{kind}];"


def _type(tensor: Tensor) -> str:
    return f"{tensor.dtype.label} {'×'.join(map(str, tensor.dims)) or 'scalar'}"


def _quoted(*words: str) -> str:
    """A DOT string of one line per word; Graphviz would read an & as the begin of an HTML entity."""
    escaped = (
        printable(word).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for word in words
    )
    return '"' + "\\n".join(escaped) + '"'
