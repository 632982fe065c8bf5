"""Attention (opset 23) → its scores, a softmax, and the values that it mixes, as ONNX defines it."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.binary import ADD, MUL
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.tensors import Array
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Entry,
    Lowering,
    Unsupported,
    get_float,
    get_int,
    is_used,
)

_HEADS_FIRST = (0, 2, 1, 3)


def lower_attention(context: Lowering, node: ir.Node) -> None:
    """softmax(softcap(Q · Kᵀ · scale) + mask) · V of every head; fewer heads of K and V serve groups of those of Q."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    if len(node.inputs) > 6 and node.inputs[6] is not None:
        raise Unsupported("its keys are counted by an input, nonpad_kv_seqlen")
    heads = get_int(node, "q_num_heads", 0), get_int(node, "kv_num_heads", 0)
    flat = len(context.dims(context.real_input(node, 0))) == 3
    q = _by_heads(context, node, 0, heads[0], "query")
    k = _with_past(context, node, _by_heads(context, node, 1, heads[1], "key"), 4, 1)
    v = _with_past(context, node, _by_heads(context, node, 2, heads[1], "value"), 5, 2)
    batch, q_heads, queries, depth = context.dims(q)
    kv_heads, keys = context.dims(k)[1:3]
    if q_heads % kv_heads:
        raise Unsupported(f"its {q_heads} heads are no multiple of the {kv_heads} of its keys")
    scale = get_float(node, "scale", 0.0) or 1 / math.sqrt(depth)
    q = combine(context, MUL, node_name, f"{name}:scaled", q, Constant(np.array(scale, np.float32)))
    scores = _product(context, node, q, k, "scores", transpose_b=True)
    stages = [scores]
    softcap = get_float(node, "softcap", 0.0)
    if softcap:
        scores = _capped(context, node, scores, softcap)
    stages.append(scores)
    for what, mask in _masks(context, node, queries, keys):
        scores = combine(context, ADD, node_name, f"{name}:{what}", scores, mask)
    stages.append(scores)
    weights = Activation(context.arena_tensor(f"{name}:weights", (batch, q_heads, queries, keys)))
    context.emit(SOFTMAX, node_name, (context.model_layout(scores),), weights.tensor, Softmax(axis=3))
    stages.append(weights)
    y = _product(context, node, weights, v, "mixed" if flat else "")
    if flat:
        turned = context.transpose(context.model_layout(y), _HEADS_FIRST, node_name, f"{name}:rows")
        y = context.reshaped(
            Activation(turned), (batch, queries, q_heads * context.dims(v)[3]), name, node_name
        )
    context.bind(node.outputs[0], y)
    if len(node.outputs) > 3 and is_used(node.outputs[3]):
        context.bind(node.outputs[3], stages[get_int(node, "qk_matmul_output_mode", 0)])


def _by_heads(context: Lowering, node: ir.Node, position: int, heads: int, what: str) -> Activation:
    """Input ``position`` as [N, heads, tokens, depth]."""
    x = context.real_input(node, position)
    dims, name = context.dims(x), f"{node.outputs[0].name}:{what}"
    if len(dims) == 4:
        return x
    if len(dims) != 3 or heads < 1 or dims[2] % heads:
        raise Unsupported(f"its {what} {list(dims)} does not divide into {heads} heads")
    split = (dims[0], dims[1], heads, dims[2] // heads)
    apart = context.reshaped(x, split, f"{name}:apart", str(node.name))
    return Activation(context.transpose(context.model_layout(apart), _HEADS_FIRST, str(node.name), name))


def _with_past(context: Lowering, node: ir.Node, x: Activation, past: int, present: int) -> Activation:
    """``x`` behind what input ``past`` keeps of earlier tokens; both are output ``present``."""
    if len(node.inputs) > past and node.inputs[past] is not None:
        before = context.real_input(node, past)
        name = str(node.outputs[present].name or f"{node.name}:{present}")
        parts = (context.model_layout(before), context.model_layout(x))
        x = Activation(context.join(parts, 2, name, str(node.name)))
    if len(node.outputs) > present and is_used(node.outputs[present]):
        context.bind(node.outputs[present], x)
    return x


def _product(
    context: Lowering, node: ir.Node, a: Activation, b: Activation, what: str, transpose_b: bool = False
) -> Activation:
    """a · b of every head of ``a``, also where a head of ``b`` serves several."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    name = f"{name}:{what}" if what else name
    a_dims, b_dims = context.dims(a), context.dims(b)
    batch, heads, rows, _ = a_dims
    columns, groups = b_dims[2 if transpose_b else 3], heads // b_dims[1]
    grouped = (batch, b_dims[1], groups)
    if groups > 1:
        a = context.reshaped(a, (*grouped, *a_dims[2:]), f"{name}:groups", node_name)
        b = context.reshaped(b, (*b_dims[:2], 1, *b_dims[2:]), f"{name}:of_group", node_name)
    dims = (*grouped, rows, columns) if groups > 1 else (batch, heads, rows, columns)
    out = context.arena_tensor(f"{name}:grouped" if groups > 1 else name, dims)
    operands = (context.model_layout(a), context.model_layout(b))
    context.emit(MATMUL, node_name, operands, out, Matmul(transpose_b=int(transpose_b)))
    return context.reshaped(Activation(out), (batch, heads, rows, columns), name, node_name)


def _capped(context: Lowering, node: ir.Node, scores: Activation, softcap: float) -> Activation:
    """softcap · tanh(scores / softcap)."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    factors = [Constant(np.array(value, np.float32)) for value in (1 / softcap, softcap)]
    scaled = combine(context, MUL, node_name, f"{name}:over_cap", scores, factors[0])
    tanh = apply(context, UnaryFunction.TANH, node_name, f"{name}:tanh", scaled)
    return combine(context, MUL, node_name, f"{name}:capped", tanh, factors[1])


def _masks(context: Lowering, node: ir.Node, queries: int, keys: int) -> list[tuple[str, Entry]]:
    """What is added to the scores."""
    masks: list[tuple[str, Entry]] = []
    entry = context.find(node.inputs[3]) if len(node.inputs) > 3 else None
    if isinstance(entry, Constant):
        masks.append(("masked", Constant(_of_all_keys(entry.real, keys))))
    elif entry is not None:
        if context.dims(entry)[-1] != keys:
            raise Unsupported("its computed mask is shorter than its keys")
        masks.append(("masked", context.real_input(node, 3)))
    visible = _window(context, node, queries, keys)
    if not visible.all():
        window = np.where(visible, np.float32(0), np.float32(-np.inf))
        if masks and isinstance(masks[0][1], Constant):
            masks = [("masked", Constant(masks[0][1].array + window))]
        else:
            masks.append(("windowed", Constant(window)))
    if any(isinstance(m, Constant) and np.isneginf(m.array).all(axis=-1).any() for _, m in masks):
        raise Unsupported("its mask leaves a query no key")
    return masks


def _of_all_keys(mask: Array, keys: int) -> Array:
    """A constant mask as what it adds to the scores; keys beyond it are masked."""
    added = np.where(mask, 0, -np.inf) if mask.dtype == np.bool_ else mask
    missing = [(0, 0)] * (mask.ndim - 1) + [(0, keys - mask.shape[-1] if mask.shape[-1] > 1 else 0)]
    return np.pad(added, missing, constant_values=-np.inf).astype(np.float32)


def _window(context: Lowering, node: ir.Node, queries: int, keys: int) -> Array:
    """[queries, keys]: which keys a query may see, by its place behind the past."""
    past = context.find(node.inputs[4]) if len(node.inputs) > 4 else None
    place = np.arange(queries)[:, None] + (0 if past is None else context.dims(past)[2])
    left, right = get_int(node, "left_window_size", -1), get_int(node, "right_window_size", -1)
    after = np.arange(keys) - place
    visible = np.ones((queries, keys), np.bool_)
    if get_int(node, "is_causal", 0):
        visible &= after <= 0
    if left >= 0:
        visible &= after >= -left
    if right >= 0:
        visible &= after <= right
    return visible
