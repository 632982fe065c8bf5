"""Walk an ONNX graph in order and lower every node; what cannot be lowered is collected and reported at once."""

from __future__ import annotations

import math

import onnx_ir as ir

from ptq_core.errors import InputError
from ptq_core.flatfile.layout import MAX_ELEMENTS
from ptq_core.flatfile.program import Op, Program
from ptq_core.graph.input_shapes import static_shape
from ptq_core.optimize.lowering.context import (
    DTYPES,
    NOT_DEQUANTIZED,
    TYPE_NAMES,
    Activation,
    Constant,
    Lowering,
    Unsupported,
)
from ptq_core.optimize.lowering.folding import fold, is_static
from ptq_core.optimize.lowering.operators import OPERATORS, REASONS
from ptq_core.optimize.rewrite import op_label
from ptq_core.reports import PassReport


def lower_graph(model: ir.Model) -> tuple[Program, tuple[PassReport, ...]]:
    """Lower every node of ``model`` one by one; activations are NHWC, and in the model's layout at the edges.

    A node of constants is computed now, one that changes nothing becomes another name: the two reports before that of the rest.

    Raises InputError for open dimensions, and one InputError that lists all nodes that cannot be lowered.
    """
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
    problems, lost = [], set[ir.Value]()
    changes: dict[str, list[str]] = {"fold_constants": [], "remove_identity": [], "lower": []}
    for node in graph:
        count = len(context.program.ops)
        try:
            known = _lower_node(context, node)
        except Unsupported as reason:
            problems.append((node, str(reason)))
            known = False
        if not known:
            _stand_in(context, node, lost)
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


def _lower_node(context: Lowering, node: ir.Node) -> bool:
    """False if ``node`` depends on a refused one whose result is not known: it is not judged, but what is behind it may be."""
    row = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if is_static(context, node) and not (row is not None and row.keeps_quantization):
        fold(context, node)
        return True
    if row is None:
        raise Unsupported(REASONS.get(node.op_type, ""))
    if any(v is not None and context.find(v) is None for v in node.inputs):
        return False
    if node.op_type != "DequantizeLinear" and any(v in context.shifted for v in node.inputs):
        raise Unsupported(NOT_DEQUANTIZED)
    row.lower(context, node)
    return True


def _stand_in(context: Lowering, node: ir.Node, lost: set[ir.Value]) -> None:
    """Let the walk go on behind a node that is not lowered, to find all that are refused: its outputs become tensors if type
    and shape are known.

    A guess would bring refusals of nodes that are all right: uint8 may be quantized, by a scale that nobody knows. Nor can a
    tensor stand for a constant: outputs of constants are ``lost``, to which they are added.
    """
    if all(v is None or v in lost or isinstance(context.find(v), Constant) for v in node.inputs):
        lost.update(node.outputs)
        return
    for value in node.outputs:
        dims = tuple(d if isinstance(d, int) else 0 for d in value.shape) if value.shape is not None else ()
        fits = dims and min(dims) > 0 and len(dims) <= 8 and math.prod(dims) <= MAX_ELEMENTS
        dtype = None if value.dtype in (None, ir.DataType.UINT8) else DTYPES.get(value.dtype)
        if context.find(value) is None and fits and dtype is not None:
            context.bind(value, Activation(context.arena_tensor(str(value.name), dims, dtype)))


def _input(context: Lowering, value: ir.Value) -> int:
    dtype = DTYPES.get(value.dtype) if isinstance(value.type, ir.TensorType) and value.dtype else None
    if dtype is None:
        raise InputError(
            f"input `{value.name}` is {value.dtype if isinstance(value.type, ir.TensorType) else value.type}",
            rule=f"inputs of a flat file are tensors of {TYPE_NAMES}",
            fix="export the model with inputs of these types",
        )
    dims = static_shape(value)
    if len(dims) > 8 or math.prod(dims) >= 2**31:
        raise InputError(
            f"input `{value.name}` has the shape {list(dims)}",
            rule="a tensor has at most 8 dimensions and 2^31 elements",
            fix="set a smaller input_shape",
        )
    index = context.arena_tensor(str(value.name), dims, dtype)
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
