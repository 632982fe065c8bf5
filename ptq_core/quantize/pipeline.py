"""`ptq quantize`: from a configuration to model.onnx and quantization.json, and the part of it that needs no files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.calibration import CalibrationResult, calibrate
from ptq_core.calibration.observers import find_range
from ptq_core.calibration.samples import Sample
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.files import atomic_folder
from ptq_core.graph import io
from ptq_core.graph.edits import constant_array
from ptq_core.graph.float32 import conversion_note
from ptq_core.graph.opsets import upgrade_opset
from ptq_core.graph.passes import remove_unused_constants, simplify
from ptq_core.graph.passes.share_constants import share_constants
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize import advice, report
from ptq_core.quantize.activations import ActivationParams, activation_params, scale_groups
from ptq_core.quantize.check import check_written
from ptq_core.quantize.deploy.targets import TARGETS, adapt
from ptq_core.quantize.insertion import INT4_BITS, insert_qdq
from ptq_core.quantize.loss import Watch, measure_loss, most_pictures, pictures_for
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.samples import FewSamples, KeepFirst, few_samples, refinement_samples
from ptq_core.quantize.selection import WEIGHT_ONLY, Selection, absent_types, select, skipped_nodes
from ptq_core.quantize.weights import QuantizedWeights, quantize_weights
from ptq_core.reports import LossReport, QuantizeReport

MODEL_NAME = "model.onnx"
REPORT_NAME = "quantization.json"

WIDE_OPSET = 21
"""The first opset with INT4, and with int16 in QuantizeLinear and DequantizeLinear."""


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
            note = check_written(written, result.model, load_float, eight_bit=not _needs_wide_opset(config))
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
    _check_is_float(model)
    converted = conversion_note(model)
    original = [(str(node.name), node.op_type) for node in model.graph]
    skipped = skipped_nodes(model, config)
    calibrated = None
    if _needs_wide_opset(config):
        if not config.equalize:  # calibrate the same bytes as an 8-bit run, so that both share their cache
            narrow = ir.from_proto(ir.to_proto(model))
            simplify(narrow)
            calibrated = io.to_bytes(narrow)
        model = upgrade_opset(model, WIDE_OPSET)
    folded = simplify(model)
    absent = absent_types(model, config)
    if config.equalize:
        from ptq_core.quantize.equalization import equalize_layers

        again = None if config.algo == WEIGHT_ONLY else refinement_samples(config, _inputs(model), samples)
        equalize_layers(model, config, again)
    selection = select(model, config, skipped)
    _check_not_empty(selection)
    calibrated = calibrated or io.to_bytes(model)
    kept = None if samples is None else KeepFirst(samples, most_pictures(_inputs(model)))
    params, result = _calibrate(model, calibrated, config, selection, kept, content_key)
    weights = _weights(selection, params, config)
    plan = QuantizationPlan(model, selection, params, weights, _input_name(model))
    plan = _refine(plan, config, samples)
    details = report.build(config, name, original, folded, plan, result)
    watch = Watch(model, selection)
    floats = _float_weights(selection)
    read_instead = insert_qdq(model, selection, params, plan.weights, store_int4=config.store_int4)
    remove_unused_constants(model.graph)
    share_constants(model)
    few, loss, note = FewSamples(), None, ""
    if config.check:
        few, loss, note = _loss(model, calibrated, config, watch, read_instead, kept)
    seen = advice.Observed(
        config, config.preprocess, result, result.statistics.get(_input_name(model)), loss, few
    )
    adapt(model, TARGETS[config.deploy], floats)
    warnings = (*result.warnings, *advice.warnings(seen))
    details |= report.of_loss(loss) | {"warnings": list(warnings), "notes": [converted] if converted else []}
    operators = len(selection.units), len(selection.reasons)
    notes = tuple(filter(None, (converted, absent, note)))
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
    inputs = _inputs(model)
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


def _calibrate(
    model: ir.Model,
    model_bytes: bytes,
    config: QuantizeConfig,
    selection: Selection,
    samples: Iterable[Sample] | None,
    content_key: str | None,
) -> tuple[dict[ir.Value, ActivationParams], CalibrationResult]:
    if config.algo == WEIGHT_ONLY:
        return {}, CalibrationResult({}, pictures=0)
    if len(model.graph.inputs) == 1:
        io.picture_input(model)  # refuses what pictures cannot be fed to
    groups = scale_groups(selection)
    observed = dict.fromkeys(groups.observed)
    if config.is_use_cache_file:  # what a run with a shorter exclude list will ask the cache for
        everything = scale_groups(select(model, config, {}))
        observed |= dict.fromkeys(everything.observed)
    names = [str(value.name) for value in observed]
    result = calibrate(model_bytes, names, config, _inputs(model), samples=samples, content_key=content_key)
    ranges = {value: find_range(result.statistics[str(value.name)], config) for value in groups.observed}
    return activation_params(groups, ranges, config), result


def _weights(
    selection: Selection, params: dict[ir.Value, ActivationParams], options: QuantizeOptions
) -> dict[str, QuantizedWeights]:
    weights = {}
    for unit in selection.units:
        if unit.has_weights:
            known = params.get(unit.inputs[0])
            weights[str(unit.node.name)] = quantize_weights(
                unit.node, None if known is None else known.scale, options
            )
    return weights


def _float_weights(selection: Selection) -> dict[str, NDArray[Any]]:
    found = (
        (str(unit.node.name), constant_array(unit.node.inputs[1]))
        for unit in selection.units
        if unit.has_weights
    )
    return {name: array for name, array in found if array is not None}


def _refine(
    plan: QuantizationPlan, config: QuantizeConfig, samples: Iterable[Sample] | None
) -> QuantizationPlan:
    if config.algo == WEIGHT_ONLY:
        return plan
    adaround = config.round_type == "adaround"
    for wanted, module in (
        (adaround, "adaround"),
        (
            config.bias_correction and not adaround,
            "bias_correction",
        ),  # adaround corrects the biases on its way
    ):
        if wanted:  # imported late: most runs need neither
            refine = import_module(f"ptq_core.quantize.{module}").refine
            again = refinement_samples(config, _inputs(plan.model), samples)
            plan = plan.with_weights(refine(plan, config, again))
    return plan


def _needs_wide_opset(options: QuantizeOptions) -> bool:
    activation_bits = 8 if options.algo == WEIGHT_ONLY else options.activation_bits
    return max(options.weight_bits, activation_bits) > 8 or (
        options.store_int4 and options.weight_bits <= INT4_BITS
    )


def _inputs(model: ir.Model) -> dict[str, tuple[int, ...]]:
    """Input name → its shape, with a batch of 1 where it is open."""
    return {str(value.name): io.static_shape(value) for value in model.graph.inputs}


def _input_name(model: ir.Model) -> str:
    return str(model.graph.inputs[0].name) if model.graph.inputs else ""


_OF_INTEGERS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}
)


def _check_is_float(model: ir.Model) -> None:
    for node in model.graph:
        if node.op_type in _OF_INTEGERS or node.op_type.startswith("QLinear"):
            raise InputError(
                f"the model is quantized already: node `{node.name}` is a {node.op_type}",
                rule="`ptq quantize` takes an FP32 model",
                fix="give it the float model",
            )


def _check_not_empty(selection: Selection) -> None:
    if not selection.units:
        reasons = sorted(set(selection.reasons.values()))
        raise InputError(
            "no operator of the model would be quantized",
            rule="; ".join(reasons[:5]) or "the model has no operator",
            fix="widen quantizable_op_type, set is_full_quantize, or correct skip_quant",
        )
