"""The models of a `ptq bench`: what the user named, made into flat files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptq_core.bench.report import Precision
from ptq_core.errors import InputError
from ptq_core.flatfile.reader import read_program


@dataclass(frozen=True)
class Subject:
    """A model to measure: its precision, the file that the user named, and the flat file made of it."""

    precision: Precision
    source: Path
    flat: Path


def make_subject(precision: Precision, source: Path, scratch: Path) -> Subject:
    """``source`` itself if it is a flat file; an ONNX model is optimized for every target into ``scratch`` first."""
    if source.suffix == ".nb":
        _check_precision(precision, source, source)
        return Subject(precision, source, source)
    from ptq_core.optimize.pipeline import optimize  # onnx is slow to import and not needed for flat files

    flat = scratch / f"{precision}.nb"
    optimize(source, flat, targets=("host", "arm", "x86"))
    _check_precision(precision, source, flat)
    return Subject(precision, source, flat)


def _check_precision(precision: Precision, source: Path, flat: Path) -> None:
    """Raise InputError if the file says that it holds the other precision; a file that does not say is believed."""
    try:
        found = read_program(flat.read_bytes()).meta.get("precision")
    except (InputError, OSError):
        return  # benchmark_bin says what is wrong with the file
    if found in ("fp32", "int8") and found != precision:
        raise InputError(
            f"`{precision}={source}` holds an {found} model",
            rule="a speed-up is only one if `fp32=` names the float model and `int8=` the quantized one",
            fix="exchange the two, or run `ptq quantize` and `ptq opt` first",
        )
