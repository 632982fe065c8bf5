"""What `ptq opt` prints or draws without optimizing: operators, the model's operators, a flat file as a graph."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from ptq_cli.terminal import note
from ptq_core.errors import InputError


def supported_ops(targets: tuple[str, ...]) -> Iterator[str]:
    """The table of operators, of those that every one of ``targets`` runs."""
    from ptq_core.optimize.pipeline import resolve_targets
    from ptq_core.optimize.supported import supported_rows

    resolve_targets(targets)  # every operator has a kernel for every CPU, so the table is the same for all
    yield from _table(supported_rows())


def all_ops(*, markdown: bool) -> Iterator[str]:
    """The table of operators with a column per target."""
    from ptq_core.flatfile.layout import TARGETS
    from ptq_core.optimize.supported import supported_rows

    header, *rows = supported_rows()
    table = [
        (header[0], *TARGETS, *header[1:]),
        *((row[0], *["Y"] * len(TARGETS), *row[1:]) for row in rows),
    ]
    if not markdown:
        yield from _table(table)
        return
    yield "| " + " | ".join(table[0]) + " |"
    yield "|" + "---|" * len(table[0])
    for row in table[1:]:
        yield "| " + " | ".join(row) + " |"


def model_ops(model: ir.Model) -> Iterator[str]:
    """The operators of ``model`` with their number and what is supported; InputError, behind the table, if it cannot run."""
    from ptq_core.graph.dialects import one_dialect
    from ptq_core.graph.passes import simplify
    from ptq_core.optimize.lowering.lower import lower_graph
    from ptq_core.optimize.supported import model_op_rows

    yield from _table(model_op_rows(model))
    one_dialect(model)
    simplify(model)
    lower_graph(model)
    yield ""
    yield "supported: all of them run"


def draw(flat_file: Path, folder: Path) -> Iterator[str]:
    """Write the graph of ``flat_file`` as NAME.dot, and as NAME.svg by Graphviz where it is installed."""
    from ptq_core.files import write_text
    from ptq_core.flatfile.drawing import graphviz_svg, program_dot
    from ptq_core.flatfile.reader import load_program

    text = program_dot(load_program(flat_file), flat_file.stem)
    dot = folder / f"{flat_file.stem}.dot"
    svg = dot.with_suffix(".svg")
    picture = graphviz_svg(text) if shutil.which("dot") else None
    write_text(dot, text)
    yield f"graph:  {dot}"
    if picture is None:
        note(
            f"no {svg.name}: Graphviz is not installed (apt package graphviz); then: dot -Tsvg {dot} -o {svg}"
        )
        return
    write_text(svg, picture)
    yield f"drawn:  {svg}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    from ptq_cli.options import table

    return table(rows, left=len(rows[0]))


def needs_both(flat_file: Path | None, folder: Path | None) -> tuple[Path, Path]:
    """The two flags of a drawing; InputError if one is missing."""
    if flat_file is None or folder is None:
        raise InputError(
            "--optimized-nb-model-path and --visualization-file-output-path belong together",
            rule="the first names the flat file to draw, the second the folder for the drawing",
            fix="give both",
        )
    return flat_file, folder
