"""Walk an ONNX graph in order and lower every node; what cannot be lowered is collected and reported at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from ptq_core.errors import InputError
from ptq_core.flatfile.layout import MAX_ELEMENTS
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MUL, SUB
from ptq_core.flatfile.operators.reduce import ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.io import static_shape
from ptq_core.optimize.lowering import (
    activations,
    arithmetic,
    matrices,
    movement,
    normalization,
    quantization,
    reductions,
    resize,
    selection,
    transposed_convolution,
    windows,
)
from ptq_core.optimize.lowering.context import Activation, Constant, Lowering, Unsupported
from ptq_core.optimize.lowering.folding import fold, is_static
from ptq_core.optimize.rewrite import op_label
from ptq_core.reports import PassReport

Lowerer = Callable[[Lowering, ir.Node], None]

LOWERERS: dict[str, Lowerer] = {
    "Abs": activations.lower_unary(UnaryFunction.ABS),
    "Add": arithmetic.lower_arithmetic(ADD),
    "ArgMax": reductions.lower_arg_max,
    "AveragePool": windows.lower_average_pool,
    "BatchNormalization": normalization.lower_batch_normalization,
    "Cast": movement.lower_cast,
    "Ceil": activations.lower_unary(UnaryFunction.CEIL),
    "Clip": activations.lower_clip,
    "Concat": movement.lower_concat,
    "Conv": windows.lower_conv,
    "ConvTranspose": transposed_convolution.lower_conv_transpose,
    "DepthToSpace": movement.lower_depth_to_space,
    "DequantizeLinear": quantization.lower_dequantize,
    "Div": arithmetic.lower_arithmetic(DIV),
    "Dropout": movement.lower_dropout,
    "Elu": activations.lower_unary(UnaryFunction.ELU, 1.0),
    "Erf": activations.lower_unary(UnaryFunction.ERF),
    "Exp": activations.lower_unary(UnaryFunction.EXP),
    "Flatten": movement.lower_flatten,
    "Floor": activations.lower_unary(UnaryFunction.FLOOR),
    "Gather": selection.lower_gather,
    "Gelu": activations.lower_gelu,
    "Gemm": matrices.lower_gemm,
    "GlobalAveragePool": windows.lower_global_average_pool,
    "GlobalMaxPool": windows.lower_global_max_pool,
    "HardSigmoid": activations.lower_unary(UnaryFunction.HARD_SIGMOID, 0.2, 0.5),
    "HardSwish": activations.lower_unary(UnaryFunction.HARD_SWISH),
    "Identity": movement.lower_identity,
    "InstanceNormalization": normalization.lower_instance_normalization,
    "LayerNormalization": normalization.lower_layer_normalization,
    "LeakyRelu": activations.lower_unary(UnaryFunction.LEAKY_RELU, 0.01),
    "Log": activations.lower_unary(UnaryFunction.LOG),
    "LogSoftmax": activations.lower_log_softmax,
    "MatMul": matrices.lower_mat_mul,
    "Max": arithmetic.lower_arithmetic(MAXIMUM),
    "MaxPool": windows.lower_max_pool,
    "Mean": arithmetic.lower_mean,
    "Min": arithmetic.lower_arithmetic(MINIMUM),
    "Mish": activations.lower_unary(UnaryFunction.MISH),
    "Mul": arithmetic.lower_arithmetic(MUL),
    "Neg": activations.lower_unary(UnaryFunction.NEG),
    "PRelu": arithmetic.lower_prelu,
    "Pad": movement.lower_pad,
    "Pow": arithmetic.lower_pow,
    "QuantizeLinear": quantization.lower_quantize,
    "Reciprocal": activations.lower_unary(UnaryFunction.RECIPROCAL),
    "ReduceL2": reductions.lower_reduce(ReduceFunction.L2),
    "ReduceMax": reductions.lower_reduce(ReduceFunction.MAX),
    "ReduceMean": reductions.lower_reduce(ReduceFunction.MEAN),
    "ReduceMin": reductions.lower_reduce(ReduceFunction.MIN),
    "ReduceProd": reductions.lower_reduce(ReduceFunction.PROD),
    "ReduceSum": reductions.lower_reduce(ReduceFunction.SUM),
    "Relu": activations.lower_relu,
    "Reshape": movement.lower_reshape,
    "Resize": resize.lower_resize,
    "Round": activations.lower_unary(UnaryFunction.ROUND),
    "Shape": movement.lower_shape,
    "Sigmoid": activations.lower_unary(UnaryFunction.SIGMOID),
    "Slice": selection.lower_slice,
    "Softmax": activations.lower_softmax,
    "Softplus": activations.lower_unary(UnaryFunction.SOFTPLUS),
    "SpaceToDepth": movement.lower_space_to_depth,
    "Split": selection.lower_split,
    "Sqrt": activations.lower_unary(UnaryFunction.SQRT),
    "Squeeze": movement.lower_squeeze,
    "Sub": arithmetic.lower_arithmetic(SUB),
    "Sum": arithmetic.lower_arithmetic(ADD),
    "Swish": activations.lower_swish,
    "Tanh": activations.lower_unary(UnaryFunction.TANH),
    "Transpose": movement.lower_transpose,
    "Unsqueeze": movement.lower_unsqueeze,
    "Upsample": resize.lower_upsample,
}

# Constants go through these as they are, so that they keep their quantization.
_KEEP_QUANTIZATION = frozenset({"DequantizeLinear", "QuantizeLinear", "Identity", "Transpose", "Shape"})


OTHER_WIDTHS = (ir.DataType.INT16, ir.DataType.UINT16, ir.DataType.INT4, ir.DataType.UINT4)
"""Quantized types that ONNX has and the phone runtime has not."""


def lower_graph(model: ir.Model) -> tuple[Program, tuple[PassReport, ...]]:
    """Lower every node of ``model`` one by one; activations are NHWC, and in the model's layout at the edges.

    A node of constants is computed now, one that changes nothing becomes another name: the two reports before that of the rest.

    Raises InputError for open dimensions, and one InputError that lists all nodes that cannot be lowered.
    """
    _check_eight_bit(model)
    graph = model.graph
    context = Lowering(graph.opset_imports.get("", 17))
    for name, value in graph.initializers.items():
        if value.const_value is None:
            raise InputError(
                f"initializer `{name}` has no data",
                rule="weights lie in the model or beside it",
                fix="copy the external data next to the model",
            )
        context.bind(value, Constant(value.const_value.numpy()))
    for value in graph.inputs:
        if str(value.name) not in graph.initializers:
            context.program.inputs.append(_input(context, value))
    problems = []
    changes: dict[str, list[str]] = {"fold_constants": [], "remove_identity": [], "lower": []}
    for node in graph:
        count = len(context.program.ops)
        try:
            _lower_node(context, node)
        except Unsupported as reason:
            problems.append((node, str(reason)))
            _stand_in(context, node)
        kind, words = _change(context, node, context.program.ops[count:])
        changes[kind].append(words)
    if problems:
        raise _refusal(problems)
    for value in graph.outputs:
        context.program.outputs.append(_output(context, value))
    return context.program, _reports(changes, len(graph), len(context.program.ops))


def _change(context: Lowering, node: ir.Node, made: list[Op]) -> tuple[str, str]:
    """(report, words) for ``node``, for which the operators ``made`` stand."""
    label = f"{node.op_type} `{node.name}`"
    if made:
        return "lower", f"{label} ⇒ {' + '.join(op_label(op) for op in made)}"
    if isinstance(context.find(node.outputs[0]), Constant):
        return "fold_constants", f"{label} ⇒ a constant"
    return "remove_identity", f"{label} ⇒ nothing"


def _reports(changes: dict[str, list[str]], nodes: int, operators: int) -> tuple[PassReport, ...]:
    reports = []
    for name, words in changes.items():
        left = operators if name == "lower" else nodes - len(words)
        reports.append(PassReport(name, nodes, left, tuple(words)))
        nodes = left
    return tuple(reports)


def _lower_node(context: Lowering, node: ir.Node) -> None:
    if node.op_type not in _KEEP_QUANTIZATION and is_static(context, node):
        fold(context, node)
        return
    lowerer = LOWERERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if lowerer is None:
        raise Unsupported("")
    if any(v is not None and context.find(v) is None for v in node.inputs):
        return  # it depends on a node of unknown shape that is listed already
    lowerer(context, node)


def _stand_in(context: Lowering, node: ir.Node) -> None:
    """Let the walk go on behind a refused node, to find all of them: its outputs become tensors if their shape is known."""
    for value in node.outputs:
        dims = [d if isinstance(d, int) else 1 for d in value.shape] if value.shape is not None else []
        fits = dims and min(dims) > 0 and len(dims) <= 8 and math.prod(dims) <= MAX_ELEMENTS
        if context.find(value) is None and fits:
            context.bind(value, Activation(context.arena_tensor(str(value.name), tuple(dims))))


def _input(context: Lowering, value: ir.Value) -> int:
    if value.dtype != ir.DataType.FLOAT or not isinstance(value.type, ir.TensorType):
        raise InputError(
            f"input `{value.name}` is {value.dtype if isinstance(value.type, ir.TensorType) else value.type}",
            rule="inputs of a flat file are float32",
            fix="export the model with float32 inputs",
        )
    dims = static_shape(value)
    if len(dims) > 8 or math.prod(dims) >= 2**31:
        raise InputError(
            f"input `{value.name}` has the shape {list(dims)}",
            rule="a tensor has at most 8 dimensions and 2^31 elements",
            fix="set a smaller input_shape",
        )
    index = context.arena_tensor(str(value.name), dims, DType.F32)
    context.bind(value, Activation(index))
    return index


def _output(context: Lowering, value: ir.Value) -> int:
    entry = context.find(value)
    if isinstance(entry, Activation):
        return context.output(value, entry)
    raise InputError(
        f"output `{value.name}` does not depend on the inputs",
        rule="outputs of a flat file are computed from its inputs",
        fix="remove the output from the model",
    )


def _check_eight_bit(model: ir.Model) -> None:
    """Refuse 16-bit and 4-bit QDQ models with one sentence instead of a list of their nodes."""
    types = {
        str(node.name): value.dtype.name
        for node in model.graph
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        for value in (*node.inputs[:1], *node.outputs)
        if value is not None and value.dtype in OTHER_WIDTHS
    }
    if types:
        first = next(iter(types))
        raise InputError(
            f"{len(types)} nodes quantize to {', '.join(sorted(set(types.values())))} (first: {first})",
            rule="the phone runtime loads 8-bit models only",
            fix="quantize with weight_bits and activation_bits of at most 8 and without store_int4, or run it in onnxruntime",
        )


def _refusal(problems: list[tuple[ir.Node, str]]) -> InputError:
    """One error for all refused nodes, grouped by op type and reason, in the order of their first node."""
    groups: dict[tuple[str, str], list[str]] = {}
    for node, reason in problems:
        domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
        groups.setdefault((f"{domain}{node.op_type}", reason), []).append(str(node.name))
    lines = [
        f"{op_type} ({len(names)}){f', {reason}' if reason else ''}: {', '.join(names)}"
        for (op_type, reason), names in groups.items()
    ]
    count = len(problems)
    return InputError(
        f"{count} node{'s' if count > 1 else ''} cannot run on the phone runtime:",
        rule="every node that computes on the input is an operator that `ptq opt --print-supported-ops` lists, within its limits",
        fix="cut these nodes off the model, export it without them, or run it in onnxruntime",
        details=lines,
    )
