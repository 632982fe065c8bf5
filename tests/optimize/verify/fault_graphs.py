"""Graphs that between them hold an operator of every kind that a fault is planted in."""

from __future__ import annotations

import numpy as np

from tests.optimize.graphs import Qdq


def convolutions(b: Qdq) -> str:
    """A strided convolution with uneven pads and Relu6, a depthwise one with dilation, a transposed one, and a residual."""
    x = b.conv("conv", "input", 8, 8, strides=[2, 2], pads=[1, 0, 2, 1])
    x = b.clip("relu6", x, 0, 6)
    y = b.conv("depthwise", x, 8, 8, group=8, dilations=[2, 2], pads=[2, 2, 2, 2])
    y = b.conv("pointwise", b.node("Relu", "relu", [y]), 8, 8, k=1)
    z = b.node("Add", "residual", [y, x])
    weight = b.weight("transposed/weight", 8, 4, 3, 3)
    return b.node("ConvTranspose", "transposed", [z, weight], strides=[2, 2], pads=[1, 0, 0, 1])


def pools(b: Qdq) -> str:
    """A maximum and two averages over padded windows, joined."""
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    x = b.node("MaxPool", "max", ["input"], **window)
    y = b.node("AveragePool", "average", ["input"], **window)
    return b.node("Concat", "joined", [x, y], axis=1)


def arithmetic(b: Qdq) -> str:
    """Two operands that must not be exchanged, constants per channel, functions."""
    per_channel = b.constant("c", np.linspace(0.5, 1.5, 8, dtype=np.float32).reshape(8, 1, 1))
    x = b.node("Sub", "sub", [b.node("Abs", "abs", ["input"]), per_channel])
    y = b.node("Div", "div", [x, b.node("Add", "one", [b.node("Exp", "exp", ["input"]), per_channel])])
    z = b.node("Mul", "mul", [b.node("LeakyRelu", "leaky", [y], alpha=0.1), per_channel])
    w = b.node("Max", "max", [z, b.node("Sigmoid", "sigmoid", [z])])
    return b.node("Min", "min", [w, b.node("Gelu", "gelu", ["input"])])


def movement(b: Qdq) -> str:
    """Values that change places: a square, so that a wrong order has the right shape."""
    x = b.node("Slice", "slice", ["input", b.ints("s", 1, 2), b.ints("e", 10, 11), b.ints("a", 2, 3)])
    x = b.node("Gather", "gather", [x, b.ints("places", 3, 0, 2, 5)], axis=1)
    x = b.node("Pad", "pad", [x, b.ints("pads", 0, 0, 1, 0, 0, 0, 2, 0), b.constant("v", np.float32(0.5))])
    y = b.node("Transpose", "transpose", [x], perm=[0, 1, 3, 2])
    y = b.node("Reshape", "reshape", [y, b.ints("shape", 1, 4, 12, 9)])
    return b.node("Concat", "concat", [x, b.node("Neg", "neg", [y])], axis=1)


def reductions(b: Qdq) -> str:
    """Sums and maxima of rows and columns of a square, a softmax, a matrix."""
    mean = b.node("ReduceMean", "mean", ["input"], axes=[3], keepdims=0)
    most = b.node("ReduceMax", "most", ["input"], axes=[2], keepdims=0)
    x = b.node("Softmax", "softmax", [b.node("Add", "both", [mean, most])], axis=1)
    x = b.node("Flatten", "flatten", [x], axis=1)
    return b.node("Gemm", "gemm", [x, b.weight("w", 96, 5), b.weight("bias", 5)])


def resizes(b: Qdq) -> str:
    """A linear and a nearest resize."""
    x = b.node(
        "Resize", "linear", ["input", "", b.constant("up", np.array([1, 1, 2, 2], np.float32))], mode="linear"
    )
    down = b.constant("down", np.array([1, 1, 0.6, 0.6], np.float32))
    return b.node("Resize", "nearest", [x, "", down], mode="nearest", nearest_mode="floor")


def places(b: Qdq) -> str:
    """The place of the largest value, of which there are several."""
    return b.node("ArgMax", "argmax", [b.node("Round", "round", ["input"])], axis=2)


def integers(b: Qdq) -> str:
    """Int8 convolutions with a clamp and a residual, a table, a product, a sum, an average and a concatenation that rescales."""
    x = b.quantize("x", "input", 0.02)
    y = b.quantize("y", b.clip("clip", b.qconv("conv", x, 8, 8, 0.02), 0, 3), 0.03, -128)
    z = b.quantize("z", b.qconv("conv2", y, 8, 8, 0.03), 0.05, 3)
    z = b.quantize("sum", b.node("Add", "add", [z, x]), 0.06, -5)
    s = b.quantize("s", b.node("Sigmoid", "sigmoid", [z]), 1 / 255, -128)
    m = b.quantize("m", b.node("Sub", "sub", [b.quantize("p", b.node("Mul", "mul", [z, s]), 0.04), x]), 0.05)
    pooled = b.node("AveragePool", "average", [m], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return b.quantize(
        "out", b.node("Concat", "concat", [b.quantize("a", pooled, 0.03, 7), m], axis=1), 0.045, 2
    )
