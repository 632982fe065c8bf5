"""`ptq quantize`: from a configuration to model.onnx and quantization.json."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ptq_core.calibration import CalibrationResult, calibrate
from ptq_core.calibration.observers import OBSERVERS
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.files import atomic_folder
from ptq_core.graph import io
from ptq_core.graph.constants import constant_array
from ptq_core.graph.passes import remove_unused_constants, simplify
from ptq_core.numerics import qparams
from ptq_core.quantize import report
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.insertion import insert_qdq, int8_values, shared_scales
from ptq_core.quantize.selection import Selection, check_wanted_types, select, skipped_nodes
from ptq_core.quantize.weights import QuantizedWeights, quantize_weights
from ptq_core.reports import QuantizeReport

MODEL_NAME = "model.onnx"
REPORT_NAME = "quantization.json"


def quantize(config: QuantizeConfig) -> QuantizeReport:
    """Quantize the model that ``config`` names and write `save_model_path/`.

    Raises InputError for bad input and DeviceError for a full disk; then nothing is written.
    """
    started = time.monotonic()
    source = io.find_model(config.model_dir, config.model_filename)
    model = io.load_model(source, params_filename=config.params_filename, input_shape=config.input_shape)
    picture = io.picture_input(model)
    input_shape = io.static_shape(picture)
    _check_is_float(model)
    original = [(str(node.name), node.op_type) for node in model.graph]
    skipped = skipped_nodes([name for name, _ in original], config)
    folded = simplify(model)
    check_wanted_types(model, config)
    selection = select(model, config, skipped)
    _check_not_empty(selection)

    values = int8_values(selection)
    shared = shared_scales(selection)
    observed = [str(value.name) for value in values if value not in shared]
    result = calibrate(io.to_bytes(model), observed, config, str(picture.name), input_shape)
    params = _activation_params(values, shared, result, config)
    weights = {
        str(unit.node.name): _weights(unit.node, params[unit.inputs[0]].scale, config)
        for unit in selection.units
        if unit.has_weights
    }
    details = report.build(config, source, original, folded, selection, params, weights, result)
    insert_qdq(model, selection, params, weights)
    remove_unused_constants(model.graph)
    with atomic_folder(config.save_model_path) as folder:
        io.save_model(model, folder / MODEL_NAME)
        report.write(details, folder / REPORT_NAME)
    return QuantizeReport(
        model_path=config.save_model_path / MODEL_NAME,
        report_path=config.save_model_path / REPORT_NAME,
        size_fp32_bytes=io.size_bytes(source),
        size_int8_bytes=(config.save_model_path / MODEL_NAME).stat().st_size,
        quantized_ops=len(selection.units),
        float_ops=len(selection.reasons),
        pictures=result.pictures,
        warnings=tuple(result.warnings),
        seconds=time.monotonic() - started,
    )


def _check_is_float(model: ir.Model) -> None:
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
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


def _activation_params(
    values: list[ir.Value],
    shared: Mapping[ir.Value, ir.Value],
    result: CalibrationResult,
    config: QuantizeConfig,
) -> dict[ir.Value, ActivationParams]:
    bits, observer = config.activation_bits, OBSERVERS[config.algo]
    params: dict[ir.Value, ActivationParams] = {}
    for value in values:
        if value not in shared:
            threshold = observer(result.statistics[str(value.name)], bits)
            scale, top = qparams.symmetric_scale(threshold, bits), qparams.levels(bits)
            params[value] = ActivationParams(-threshold, threshold, scale, 0, bits, -top - 1, top)
    return {value: params[shared.get(value, value)] for value in values}


def _weights(node: ir.Node, input_scale: np.float32, config: QuantizeConfig) -> QuantizedWeights:
    for value in node.inputs[1:]:
        array = constant_array(value)
        if array is not None and not np.isfinite(array).all():
            raise InputError(
                f"the weights `{value.name if value else ''}` of node `{node.name}` hold NaN or infinity",
                rule="weights are finite numbers",
                fix="check the training or the export",
            )
    return quantize_weights(node, input_scale, config)
