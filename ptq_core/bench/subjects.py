"""The models of a `ptq bench`: what the user named, made into flat files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ptq_core.bench.report import Precision
from ptq_core.errors import InputError
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program


@dataclass(frozen=True)
class Subject:
    """A model to measure: its precision, the file that the user named, and the flat file made of it.

    ``sha256`` is that of the ONNX file that the flat file says it was made from, else of the flat file itself. ``inputs`` are
    its inputs' names and shapes, `x 1x3x224x224`; ``flow`` tells for each operator in order
    the indices of those whose results it reads. Both are empty of a file that cannot be read.
    """

    precision: Precision
    source: Path
    flat: Path
    sha256: str
    inputs: tuple[str, ...] = ()
    flow: tuple[tuple[int, ...], ...] = ()


def make_subject(precision: Precision, source: Path, scratch: Path) -> Subject:
    """``source`` itself if it is a flat file; an ONNX model is optimized for every target into ``scratch`` first."""
    if source.suffix == ".nb":
        return _subject(precision, source, source)
    from ptq_core.optimize.pipeline import optimize  # onnx is slow to import and not needed for flat files

    flat = scratch / f"{precision}.nb"
    optimize(source, flat, targets=("host", "arm", "x86"))
    return _subject(precision, source, flat)


def _subject(precision: Precision, source: Path, flat: Path) -> Subject:
    """Raises InputError if the file says that it holds the other precision; a file that does not say is believed."""
    try:
        data = flat.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read `{precision}={source}`: {error.strerror or error}",
            rule="the model must be readable",
            fix="correct its permissions",
        ) from error
    meta: Mapping[str, object] = {}
    inputs: tuple[str, ...] = ()
    flow: tuple[tuple[int, ...], ...] = ()
    with suppress(InputError):  # benchmark_bin says what is wrong with the file
        program = read_program(data)
        meta, tensors = program.meta, [program.tensors[index] for index in program.inputs]
        inputs = tuple(f"{tensor.name} {'x'.join(map(str, tensor.dims))}" for tensor in tensors)
        flow = _flow(program)
    found, said = meta.get("precision"), str(meta.get("sha256"))
    if found in ("fp32", "int8") and found != precision:
        raise InputError(
            f"`{precision}={source}` holds an {found} model",
            rule="a speed-up is only one if `fp32=` names the float model and `int8=` the quantized one",
            fix="exchange the two, or run `ptq quantize` and `ptq opt` first",
        )
    digest = said if re.fullmatch("[0-9a-f]{64}", said) else hashlib.sha256(data).hexdigest()
    return Subject(precision, source, flat, digest, inputs, flow)


def _flow(program: Program) -> tuple[tuple[int, ...], ...]:
    made_by = {tensor: index for index, op in enumerate(program.ops) for tensor in op.outputs}
    return tuple(tuple(sorted({made_by[i] for i in op.reads if i in made_by})) for op in program.ops)
