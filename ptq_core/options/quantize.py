"""What quantization can be told: which operators, in how many bits, and what is done to lose less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptq_core.errors import InputError
from ptq_core.options.calibration import RangeOptions
from ptq_core.options.keys import bad_value, key

DEFAULT_SKIP_SCOPE = "skip_quant"
"""The scope that the ancestors always honour; used when `skip_quant` is not given."""

DEFAULT_OP_TYPES = ("conv2d", "depthwise_conv2d", "mul")


@dataclass(frozen=True)
class QuantizeOptions(RangeOptions):
    """What becomes of a model, given the ranges of its activations."""

    weight_bits: int = key("bits of the weights, 1-16", 8)
    weight_quantize_type: Literal["channel_wise_abs_max", "abs_max", "channel_wise_mse", "mse"] = key(
        "one scale per output channel or one per tensor, from the maximum or of least squared error",
        "channel_wise_abs_max",
    )
    store_int4: bool = key("store weights of at most 4 bits as ONNX INT4", False)
    quantizable_op_type: tuple[str, ...] = key("op types to quantize, Paddle or ONNX names", DEFAULT_OP_TYPES)
    is_full_quantize: bool = key(
        "quantize every op type that can be, where an int8 operator reads the result", False
    )
    skip_quant: tuple[str, ...] | None = key(
        "name scopes to leave in float, matched on whole path segments [default: skip_quant, if there is one]",
        None,
    )
    skip_nodes: tuple[str, ...] = key("nodes to leave in float, by name; * stands for anything", ())
    skip_tensor_list: tuple[str, ...] = key("operators that read these tensors stay in float", ())
    bias_correction: bool = key("correct the biases for the mean error that quantization adds", False)
    equalize: bool = key("cross-layer equalization of the weights before quantization", False)
    round_type: Literal["round", "adaround"] = key("how weights are rounded", "round")
    deploy: Literal["ptq", "onnxruntime-x86", "onnxruntime-arm", "openvino", "tensorrt"] = key(
        "the runtime whose dialect of QDQ is written; ptq is right for ptq opt", "ptq"
    )
    check: bool = key(
        "measure what is lost, and run the written model once, in onnxruntime and in our runtime", True
    )

    def __post_init__(self) -> None:
        if not 1 <= self.weight_bits <= 16:
            raise bad_value("weight_bits", self.weight_bits, "a whole number from 1 to 16")
        if self.algo == "weight_only" and (self.bias_correction or self.round_type == "adaround"):
            raise InputError(
                "`algo` is weight_only, together with `bias_correction` or `round_type: adaround`",
                rule="these measure activations on pictures, which weight_only does without",
                fix="leave them out, or choose another algo",
            )
        if self.round_type == "adaround" and self.weight_bits == 1:
            raise InputError(
                "`round_type` is adaround, but `weight_bits` is 1",
                rule="1-bit weights are signs: there is nothing to round up or down",
                fix="use round_type: round",
            )
        if self.store_int4 and self.weight_bits > 4:
            raise InputError(
                f"`store_int4` is true, but `weight_bits` is {self.weight_bits}",
                rule="INT4 holds at most 4 bits",
                fix="set weight_bits to 4 or less, or leave store_int4 out",
            )
        if self.deploy == "tensorrt" and not self.activation_symmetric:
            raise InputError(
                "`deploy` is tensorrt, but `activation_symmetric` is false",
                rule="TensorRT takes zero points of 0 only",
                fix="leave activation_symmetric out",
            )
        if (
            self.deploy != "ptq"
            and self.algo != "weight_only"
            and max(self.weight_bits, self.activation_bits) > 8
        ):
            raise InputError(
                f"`deploy` is {self.deploy}, but weights or activations have more than 8 bits",
                rule="it computes in 8 bits",
                fix="leave weight_bits and activation_bits out, or deploy",
            )
        if not self.quantizable_op_type and not self.is_full_quantize:
            raise bad_value("quantizable_op_type", [], "at least one op type, or is_full_quantize: true")
        super().__post_init__()
