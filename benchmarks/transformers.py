"""A vision transformer as an ONNX graph with seeded random weights, written as PyTorch's exporter writes it."""

from __future__ import annotations

import numpy as np

from benchmarks.networks import CLASSES, Builder

WIDTH, HEADS, BLOCKS, PATCH, TOKENS = 192, 3, 12, 16, 197


def linear(b: Builder, x: str, cin: int, cout: int) -> str:
    """MatMul and Add over the last dimension."""
    weight = b.constant("weight", b.random.standard_normal((cin, cout)) / np.sqrt(cin))
    y = b.node("MatMul", [x, weight], cout)
    return b.node("Add", [b.constant("bias", b.random.normal(0, 0.1, cout)), y], cout)


def layer_norm(b: Builder, x: str) -> str:
    scale, shift = (
        b.constant("gamma", b.random.uniform(0.8, 1.2, WIDTH)),
        b.constant("beta", b.random.normal(0, 0.1, WIDTH)),
    )
    return b.node("LayerNormalization", [x, scale, shift], WIDTH, axis=-1, epsilon=1e-6)


def gelu(b: Builder, x: str) -> str:
    """By Erf."""
    c = b.channels[x]
    y = b.node("Erf", [b.node("Div", [x, b.constant("root", 2**0.5)], c)], c)
    y = b.node("Mul", [x, b.node("Add", [y, b.constant("one", 1)], c)], c)
    return b.node("Mul", [y, b.constant("half", 0.5)], c)


def attention(b: Builder, x: str) -> str:
    """Vaswani et al., NIPS 2017, section 3.2: of HEADS heads over TOKENS tokens."""
    depth = WIDTH // HEADS
    qkv = b.node("Reshape", [linear(b, x, WIDTH, 3 * WIDTH), b.ints(1, TOKENS, 3, HEADS, depth)], depth)
    qkv = b.node("Transpose", [qkv], depth, perm=[2, 0, 3, 1, 4])
    q, k, v = (b.node("Gather", [qkv, b.index(i)], depth, axis=0) for i in range(3))
    q = b.node("Mul", [q, b.constant("scale", depth**-0.5)], depth)
    scores = b.node("MatMul", [q, b.node("Transpose", [k], TOKENS, perm=[0, 1, 3, 2])], TOKENS)
    y = b.node("MatMul", [b.node("Softmax", [scores], TOKENS, axis=-1), v], depth)
    y = b.node(
        "Reshape", [b.node("Transpose", [y], depth, perm=[0, 2, 1, 3]), b.ints(1, TOKENS, WIDTH)], WIDTH
    )
    return linear(b, y, WIDTH, WIDTH)


def deit_tiny_like(b: Builder, x: str) -> str:
    """DeiT-Ti (Touvron et al., ICML 2021, table 1) for pictures of 224 x 224."""
    weight = b.weight(WIDTH, 3, PATCH, PATCH)
    x = b.node("Conv", [x, weight, b.constant("bias", np.zeros(WIDTH))], WIDTH,
               kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)  # fmt: skip
    x = b.node("Reshape", [x, b.ints(1, WIDTH, TOKENS - 1)], TOKENS - 1)
    x = b.node("Transpose", [x], WIDTH, perm=[0, 2, 1])
    x = b.node("Concat", [b.constant("class", b.random.normal(0, 0.5, (1, 1, WIDTH))), x], WIDTH, axis=1)
    x = b.add(x, b.constant("positions", b.random.normal(0, 0.5, (1, TOKENS, WIDTH))))
    for _ in range(BLOCKS):
        x = b.add(x, attention(b, layer_norm(b, x)))
        y = gelu(b, linear(b, layer_norm(b, x), WIDTH, 4 * WIDTH))
        x = b.add(x, linear(b, y, 4 * WIDTH, WIDTH))
    x = b.node("Gather", [layer_norm(b, x), b.index(0)], WIDTH, axis=1)
    weight = b.constant("weight", b.random.standard_normal((CLASSES, WIDTH)) / np.sqrt(WIDTH))
    return b.node("Gemm", [x, weight, b.constant("bias", np.zeros(CLASSES))], CLASSES, transB=1)
