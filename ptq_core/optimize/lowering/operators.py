"""The ONNX operators that lower to the flat format, one row each: for the walk, messages, listings and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MUL, SUB
from ptq_core.flatfile.operators.compare import Comparison
from ptq_core.flatfile.operators.reduce import ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.optimize.lowering import (
    activations,
    arithmetic,
    attention,
    compositions,
    convolution,
    einsum,
    logic,
    lookups,
    matrices,
    movement,
    normalization,
    norms,
    padding,
    pooling,
    quantization,
    rearrangement,
    recurrence,
    reductions,
    resize,
    sampling,
    selection,
    transposed_convolution,
)
from ptq_core.optimize.lowering.context import TYPE_NAMES, Lowering


@dataclass(frozen=True)
class Row:
    """What of an ONNX operator is supported. All run in float32."""

    lower: Callable[[Lowering, ir.Node], None]
    """Adds the operators of the flat file that stand for the node; raises Unsupported with the reason."""
    int8: str
    """Between DequantizeLinear and QuantizeLinear: `yes` if integers are computed; `table` if the node (or a chain of such nodes
    on one tensor) becomes a table of 256 values; empty if it runs in float32."""
    limits: str
    """In words; empty for none."""
    keeps_quantization: bool = False
    """Constants go through it as they are, not computed, so that they keep their quantization."""


TYPES = f"between {TYPE_NAMES}"
COMPARED = f"of {TYPE_NAMES}; NumPy broadcasting"

OPERATORS: dict[str, Row] = {
    "Abs": Row(activations.lower_unary(UnaryFunction.ABS), "table", ""),
    "Acos": Row(compositions.lower_acos, "table", ""),
    "Acosh": Row(compositions.lower_acosh, "table", ""),
    "Add": Row(arithmetic.lower_arithmetic(ADD), "yes", "NumPy broadcasting"),
    "And": Row(logic.lower_and, "", "NumPy broadcasting"),
    "ArgMax": Row(reductions.lower_arg_max, "yes", ""),
    "ArgMin": Row(reductions.lower_arg_min, "", ""),
    "Asin": Row(compositions.lower_asin, "table", ""),
    "Asinh": Row(activations.lower_unary(UnaryFunction.ASINH), "table", ""),
    "Atan": Row(activations.lower_unary(UnaryFunction.ATAN), "table", ""),
    "Atanh": Row(compositions.lower_atanh, "table", ""),
    "Attention": Row(
        attention.lower_attention,
        "",
        "as many keys as there are; no query without a key; constant bool masks",
    ),
    "AveragePool": Row(pooling.lower_average_pool, "yes", ""),
    "BatchNormalization": Row(
        normalization.lower_batch_normalization, "folded", "inference; int8: constant parameters"
    ),
    "Cast": Row(logic.lower_cast, "", TYPES),
    "Ceil": Row(activations.lower_unary(UnaryFunction.CEIL), "table", ""),
    "Celu": Row(activations.lower_celu, "table", "alpha above 0"),
    "CenterCropPad": Row(rearrangement.lower_rearrangement, "yes", "constant shape"),
    "Clip": Row(activations.lower_clip, "yes", "int8: constant bounds"),
    "Compress": Row(rearrangement.lower_rearrangement, "", "constant condition"),
    "Concat": Row(movement.lower_concat, "yes", "any axis"),
    "Conv": Row(convolution.lower_conv, "yes", "constant weights"),
    "ConvTranspose": Row(transposed_convolution.lower_conv_transpose, "yes", "constant weights"),
    "Cos": Row(activations.lower_unary(UnaryFunction.COS), "table", ""),
    "Cosh": Row(compositions.lower_cosh, "table", ""),
    "CumSum": Row(reductions.lower_cum_sum, "", "constant axis"),
    "DepthToSpace": Row(movement.lower_depth_to_space, "yes", ""),
    "DequantizeLinear": Row(
        quantization.lower_dequantize,
        "yes",
        "int8, uint8 (bias: int32), per tensor or (constants) per channel",
        keeps_quantization=True,
    ),
    "Div": Row(arithmetic.lower_arithmetic(DIV), "table", "NumPy broadcasting"),
    "Dropout": Row(movement.lower_dropout, "yes", "inference"),
    "Einsum": Row(einsum.lower_einsum, "", "no dimension of an operand named twice"),
    "Elu": Row(activations.lower_unary(UnaryFunction.ELU, 1.0), "table", ""),
    "Equal": Row(logic.lower_comparison(Comparison.EQUAL), "", COMPARED),
    "Erf": Row(activations.lower_unary(UnaryFunction.ERF), "table", ""),
    "Exp": Row(activations.lower_unary(UnaryFunction.EXP), "table", ""),
    "Expand": Row(rearrangement.lower_expand, "yes", "constant shape"),
    "EyeLike": Row(rearrangement.lower_eye_like, "constant", "two dimensions"),
    "Flatten": Row(movement.lower_flatten, "yes", "any axis"),
    "Floor": Row(activations.lower_unary(UnaryFunction.FLOOR), "table", ""),
    "GRU": Row(recurrence.lower_gru, "", "sequences of one length, constant weights, no clip"),
    "Gather": Row(lookups.by_places(selection.lower_gather, lookups.gather_computed), "yes", ""),
    "GatherElements": Row(
        lookups.by_places(rearrangement.lower_rearrangement, lookups.gather_elements_computed), "yes", ""
    ),
    "GatherND": Row(
        lookups.by_places(rearrangement.lower_rearrangement, lookups.gather_nd_computed), "yes", ""
    ),
    "Gelu": Row(activations.lower_gelu, "table", ""),
    "Gemm": Row(matrices.lower_gemm, "yes", ""),
    "GlobalAveragePool": Row(pooling.lower_global_average_pool, "yes", ""),
    "GlobalLpPool": Row(reductions.lower_global_lp_pool, "", ""),
    "GlobalMaxPool": Row(pooling.lower_global_max_pool, "yes", ""),
    "Greater": Row(logic.lower_comparison(Comparison.LESS, swapped=True), "", COMPARED),
    "GreaterOrEqual": Row(logic.lower_comparison(Comparison.LESS_OR_EQUAL, swapped=True), "", COMPARED),
    "GridSample": Row(sampling.lower_grid_sample, "", "one to three spatial dimensions"),
    "GroupNormalization": Row(normalization.lower_group_normalization, "", ""),
    "HardSigmoid": Row(activations.lower_unary(UnaryFunction.HARD_SIGMOID, 0.2, 0.5), "table", ""),
    "HardSwish": Row(activations.lower_unary(UnaryFunction.HARD_SWISH), "table", ""),
    "Hardmax": Row(compositions.lower_hardmax, "", "along one axis"),
    "Identity": Row(movement.lower_identity, "yes", "", keeps_quantization=True),
    "InstanceNormalization": Row(normalization.lower_instance_normalization, "", "three dimensions or more"),
    "IsInf": Row(logic.lower_is_inf, "", ""),
    "IsNaN": Row(logic.lower_is_nan, "", ""),
    "LRN": Row(normalization.lower_local_response_normalization, "", ""),
    "LSTM": Row(recurrence.lower_lstm, "", "sequences of one length, constant weights, no clip"),
    "LayerNormalization": Row(normalization.lower_layer_normalization, "", ""),
    "LeakyRelu": Row(activations.lower_unary(UnaryFunction.LEAKY_RELU, 0.01), "table", ""),
    "Less": Row(logic.lower_comparison(Comparison.LESS), "", COMPARED),
    "LessOrEqual": Row(logic.lower_comparison(Comparison.LESS_OR_EQUAL), "", COMPARED),
    "Log": Row(activations.lower_unary(UnaryFunction.LOG), "table", ""),
    "LogSoftmax": Row(activations.lower_log_softmax, "", "along one axis"),
    "LpNormalization": Row(reductions.lower_lp_normalization, "", ""),
    "LpPool": Row(pooling.lower_lp_pool, "", ""),
    "MatMul": Row(matrices.lower_mat_mul, "yes", "NumPy broadcasting"),
    "Max": Row(arithmetic.lower_arithmetic(MAXIMUM), "table", "NumPy broadcasting"),
    "MaxPool": Row(pooling.lower_max_pool, "yes", ""),
    "MaxUnpool": Row(pooling.lower_max_unpool, "", "constant output shape"),
    "Mean": Row(arithmetic.lower_mean, "table", "NumPy broadcasting"),
    "MeanVarianceNormalization": Row(normalization.lower_mean_variance_normalization, "", ""),
    "Min": Row(arithmetic.lower_arithmetic(MINIMUM), "table", "NumPy broadcasting"),
    "Mish": Row(activations.lower_unary(UnaryFunction.MISH), "table", ""),
    "Mod": Row(arithmetic.lower_mod, "", "float32 with fmod, int32, int64, uint8"),
    "Mul": Row(arithmetic.lower_arithmetic(MUL), "yes", "NumPy broadcasting"),
    "Neg": Row(activations.lower_unary(UnaryFunction.NEG), "table", ""),
    "Not": Row(logic.lower_not, "", ""),
    "OneHot": Row(lookups.lower_one_hot, "", "constant depth and values"),
    "Or": Row(logic.lower_or, "", "NumPy broadcasting"),
    "PRelu": Row(arithmetic.lower_prelu, "table for one slope", ""),
    "Pad": Row(padding.lower_pad, "yes", "constant pads"),
    "Pow": Row(arithmetic.lower_pow, "table", "NumPy broadcasting"),
    "QuantizeLinear": Row(
        quantization.lower_quantize, "yes", "int8, uint8, one scale per tensor", keeps_quantization=True
    ),
    "RMSNormalization": Row(normalization.lower_rms_normalization, "", ""),
    "RNN": Row(recurrence.lower_rnn, "", "sequences of one length, constant weights, no clip"),
    "Reciprocal": Row(activations.lower_unary(UnaryFunction.RECIPROCAL), "table", ""),
    "ReduceL1": Row(reductions.lower_reduce(ReduceFunction.SUM, before=norms.sizes), "", "any axes"),
    "ReduceL2": Row(reductions.lower_reduce(ReduceFunction.L2), "", "any axes"),
    "ReduceLogSum": Row(reductions.lower_reduce(ReduceFunction.SUM, after=UnaryFunction.LOG), "", "any axes"),
    "ReduceLogSumExp": Row(reductions.lower_log_sum_exp, "", "any axes"),
    "ReduceMax": Row(reductions.lower_reduce(ReduceFunction.MAX), "yes", "any axes"),
    "ReduceMean": Row(reductions.lower_reduce(ReduceFunction.MEAN), "yes", "any axes"),
    "ReduceMin": Row(reductions.lower_reduce(ReduceFunction.MIN), "yes", "any axes"),
    "ReduceProd": Row(reductions.lower_reduce(ReduceFunction.PROD), "", "any axes"),
    "ReduceSum": Row(reductions.lower_reduce(ReduceFunction.SUM), "", "any axes"),
    "ReduceSumSquare": Row(reductions.lower_reduce(ReduceFunction.SUM, before=norms.squares), "", "any axes"),
    "Relu": Row(activations.lower_relu, "yes", ""),
    "Reshape": Row(movement.lower_reshape, "yes", "constant shape"),
    "Resize": Row(
        resize.lower_resize,
        "yes",
        "constant scales or sizes; int8: nearest, or linear over two neighbouring dimensions",
    ),
    "ReverseSequence": Row(rearrangement.lower_rearrangement, "yes", "constant lengths"),
    "Round": Row(activations.lower_unary(UnaryFunction.ROUND), "table", ""),
    "ScatterElements": Row(
        lookups.by_places(rearrangement.lower_rearrangement, lookups.scatter_elements_computed), "", ""
    ),
    "ScatterND": Row(
        lookups.by_places(rearrangement.lower_rearrangement, lookups.scatter_nd_computed), "", ""
    ),
    "Selu": Row(activations.lower_selu, "table", ""),
    "Shape": Row(movement.lower_shape, "constant", "", keeps_quantization=True),
    "Shrink": Row(compositions.lower_shrink, "table", "lambd of at least 0"),
    "Sigmoid": Row(activations.lower_unary(UnaryFunction.SIGMOID), "table", ""),
    "Sign": Row(activations.lower_unary(UnaryFunction.SIGN), "table", ""),
    "Sin": Row(activations.lower_unary(UnaryFunction.SIN), "table", ""),
    "Sinh": Row(compositions.lower_sinh, "table", ""),
    "Size": Row(rearrangement.lower_size, "constant", ""),
    "Slice": Row(selection.lower_slice, "yes", "constant bounds"),
    "Softmax": Row(activations.lower_softmax, "", "along one axis"),
    "Softplus": Row(activations.lower_unary(UnaryFunction.SOFTPLUS), "table", ""),
    "Softsign": Row(activations.lower_softsign, "table", ""),
    "SpaceToDepth": Row(movement.lower_space_to_depth, "yes", ""),
    "Split": Row(selection.lower_split, "yes", "constant sizes"),
    "Sqrt": Row(activations.lower_unary(UnaryFunction.SQRT), "table", ""),
    "Squeeze": Row(movement.lower_squeeze, "yes", "constant axes"),
    "Sub": Row(arithmetic.lower_arithmetic(SUB), "yes", "NumPy broadcasting"),
    "Sum": Row(arithmetic.lower_arithmetic(ADD), "yes, for two", "NumPy broadcasting"),
    "Swish": Row(activations.lower_swish, "table", ""),
    "Tan": Row(compositions.lower_tan, "table", ""),
    "Tanh": Row(activations.lower_unary(UnaryFunction.TANH), "table", ""),
    "ThresholdedRelu": Row(compositions.lower_thresholded_relu, "table", ""),
    "Tile": Row(rearrangement.lower_tile, "yes", "constant repeats"),
    "TopK": Row(lookups.lower_top_k, "", "constant k"),
    "Transpose": Row(movement.lower_transpose, "yes", "any permutation", keeps_quantization=True),
    "Trilu": Row(rearrangement.lower_rearrangement, "yes", "constant diagonal"),
    "Unsqueeze": Row(movement.lower_unsqueeze, "yes", "constant axes"),
    "Upsample": Row(resize.lower_upsample, "yes", "as Resize"),
    "Where": Row(logic.lower_where, "", COMPARED),
    "Xor": Row(logic.lower_comparison(Comparison.NOT_EQUAL), "", "NumPy broadcasting"),
}
"""Op type → its row, sorted. Any operator whose inputs are all constant is folded, listed here or not.
A test holds the node tests of the onnx package to every row."""

REASONS = {
    op_type: reason
    for op_types, reason in (
        (
            ("ConstantOfShape", "NonMaxSuppression", "NonZero", "Range", "StringSplit", "Unique"),
            "how much it gives depends on the values, but a tensor of a flat file has one size;"
            " cut it off and run it behind the model",
        ),
        (("If",), "its condition is computed while the model runs; a known one is folded"),
        (("Loop", "Scan"), "a flat file has no loops; export the model with its steps written out"),
        (
            (
                "Bernoulli",
                "Multinomial",
                "RandomNormal",
                "RandomNormalLike",
                "RandomUniform",
                "RandomUniformLike",
            ),
            "it draws random numbers: every run would differ",
        ),
    )
    for op_type in op_types
}
"""Op type → why it has no row."""
