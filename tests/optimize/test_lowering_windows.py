"""Convolutions and pools over one and three spatial dimensions, and with dilation: they agree with onnxruntime."""

from __future__ import annotations

from typing import Any

import pytest

from ptq_core.flatfile.operators.transpose import TRANSPOSE
from tests.optimize.graphs import Graph, Qdq
from tests.optimize.lowered import assert_agrees, node

SIGNAL, VOLUME = (2, 6, 23), (2, 6, 7, 6, 5)


def weighted(op_type: str, *weights: int, bias: int = 0, **attributes: Any) -> Graph:
    """``op_type`` with ``weights`` of these dims and so many biases."""

    def graph(b: Qdq) -> str:
        inputs = ["input", b.weight("w", *weights), *([b.weight("b", bias)] if bias else [])]
        return b.node(op_type, "op", inputs, **attributes)

    return graph


ROWS: dict[str, tuple[Graph, tuple[int, ...]]] = {
    "conv_1d": (weighted("Conv", 4, 6, 3, bias=4, strides=[2], pads=[1, 2]), SIGNAL),
    "conv_1d_groups": (weighted("Conv", 12, 2, 3, strides=[2], group=3, auto_pad="SAME_LOWER"), SIGNAL),
    "conv_1d_depthwise": (weighted("Conv", 6, 1, 5, bias=6, group=6), SIGNAL),
    "conv_3d": (weighted("Conv", 4, 6, 3, 2, 3, bias=4, pads=[1, 0, 1, 2, 1, 0], strides=[2, 1, 2]), VOLUME),
    "conv_3d_flat": (weighted("Conv", 4, 6, 1, 3, 3, strides=[2, 1, 1]), VOLUME),
    "conv_3d_groups": (weighted("Conv", 4, 3, 2, 2, 2, bias=4, group=2, dilations=[2, 1, 2]), VOLUME),
    "conv_3d_depthwise": (weighted("Conv", 6, 1, 3, 3, 3, group=6, auto_pad="SAME_UPPER"), VOLUME),
    "transposed_1d": (weighted("ConvTranspose", 6, 4, 4, bias=4, strides=[2], pads=[1, 1]), SIGNAL),
    "transposed_1d_cut": (weighted("ConvTranspose", 6, 2, 2, group=3, strides=[3], pads=[2, 3]), SIGNAL),
    "transposed_3d": (
        weighted(
            "ConvTranspose", 6, 2, 3, 2, 3, bias=4, group=2, strides=[2, 1, 2], output_padding=[1, 0, 0]
        ),
        VOLUME,
    ),
    "max_1d": (node("MaxPool", kernel_shape=[3], strides=[2], pads=[1, 1], dilations=[2]), SIGNAL),
    "max_3d": (
        node("MaxPool", kernel_shape=[3, 2, 3], strides=[2, 1, 2], pads=[1, 0, 1, 1, 1, 1], ceil_mode=1),
        VOLUME,
    ),
    "average_1d": (node("AveragePool", kernel_shape=[4], strides=[3], pads=[2, 1], ceil_mode=1), SIGNAL),
    "average_3d": (
        node("AveragePool", kernel_shape=[3, 2, 3], strides=[2, 1, 1], pads=[1, 0, 1, 1, 1, 1]),
        VOLUME,
    ),
    "average_3d_all_counts": (
        node("AveragePool", kernel_shape=[3, 2, 3], pads=[1, 0, 1, 1, 1, 1], count_include_pad=1),
        VOLUME,
    ),
    "average_dilated": (
        node("AveragePool", kernel_shape=[3, 2], dilations=[2, 3], pads=[2, 0, 1, 1], strides=[2, 1]),
        (1, 6, 12, 9),
    ),
    "average_dilated_all_counts": (
        node("AveragePool", kernel_shape=[3, 2], dilations=[2, 3], pads=[2, 0, 1, 1], count_include_pad=1),
        (1, 6, 12, 9),
    ),
    "average_dilated_3d": (
        node("AveragePool", kernel_shape=[2, 2, 2], dilations=[2, 1, 2], pads=[1, 0, 0, 0, 1, 1]),
        VOLUME,
    ),
    "average_dilated_3d_ceil": (
        node("AveragePool", kernel_shape=[2, 2, 2], dilations=[2, 1, 2], strides=[3, 2, 2], ceil_mode=1),
        VOLUME,
    ),
    "lp": (node("LpPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), (1, 6, 12, 9)),
    "lp_1": (node("LpPool", kernel_shape=[3], p=1), SIGNAL),
    "lp_3": (node("LpPool", kernel_shape=[2, 2, 2], p=3, dilations=[2, 1, 1]), VOLUME),
    "global_average_1d": (node("GlobalAveragePool"), SIGNAL),
    "global_average_3d": (node("GlobalAveragePool"), VOLUME),
    "global_max_1d": (node("GlobalMaxPool"), SIGNAL),
    "global_max_3d": (node("GlobalMaxPool"), VOLUME),
}


@pytest.mark.parametrize("name", ROWS)
def test_agrees(name: str) -> None:
    graph, shape = ROWS[name]
    assert_agrees(graph, shape, opset=19)


def audio(b: Qdq) -> str:
    """Convolutions of a signal with what stands between them."""
    x = b.node("Conv", "c1", ["input", b.weight("w1", 8, 6, 3), b.weight("b1", 8)], pads=[1, 1])
    x = b.node("MaxPool", "pool", [b.node("Relu", "r1", [x])], kernel_shape=[2], strides=[2])
    y = b.node("Conv", "c2", [x, b.weight("w2", 8, 8, 3)], pads=[1, 1])
    x = b.node("Add", "sum", [b.node("Tanh", "t", [y]), x])
    x = b.node("Conv", "c3", [x, b.weight("w3", 4, 8, 1)])
    return b.node("ReduceMean", "mean", [x], axes=[2], keepdims=0)


def test_signals_keep_their_channels_last() -> None:
    """One transposition at the entrance, at most one at the exit."""
    program = assert_agrees(audio, SIGNAL)
    kinds = [op.kind for op in program.ops]
    assert kinds.count(TRANSPOSE) <= 2
