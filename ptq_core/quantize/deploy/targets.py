"""What each runtime wants of a QDQ model, and the model rewritten so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.passes import remove_unused_constants
from ptq_core.graph.passes.share_constants import share_constants
from ptq_core.quantize.deploy.clips import clips_before_quantize, clips_on_integers
from ptq_core.quantize.deploy.dedicated_pairs import dedicate_pairs
from ptq_core.quantize.deploy.float_bias import make_biases_float
from ptq_core.quantize.deploy.int16_pairs import limit_pairs
from ptq_core.quantize.deploy.unsigned import make_activations_unsigned


@dataclass(frozen=True)
class Target:
    """``rewrites`` in their order change no number; what follows does."""

    rewrites: tuple[Callable[[ir.Graph], None], ...] = ()
    pairs_fit_int16: bool = False
    """Weights that could saturate where two products are added in int16 get larger scales."""
    symmetric: bool = False
    """All zero points are 0."""


TARGETS = {
    "ptq": Target(),
    "onnxruntime-x86": Target((clips_on_integers, make_activations_unsigned), pairs_fit_int16=True),
    "onnxruntime-arm": Target((clips_on_integers,)),
    "openvino": Target((clips_before_quantize, make_activations_unsigned), pairs_fit_int16=True),
    "tensorrt": Target((clips_before_quantize, make_biases_float, dedicate_pairs), symmetric=True),
}
"""Value of `deploy` → what it means. onnxruntime runs a convolution in integers where QuantizeLinear follows it at once,
OpenVINO and TensorRT take the activation into it. onnxruntime and OpenVINO are fastest on x86 with uint8 activations;
both add two products in int16 on CPUs without VNNI. TensorRT reads no int32, takes zero points of 0
only, and wants a pair for each reader."""


def adapt(model: ir.Model, target: Target, floats: Mapping[str, NDArray[Any]]) -> None:
    """Rewrite the QDQ ``model`` in place for ``target``; ``floats`` has the weights of each node before quantization."""
    for rewrite in target.rewrites:
        rewrite(model.graph)
    if target.pairs_fit_int16:
        limit_pairs(model.graph, floats)
    if target.rewrites:
        remove_unused_constants(model.graph)
        share_constants(model)
