"""Vision transformers as ONNX graphs with seeded random weights, written as PyTorch's exporter writes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.networks import CLASSES, Builder


def linear(b: Builder, x: str, cout: int) -> str:
    """MatMul and Add over the last dimension."""
    cin = b.channels[x]
    weight = b.constant("weight", b.random.standard_normal((cin, cout)) / np.sqrt(cin))
    y = b.node("MatMul", [x, weight], cout)
    return b.node("Add", [b.constant("bias", b.random.normal(0, 0.1, cout)), y], cout)


def layer_norm(b: Builder, x: str) -> str:
    width = b.channels[x]
    scale, shift = (
        b.constant("gamma", b.random.uniform(0.8, 1.2, width)),
        b.constant("beta", b.random.normal(0, 0.1, width)),
    )
    return b.node("LayerNormalization", [x, scale, shift], width, axis=-1, epsilon=1e-6)


def gelu(b: Builder, x: str) -> str:
    """By Erf."""
    c = b.channels[x]
    y = b.node("Erf", [b.node("Div", [x, b.constant("root", 2**0.5)], c)], c)
    y = b.node("Mul", [x, b.node("Add", [y, b.constant("one", 1)], c)], c)
    return b.node("Mul", [y, b.constant("half", 0.5)], c)


class Tokens(NamedTuple):
    """What attention mixes: ``batch`` sequences of ``length`` tokens, by ``heads`` heads."""

    batch: int
    length: int
    heads: int


def attention(b: Builder, x: str, tokens: Tokens, mask: str = "") -> str:
    """Vaswani et al., NIPS 2017, section 3.2; ``mask`` is added to the scores."""
    width = b.channels[x]
    depth = width // tokens.heads
    qkv = linear(b, x, 3 * width)
    qkv = b.node("Reshape", [qkv, b.ints(tokens.batch, tokens.length, 3, tokens.heads, depth)], depth)
    qkv = b.node("Transpose", [qkv], depth, perm=[2, 0, 3, 1, 4])
    q, k, v = (b.node("Gather", [qkv, b.index(i)], depth, axis=0) for i in range(3))
    q = b.node("Mul", [q, b.constant("scale", depth**-0.5)], depth)
    turned = b.node("Transpose", [k], tokens.length, perm=[0, 1, 3, 2])
    scores = b.node("MatMul", [q, turned], tokens.length)
    if mask:
        scores = b.node("Add", [scores, mask], tokens.length)
    y = b.node("MatMul", [b.node("Softmax", [scores], tokens.length, axis=-1), v], depth)
    y = b.node("Transpose", [y], depth, perm=[0, 2, 1, 3])
    y = b.node("Reshape", [y, b.ints(tokens.batch, tokens.length, width)], width)
    return linear(b, y, width)


def block(b: Builder, x: str, tokens: Tokens, ratio: int, activation: str = "Gelu", mask: str = "") -> str:
    """Attention, then two layers of which the first is ``ratio`` times as wide, each behind a norm and beside a way around."""
    width = b.channels[x]
    x = b.add(x, attention(b, layer_norm(b, x), tokens, mask))
    y = linear(b, layer_norm(b, x), ratio * width)
    y = gelu(b, y) if activation == "Gelu" else b.activate(y, activation)
    return b.add(x, linear(b, y, width))


WIDTH, HEADS, BLOCKS, PATCH, TOKENS = 192, 3, 12, 16, 197


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
        x = block(b, x, Tokens(1, TOKENS, HEADS), 4)
    x = b.node("Gather", [layer_norm(b, x), b.index(0)], WIDTH, axis=1)
    weight = b.constant("weight", b.random.standard_normal((CLASSES, WIDTH)) / np.sqrt(WIDTH))
    return b.node("Gemm", [x, weight, b.constant("bias", np.zeros(CLASSES))], CLASSES, transB=1)


class MobileVitStage(NamedTuple):
    """Inverted residuals (expansion 4) of ``out`` channels, the first of stride 2, and ``blocks`` of transformer ``width``."""

    out: int
    repeat: int
    width: int = 0
    blocks: int = 0


MOBILE_VIT_XS = (
    MobileVitStage(48, 3), MobileVitStage(64, 1, 96, 2), MobileVitStage(80, 1, 120, 4), MobileVitStage(96, 1, 144, 3),
)  # fmt: skip
MOBILE_VIT_SIDE, MOBILE_VIT_HEADS = 256, 4


def inverted(b: Builder, x: str, out: int, stride: int) -> str:
    y = b.unit(x, 4 * b.channels[x], 1, activation="SiLU")
    y = b.unit(b.depthwise(y, 3, stride, "SiLU"), out, 1)
    return b.add(x, y) if stride == 1 and b.channels[x] == out else y


def mobile_vit_block(b: Builder, x: str, stage: MobileVitStage, side: int) -> str:
    """Mehta and Rastegari, ICLR 2022, figure 1b: pixels at the same place of patches of 2 x 2 are the tokens of a sequence."""
    c, d, half = b.channels[x], stage.width, side // 2
    y = b.conv(b.unit(x, c, 3, activation="SiLU"), d, 1)
    y = b.node("Reshape", [y, b.ints(d * half, 2, half, 2)], 2)
    y = b.node("Transpose", [y], 2, perm=[0, 2, 1, 3])
    y = b.node("Reshape", [y, b.ints(d, half * half, 4)], 4)
    y = b.node("Transpose", [y], d, perm=[2, 1, 0])
    for _ in range(stage.blocks):
        y = block(b, y, Tokens(4, half * half, MOBILE_VIT_HEADS), 2, "SiLU")
    y = b.node("Transpose", [layer_norm(b, y)], 4, perm=[2, 1, 0])
    y = b.node("Reshape", [y, b.ints(d * half, half, 2, 2)], 2)
    y = b.node("Transpose", [y], 2, perm=[0, 2, 1, 3])
    y = b.node("Reshape", [y, b.ints(1, d, side, side)], d)
    y = b.unit(y, c, 1, activation="SiLU")
    return b.unit(b.concat(x, y), c, 3, activation="SiLU")


def mobilevit_xs_like(b: Builder, x: str) -> str:
    """MobileViT-XS (Mehta and Rastegari, ICLR 2022, table 4) for pictures of 256 x 256."""
    x = inverted(b, b.unit(x, 16, 3, 2, "SiLU"), 32, 1)
    side = MOBILE_VIT_SIDE // 2
    for stage in MOBILE_VIT_XS:
        side //= 2
        for index in range(stage.repeat):
            x = inverted(b, x, stage.out, 2 if index == 0 else 1)
        if stage.blocks:
            x = mobile_vit_block(b, x, stage, side)
    return b.linear(b.pool_and_flatten(b.unit(x, 384, 1, activation="SiLU")), CLASSES)


class SvtrStage(NamedTuple):
    """``local`` blocks that mix a window of 7 x 11 tokens, then ``whole`` ones that mix all."""

    width: int
    heads: int
    local: int
    whole: int


SVTR_TINY = (SvtrStage(64, 2, 3, 0), SvtrStage(128, 4, 3, 3), SvtrStage(256, 8, 0, 3))
SVTR_PICTURE = (32, 100)
CHARACTERS = 37
"""Letters, digits, and the blank of CTC."""


def window_mask(h: int, w: int) -> np.ndarray:
    """[1, 1, h · w, h · w]: 0 within 7 x 11 tokens, −∞ beyond."""
    row, column = np.divmod(np.arange(h * w), w)
    near = (abs(row[:, None] - row) <= 3) & (abs(column[:, None] - column) <= 5)
    return np.where(near, 0, -np.inf)[None, None]


def to_sequence(b: Builder, x: str, count: int) -> str:
    c = b.channels[x]
    x = b.node("Reshape", [x, b.ints(1, c, count)], count)
    return b.node("Transpose", [x], c, perm=[0, 2, 1])


def to_picture(b: Builder, x: str, h: int, w: int) -> str:
    c = b.channels[x]
    x = b.node("Transpose", [x], c, perm=[0, 2, 1])
    return b.node("Reshape", [x, b.ints(1, c, h, w)], c)


def svtr_tiny_like(b: Builder, x: str) -> tuple[str, ...]:
    """SVTR-Tiny (Du et al., IJCAI 2022, table 1), which reads a line of text in a picture of 32 x 100."""
    h, w = (side // 4 for side in SVTR_PICTURE)
    x = gelu(b, b.unit(x, SVTR_TINY[0].width // 2, 3, 2))
    x = to_sequence(b, gelu(b, b.unit(x, SVTR_TINY[0].width, 3, 2)), h * w)
    x = b.add(x, b.constant("positions", b.random.normal(0, 0.5, (1, h * w, SVTR_TINY[0].width))))
    for stage in SVTR_TINY:
        if b.channels[x] != stage.width:  # merging: rows become half as many
            weight = b.weight(stage.width, b.channels[x], 3, 3)
            y = b.node("Conv", [to_picture(b, x, h, w), weight], stage.width,
                       kernel_shape=[3, 3], strides=[2, 1], pads=[1] * 4)  # fmt: skip
            h //= 2
            x = layer_norm(b, to_sequence(b, y, h * w))
        tokens = Tokens(1, h * w, stage.heads)
        mask = b.constant("mask", window_mask(h, w)) if stage.local else ""
        for index in range(stage.local + stage.whole):
            x = block(b, x, tokens, 4, mask=mask if index < stage.local else "")
    y = b.node("AveragePool", [to_picture(b, x, h, w)], b.channels[x], kernel_shape=[h, 1])
    y = to_sequence(b, b.activate(b.conv(y, 192, 1), "HardSwish"), w)
    return (b.node("Softmax", [linear(b, y, CHARACTERS)], CHARACTERS, axis=-1),)
