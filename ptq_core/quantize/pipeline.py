"""`ptq quantize`: from a configuration to model.onnx and quantization.json, and the part of it that needs no files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.calibration.samples import Sample
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.files import atomic_folder
from ptq_core.graph import io
from ptq_core.graph.edits import constant_array
from ptq_core.graph.passes import remove_unused_constants
from ptq_core.graph.passes.share_constants import share_constants
from ptq_core.quantize import advice, report
from ptq_core.quantize.check import check_written
from ptq_core.quantize.deploy.targets import TARGETS, adapt
from ptq_core.quantize.insertion import insert_qdq
from ptq_core.quantize.loss import Watch, measure_loss, most_pictures, pictures_for
from ptq_core.quantize.planning import (
    Ranges,
    collect,
    input_shapes,
    make_plan,
    needs_wide_opset,
    observed_values,
    prepare,
    refine,
)
from ptq_core.quantize.samples import FewSamples, KeepFirst, few_samples
from ptq_core.quantize.selection import WEIGHT_ONLY, Selection
from ptq_core.reports import LossReport, QuantizeReport

MODEL_NAME = "model.onnx"
REPORT_NAME = "quantization.json"


@dataclass(frozen=True)
class QuantizedModel:
    """The quantized model in memory, the content of quantization.json, and what a summary needs."""

    model: ir.Model
    details: dict[str, Any]
    quantized_ops: int
    float_ops: int
    pictures: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    loss: LossReport | None


def quantize(config: QuantizeConfig) -> QuantizeReport:
    """Quantize the model that ``config`` names and write `save_model_path/`.

    Raises InputError for bad input and DeviceError for a full disk; then nothing is written.
    """
    started = time.monotonic()
    source = io.find_model(config.model_dir, config.model_filename)
    io.check_not_overwritten(source, config.save_model_path / MODEL_NAME)
    model = io.load_model(source, params_filename=config.params_filename, input_shape=config.input_shape)
    result = quantize_model(model, config, name=source.name)
    said = write_quantized(result, config, source, config.save_model_path / MODEL_NAME)
    return QuantizeReport(
        model_path=config.save_model_path / MODEL_NAME,
        report_path=config.save_model_path / REPORT_NAME,
        size_fp32_bytes=said.size_fp32_bytes,
        size_int8_bytes=said.size_int8_bytes,
        quantized_ops=result.quantized_ops,
        float_ops=result.float_ops,
        pictures=result.pictures,
        warnings=(*result.warnings, *said.warnings),
        notes=(*result.notes, *said.notes),
        hints=advice.hints(config),
        loss=result.loss,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class Written:
    """What there is to say of a written model."""

    size_fp32_bytes: int
    size_int8_bytes: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def write_quantized(result: QuantizedModel, config: QuantizeConfig, source: Path, target: Path) -> Written:
    """Write ``result``, made of the model file ``source``, as ``target`` with quantization.json beside it, and `check` it.

    Raises DeviceError for a full disk, and what quantize/check.py raises; then nothing is written.
    """
    note = ""
    with atomic_folder(target.parent) as folder:
        written = folder / target.name
        io.save_model(result.model, written)
        if config.check:
            load_float = partial(
                io.load_model,
                source,
                params_filename=config.params_filename,
                input_shape=config.input_shape,
            )
            note = check_written(written, result.model, load_float, eight_bit=not needs_wide_opset(config))
        report.write(result.details, folder / REPORT_NAME)
    before, after = io.size_bytes(source), target.stat().st_size
    larger = (
        f"the quantized model is larger than the float one, {after} instead of {before} bytes: it has few weights,"
        " or they are shared and need several scales; weight_quantize_type: abs_max needs the fewest"
        if after > before
        else ""
    )
    return Written(before, after, *(tuple(filter(None, [words])) for words in (larger, note)))


def quantize_model(
    model: ir.Model,
    config: QuantizeConfig,
    *,
    name: str = "",
    samples: Iterable[Sample] | None = None,
    content_key: str | None = None,
) -> QuantizedModel:
    """Quantize ``model``, as ``io.load_model`` gives it; it is changed and must not be used any more.

    ``name`` is for the report. ``samples`` are used instead of the files that ``config`` names, and ``content_key`` makes
    their statistics cachable (``calibration.calibrate``); equalize, bias_correction and adaround go through them again.
    `weight_only` needs neither. Unless `check` is off, what the model lost is measured (quantize/loss.py). `model_dir` and
    `save_model_path` are not looked at. Raises InputError.
    """
    prepared = prepare(model, config, samples)
    model, selection = prepared.model, prepared.selection
    kept = None if samples is None else KeepFirst(samples, most_pictures(prepared.inputs))
    result = collect(prepared, config, observed_values(prepared, config), kept, content_key)
    plan = make_plan(model, selection, Ranges(result.statistics, config), config)
    plan = refine(plan, config, samples)
    details = report.build(config, name, prepared.original, prepared.folded, plan, result)
    watch = Watch(model, selection)
    floats = _float_weights(selection)
    read_instead = insert_qdq(model, selection, plan.params, plan.weights, store_int4=config.store_int4)
    remove_unused_constants(model.graph)
    share_constants(model)
    few, loss, note = FewSamples(), None, ""
    if config.check:
        few, loss, note = _loss(model, prepared.calibrated, config, watch, read_instead, kept)
    seen = advice.Observed(
        config, config.preprocess, result, result.statistics.get(plan.input_name), loss, few
    )
    adapt(model, TARGETS[config.deploy], floats)
    warnings = (*result.warnings, *advice.warnings(seen))
    details |= report.of_loss(loss) | {
        "warnings": list(warnings),
        "notes": [prepared.converted] if prepared.converted else [],
    }
    operators = len(selection.units), len(selection.reasons)
    notes = tuple(filter(None, (prepared.converted, prepared.absent, note)))
    return QuantizedModel(model, details, *operators, result.pictures, warnings, notes, loss)


def _loss(
    model: ir.Model,
    float_model: bytes,
    config: QuantizeConfig,
    watch: Watch,
    read_instead: Mapping[ir.Value, ir.Value],
    kept: KeepFirst | None,
) -> tuple[FewSamples, LossReport | None, str]:
    """The samples looked at, what quantization costs on them, or the sentence that says why that was not measured."""
    inputs = input_shapes(model)
    few = FewSamples()

    def share(pictures: int) -> int:
        calibrating = pictures if config.algo != WEIGHT_ONLY else 0
        return pictures_for(inputs, calibrating, light=watch.light)

    try:
        few = few_samples(config, inputs, kept, share)
        if few.samples:
            operators = watch.operators(read_instead)
            return few, measure_loss(float_model, io.to_bytes(model), operators, few.samples), ""
        reason = "there are no pictures"
    except InputError as error:
        reason = error.reason
    return few, None, f"what quantization costs was not measured: {reason}"


def _float_weights(selection: Selection) -> dict[str, NDArray[Any]]:
    found = (
        (str(unit.node.name), constant_array(unit.node.inputs[1]))
        for unit in selection.units
        if unit.has_weights
    )
    return {name: array for name, array in found if array is not None}
