"""A classifier, whatever runs it: scores per class from onnxruntime (`.onnx`) or from our runtime (`.nb`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ptq_core.errors import InputError
from ptq_core.runtime import Program

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[Any]


class Classifier(Protocol):
    """`batch` is the number of pictures that the model takes at once, None if any; a dimension is None if open.

    `notes` say what happened to the model on the way in.
    """

    name: str
    notes: tuple[str, ...]
    batch: int | None
    input_shape: tuple[int | None, ...]

    def scores(self, pictures: Floats) -> Scores:
        """Scores of shape [pictures, classes]."""


class _OnnxClassifier:
    def __init__(self, path: Path, threads: int) -> None:
        # onnx and onnxruntime are slow to import; a .nb does not need them
        from ptq_core.graph.io import float32_source
        from ptq_core.graph.session import open_session

        self.name = str(path)
        source, converted = float32_source(path)
        self.notes: tuple[str, ...] = (converted,) if converted else ()
        self._session = open_session(source, threads=threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        _check_ends(
            self.name, [(tensor.name, tensor.type == "tensor(float)") for tensor in inputs], len(outputs)
        )
        self._input = inputs[0].name
        self.input_shape = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)
        self.batch = self.input_shape[0] if self.input_shape else None

    def scores(self, pictures: Floats) -> Scores:
        from ptq_core.graph.session import run_session

        (output,) = run_session(
            self._session,
            None,
            {self._input: pictures},
            problem=f"{self.name} cannot run on pictures of shape {list(pictures.shape)}",
            rule="the preprocessing must give what the model takes",
            fix="correct `preprocess` in the configuration",
        )
        return _as_scores(self.name, output, len(pictures))


class _FlatClassifier:
    def __init__(self, program: Program, threads: int) -> None:
        inputs = [(info.name, info.dtype == np.float32) for info in program.inputs]
        _check_ends(program.name, inputs, len(program.outputs))
        self.name = program.name
        self.notes: tuple[str, ...] = ()
        self._program, self._threads = program, threads
        self.input_shape: tuple[int | None, ...] = program.inputs[0].shape
        self.batch = self.input_shape[0] if self.input_shape else None

    def scores(self, pictures: Floats) -> Scores:
        (output,) = self._program.run(pictures, threads=self._threads)
        return _as_scores(self.name, output, len(pictures))


@contextmanager
def open_classifier(path: Path, *, threads: int = 1) -> Iterator[Classifier]:
    """Open a `.onnx` or `.nb` with one float input and one output. Raises InputError for anything else."""
    if path.suffix not in (".nb", ".onnx"):
        raise InputError(
            f"`model={path}`",
            rule="a model is an ONNX model (.onnx) or a flat file (.nb)",
            fix="name the file itself",
        )
    if not path.is_file():
        raise InputError(f"`model={path}`: no such file", rule="the model must exist", fix="check the path")
    if path.suffix == ".onnx":
        yield _OnnxClassifier(path, threads)
        return
    with Program(path) as program:
        yield _FlatClassifier(program, threads)


def _check_ends(name: str, inputs: Sequence[tuple[str, bool]], outputs: int) -> None:
    if len(inputs) == 1 and inputs[0][1] and outputs == 1:
        return
    listed = ", ".join(f"{tensor}{'' if is_float else ' (not float32)'}" for tensor, is_float in inputs)
    raise InputError(
        f"{name} has the inputs {listed} and {outputs} output(s)",
        rule="a classifier has one float32 input and one output with a score per class",
        fix="`ptq eval` cannot judge this model; use a classifier",
    )


def _as_scores(name: str, output: npt.NDArray[Any], pictures: int) -> Scores:
    """[N, K] from [N, K], [N, K, 1, 1] or [N, 1, 1, K]."""
    if output.ndim >= 2 and output.shape[0] == pictures and sum(size > 1 for size in output.shape[1:]) <= 1:
        return output.reshape(pictures, -1)
    raise InputError(
        f"{name} gives {list(output.shape)} for {pictures} picture(s)",
        rule="a classifier's output is [N, K] or [N, K, 1, 1]",
        fix="`ptq eval` cannot judge this model; use a classifier",
    )
