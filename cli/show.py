"""`ptq show`: what an .onnx model, a flat file or a file of the calibration cache holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ptq_cli.flags import ToStdout, command, group, switch
from ptq_cli.terminal import echo, note
from ptq_core.errors import DeviceError, InputError
from ptq_core.inputs import open_input
from ptq_core.printable import printable_json

Shown = tuple[list[str], dict[str, Any]]
"""The same as lines of text and as a record."""


@command(
    group(
        "What is printed",
        click.Argument(["file"], type=click.Path(path_type=Path)),
        switch("--json", help="a record for machines instead of text", type=ToStdout()),
        switch("--kernels", help="of a flat file: also the kernels that this machine chooses", default=True),
    )
)
def show(file: Path, json: bool, kernels: bool) -> None:
    """Print what FILE holds: operators, tensors, scales, sizes, memory plan, kernels.

    FILE is an .onnx model, a flat file (.nb) or a file of the calibration cache (.npz); its content tells which. The text of
    a flat file is that of the runtime's own tool, `show_bin FILE`, with what is not seen of a name as escapes.
    """
    lines, record = _reader_of(file)(file, kernels)
    echo(*(printable_json(record, indent=1).split("\n") if json else lines))


def _reader_of(file: Path) -> Callable[[Path, bool], Shown]:
    from ptq_core.flatfile.layout import MAGIC

    try:
        with open_input(file) as stream:
            begin = stream.read(len(MAGIC))
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror or error}",
            rule="FILE is an existing .onnx model, flat file or calibration cache",
            fix="check the path",
        ) from None
    if begin == MAGIC or file.suffix == ".nb":
        return _flat_file
    return _cache if begin[:4] == b"PK\x03\x04" else _model


def _flat_file(file: Path, kernels: bool) -> Shown:
    from ptq_core.flatfile.dump import describe_program, program_lines
    from ptq_core.flatfile.reader import load_program

    program = load_program(file)
    record = {"file_bytes": file.stat().st_size, **describe_program(program)}
    chosen = _kernels(file) if kernels else []
    for op, name in zip(record["ops"], chosen, strict=False):
        op["kernel"] = name
    lines = [*program_lines(program), *(f"kernel {index} {name}" for index, name in enumerate(chosen))]
    return lines, record


def _kernels(file: Path) -> list[str]:
    """The kernel of each operator on this machine; none, with a note, where the runtime is not built."""
    from ptq_core.runtime import Program

    try:
        with Program(file) as loaded:
            return [op.kernel for op in loaded.ops]
    except DeviceError as error:
        note(f"kernels are not shown: {error.reason}; next: {error.fix}")
        return []


def _model(file: Path, _kernels: bool) -> Shown:
    from ptq_core.graph.dump import describe_model, model_lines
    from ptq_core.graph.io import load_model, size_bytes

    model = load_model(file)
    return [*model_lines(model)], {"file_bytes": size_bytes(file), **describe_model(model)}


def _cache(file: Path, _kernels: bool) -> Shown:
    from ptq_core.calibration.cache import read_cache
    from ptq_core.calibration.dump import calibration_lines, describe_calibration

    calibration = read_cache(file)
    return [*calibration_lines(calibration)], {
        "file_bytes": file.stat().st_size,
        **describe_calibration(calibration),
    }
