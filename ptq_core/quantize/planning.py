"""From a float model to the plan of its quantization: all that happens before the graph is rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

import onnx_ir as ir

from ptq_core.calibration import CalibrationResult, calibrate
from ptq_core.calibration.observers import Range, find_range
from ptq_core.calibration.samples import Sample
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.graph.float32 import conversion_note
from ptq_core.graph.input_shapes import static_shape
from ptq_core.graph.opsets import upgrade_opset
from ptq_core.graph.passes import simplify
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize.activations import ActivationParams, activation_params, scale_groups
from ptq_core.quantize.insertion import INT4_BITS
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.samples import refinement_samples
from ptq_core.quantize.selection import WEIGHT_ONLY, Selection, Unit, absent_types, select, skipped_nodes
from ptq_core.quantize.weights import QuantizedWeights, quantize_weights

WIDE_OPSET = 21
"""The first opset with INT4, and with int16 in QuantizeLinear and DequantizeLinear."""


@dataclass(frozen=True)
class Prepared:
    """A float model that is ready for calibration. ``calibrated`` is what runs there, and the float model of all comparisons.

    ``original`` lists (name, op type) of the nodes as the user gave them, ``folded`` those of them that went into others;
    ``skipped`` are those that the user wants in float, with the reason; ``converted`` and ``absent``
    are sentences about other float types and about op types, or "".
    """

    model: ir.Model
    calibrated: bytes
    original: list[tuple[str, str]]
    folded: dict[str, str]
    skipped: dict[str, str]
    converted: str
    absent: str
    selection: Selection

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Input name → its shape, with a batch of 1 where it is open."""
        return input_shapes(self.model)


def prepare(model: ir.Model, config: QuantizeConfig, samples: Iterable[Sample] | None) -> Prepared:
    """Simplify ``model``, as ``io.load_model`` gives it, equalize it if asked to, and select its operators; it is changed.

    Raises InputError for a model that is quantized already, and where nothing would be.
    """
    _check_is_float(model)
    converted = conversion_note(model)
    original = [(str(node.name), node.op_type) for node in model.graph]
    skipped = skipped_nodes(model, config)
    calibrated = None
    if needs_wide_opset(config):
        if not config.equalize:  # calibrate the same bytes as an 8-bit run, so that both share their cache
            narrow = ir.from_proto(ir.to_proto(model))
            simplify(narrow)
            calibrated = io.to_bytes(narrow)
        model = upgrade_opset(model, WIDE_OPSET)
    folded = simplify(model)
    absent = absent_types(model, config)
    if config.equalize:
        from ptq_core.quantize.equalization import equalize_layers

        weight_only = config.algo == WEIGHT_ONLY
        again = None if weight_only else refinement_samples(config, input_shapes(model), samples)
        equalize_layers(model, config, again)
    selection = select(model, config, skipped)
    _check_not_empty(selection)
    return Prepared(
        model, calibrated or io.to_bytes(model), original, folded, skipped, converted, absent, selection
    )


def observed_values(prepared: Prepared, config: QuantizeConfig) -> dict[ir.Value, None]:
    """The values whose statistics the plan needs, and with a cache those that a run with a shorter exclude list asks it for."""
    observed = dict.fromkeys(scale_groups(prepared.selection).observed)
    if config.is_use_cache_file:
        everything = scale_groups(select(prepared.model, config, {}))
        observed |= dict.fromkeys(everything.observed)
    return observed


def collect(
    prepared: Prepared,
    config: QuantizeConfig,
    observed: Iterable[ir.Value],
    samples: Iterable[Sample] | None,
    content_key: str | None,
) -> CalibrationResult:
    """Statistics of ``observed``, by name; none for weight_only. Raises InputError."""
    if config.algo == WEIGHT_ONLY:
        return CalibrationResult({}, pictures=0)
    if len(prepared.model.graph.inputs) == 1:
        io.picture_input(prepared.model)  # refuses what pictures cannot be fed to
    names = [str(value.name) for value in observed]
    return calibrate(
        prepared.calibrated, names, config, prepared.inputs, samples=samples, content_key=content_key
    )


class Ranges:
    """The ranges that the configured algorithm finds in ``statistics``, each searched for once, by value name."""

    def __init__(self, statistics: Mapping[str, TensorStatistics], config: QuantizeConfig) -> None:
        self._statistics, self._config = statistics, config
        self._found: dict[str, Range] = {}

    def of(self, name: str) -> Range:
        """Raises InputError if no value was seen, KeyError for a tensor without statistics."""
        if name not in self._found:
            self._found[name] = find_range(self._statistics[name], self._config)
        return self._found[name]


def make_plan(
    model: ir.Model,
    selection: Selection,
    ranges: Ranges,
    config: QuantizeConfig,
    *,
    like: QuantizationPlan | None = None,
) -> QuantizationPlan:
    """The plan of ``selection``, weights rounded to nearest, or as in ``like`` where that has them for the same input scale.

    Raises InputError for weights that are not finite.
    """
    params: dict[ir.Value, ActivationParams] = {}
    if config.algo != WEIGHT_ONLY:
        groups = scale_groups(selection)
        known = {value: ranges.of(str(value.name)) for value in groups.observed}
        params = activation_params(groups, known, config)
    weights = {
        str(unit.node.name): _weights(unit, params, config, like)
        for unit in selection.units
        if unit.has_weights
    }
    return QuantizationPlan(model, selection, params, weights, _input_name(model))


def refine(
    plan: QuantizationPlan, config: QuantizeConfig, samples: Iterable[Sample] | None
) -> QuantizationPlan:
    """``plan`` after the refinements that the configuration asks for, which run the model on the samples again."""
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
            function = import_module(f"ptq_core.quantize.{module}").refine
            again = refinement_samples(config, input_shapes(plan.model), samples)
            plan = plan.with_weights(function(plan, config, again))
    return plan


def needs_wide_opset(options: QuantizeOptions) -> bool:
    """Whether the integers need types that ONNX has since WIDE_OPSET only."""
    activation_bits = 8 if options.algo == WEIGHT_ONLY else options.activation_bits
    return max(options.weight_bits, activation_bits) > 8 or (
        options.store_int4 and options.weight_bits <= INT4_BITS
    )


def input_shapes(model: ir.Model) -> dict[str, tuple[int, ...]]:
    """Input name → its shape, with a batch of 1 where it is open."""
    return {str(value.name): static_shape(value) for value in model.graph.inputs}


def _weights(
    unit: Unit,
    params: Mapping[ir.Value, ActivationParams],
    options: QuantizeOptions,
    like: QuantizationPlan | None,
) -> QuantizedWeights:
    name, read = str(unit.node.name), unit.inputs[0]
    scale = params[read].scale if read in params else None
    if like is not None and name in like.weights:
        known = like.params[read].scale if read in like.params else None
        if known == scale:
            return like.weights[name]
    return quantize_weights(unit.node, scale, options)


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
