"""The model that `ptq quantize` wrote is opened and run once before it gets its name: in onnxruntime, and in our runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.errors import DeviceError, InputError, PtqError
from ptq_core.graph import io
from ptq_core.graph.input_shapes import static_shape
from ptq_core.graph.session import open_session, run_session

Feeds = Mapping[str, NDArray[Any]]
"""Input name → values, in the model's order."""


def check_written(
    written: Path, model: ir.Model, load_float: Callable[[], ir.Model], *, eight_bit: bool = True
) -> str:
    """Run ``written``, the file of ``model``, in a plain onnxruntime session, and by `ptq opt` in our runtime where one is built.

    Our runtime is left out where the model is not ``eight_bit``, which it cannot load. Returns a sentence about what could not
    be tried, "" if there is none. Where one of the two refuses the model, ``load_float`` gives the model that it was made of:
    if that is refused too, the model is the reason (our runtime: the sentence; onnxruntime: InputError), else quantization is,
    a bug of ours (PtqError with exit code 1).
    """
    feeds = example_inputs(model)
    try:
        run_in_onnxruntime(written, feeds)
    except InputError as refusal:
        _raise_if_fine("onnxruntime", load_float, run_in_onnxruntime, refusal)
        raise
    if not eight_bit:
        return ""
    try:
        run_in_ours(written, feeds)
    except DeviceError:
        return ""
    except InputError as refusal:
        _raise_if_fine("`ptq opt`", load_float, run_in_ours, refusal)
        return "our runtime does not run this model, quantized or not: `ptq opt` says which operators"
    return ""


def example_inputs(model: ir.Model) -> dict[str, NDArray[Any]]:
    """Values for the inputs of ``model``, with a batch of 1 where it is open: floats over [−1, 1], integers 0.

    Empty if another dimension is open.
    """
    random = np.random.default_rng(0)
    feeds: dict[str, NDArray[Any]] = {}
    for value in model.graph.inputs:
        try:
            shape = static_shape(value) if value.shape is None or len(value.shape) else ()
        except InputError:
            return {}
        dtype = (value.dtype or ir.DataType.FLOAT).numpy()
        floats = np.issubdtype(dtype, np.floating)
        feeds[str(value.name)] = (random.uniform(-1, 1, shape) if floats else np.zeros(shape)).astype(dtype)
    return feeds


def run_in_onnxruntime(model: Path | ir.Model, feeds: Feeds) -> list[NDArray[Any]]:
    """Outputs of ``model`` for ``feeds`` from a session as others open it; opened only, where there are none.

    Raises InputError where onnxruntime refuses the model or fails to run it.
    """
    source = model if isinstance(model, Path) else io.to_bytes(model)
    session = open_session(source, int8="plain", low_memory=True)  # waiting threads cost as much as the run
    if not feeds:
        return []
    return run_session(
        session,
        None,
        feeds,
        problem="onnxruntime loads the model and cannot run it",
        rule="a model runs on inputs of its declared shapes",
        fix="check the export",
    )


def run_in_ours(model: Path | ir.Model, feeds: Feeds) -> list[NDArray[Any]]:
    """Outputs of ``model``, as a flat file, from the runtime of this machine.

    Raises InputError where it cannot be lowered or loaded, DeviceError where no runtime is built.
    """
    from ptq_core.optimize.pipeline import optimize  # only here: quantization alone does without
    from ptq_core.runtime import Program

    with tempfile.TemporaryDirectory(prefix="ptq_check.") as folder:
        flat = Path(folder, "model.nb")
        optimize(model, flat, targets=("host",))
        with Program(flat) as program:
            return program.run(*feeds.values()) if feeds else []


def _raise_if_fine(
    who: str,
    load_float: Callable[[], ir.Model],
    run: Callable[[ir.Model, Feeds], object],
    refusal: InputError,
) -> None:
    """Raise PtqError if ``run`` takes the float model, whose quantized form it refused."""
    model = load_float()
    feeds = example_inputs(model)
    try:
        run(model, feeds)
    except InputError:
        return
    raise PtqError(
        f"{who} refuses the quantized model, though it takes the float one: {refusal.reason}",
        rule="what `ptq quantize` writes runs in onnxruntime and, where its operators are supported, in our runtime",
        fix="leave the node in float by skip_nodes, and report this as a bug of ptq; check: false writes the model all the same",
    ) from refusal
