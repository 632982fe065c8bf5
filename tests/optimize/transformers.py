"""Vision transformers a few channels wide, each written as its exporter writes it: DeiT, MobileViT, SVTR (text recognition)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.optimize.small_networks import Layers

WIDTH, HEADS = 16, 2


def linear(b: Layers, name: str, x: str, cin: int, cout: int) -> str:
    """MatMul and Add."""
    y = b.node("MatMul", f"{name}/matmul", [x, b.weight(f"{name}/w", cin, cout)])
    return b.node("Add", name, [b.weight(f"{name}/b", cout), y])


def layer_norm(b: Layers, name: str, x: str, width: int = WIDTH) -> str:
    """The operator of opset 17."""
    scale = b.constant(f"{name}/scale", np.linspace(0.8, 1.2, width, dtype=np.float32))
    return b.node("LayerNormalization", name, [x, scale, b.weight(f"{name}/b", width)], axis=-1, epsilon=1e-6)


def written_layer_norm(b: Layers, name: str, x: str, width: int = WIDTH) -> str:
    """As exporters write it for opsets before 17."""
    mean = b.node("ReduceMean", f"{name}/mean", [x], axes=[-1])
    centred = b.node("Sub", f"{name}/centred", [x, mean])
    square = b.node("Pow", f"{name}/square", [centred, b.number(f"{name}/2", 2)])
    variance = b.node("ReduceMean", f"{name}/variance", [square], axes=[-1])
    moved = b.node("Add", f"{name}/moved", [variance, b.number(f"{name}/epsilon", 1e-5)])
    y = b.node("Div", f"{name}/normal", [centred, b.node("Sqrt", f"{name}/root", [moved])])
    scale = b.constant(f"{name}/scale", np.linspace(0.8, 1.2, width, dtype=np.float32))
    y = b.node("Mul", f"{name}/scaled", [y, scale])
    return b.node("Add", name, [y, b.weight(f"{name}/b", width)])


def gelu(b: Layers, name: str, x: str) -> str:
    """By Erf, as PyTorch's exporter writes it."""
    y = b.node("Erf", f"{name}/erf", [b.node("Div", f"{name}/div", [x, b.number(f"{name}/root2", 2**0.5)])])
    y = b.node("Mul", f"{name}/mul", [x, b.node("Add", f"{name}/add", [y, b.number(f"{name}/1", 1)])])
    return b.node("Mul", name, [y, b.number(f"{name}/half", 0.5)])


def attention(b: Layers, name: str, x: str, tokens: int, mask: str | None = None) -> str:
    """Queries, keys and values from one matrix, split by Gather; scores scaled, masked, softmax, mixed."""
    depth = WIDTH // HEADS
    qkv = linear(b, f"{name}/qkv", x, WIDTH, 3 * WIDTH)
    qkv = b.node("Reshape", f"{name}/heads", [qkv, b.ints(f"{name}/s0", -1, tokens, 3, HEADS, depth)])
    qkv = b.node("Transpose", f"{name}/apart", [qkv], perm=[2, 0, 3, 1, 4])
    q, k, v = (
        b.node("Gather", f"{name}/{part}", [qkv, b.constant(f"{name}/i{i}", np.int64(i))], axis=0)
        for i, part in enumerate("qkv")
    )
    q = b.node("Mul", f"{name}/scaled", [q, b.number(f"{name}/scale", depth**-0.5)])
    k = b.node("Transpose", f"{name}/turned", [k], perm=[0, 1, 3, 2])
    scores = b.node("MatMul", f"{name}/scores", [q, k])
    if mask is not None:
        scores = b.node("Add", f"{name}/masked", [scores, mask])
    weights = b.node("Softmax", f"{name}/softmax", [scores], axis=-1)
    y = b.node("MatMul", f"{name}/mixed", [weights, v])
    y = b.node("Transpose", f"{name}/rows", [y], perm=[0, 2, 1, 3])
    y = b.node("Reshape", f"{name}/joined", [y, b.ints(f"{name}/s1", -1, tokens, WIDTH)])
    return linear(b, f"{name}/project", y, WIDTH, WIDTH)


def torch_attention(b: Layers, name: str, x: str, tokens: int) -> str:
    """scaled_dot_product_attention as PyTorch's exporter writes it: both sides times the root of the scale."""
    depth = WIDTH // HEADS
    parts = []
    for part, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        y = linear(b, f"{name}/{part}", x, WIDTH, WIDTH)
        y = b.node(
            "Reshape", f"{name}/{part}/heads", [y, b.ints(f"{name}/{part}/s", 0, tokens, HEADS, depth)]
        )
        parts.append(b.node("Transpose", f"{name}/{part}/turned", [y], perm=perm))
    root = b.number(f"{name}/root", depth**-0.25)
    q, k = (b.node("Mul", f"{name}/{p}/scaled", [y, root]) for p, y in zip("qk", parts[:2], strict=True))
    weights = b.node("Softmax", f"{name}/softmax", [b.node("MatMul", f"{name}/scores", [q, k])], axis=-1)
    y = b.node(
        "Transpose",
        f"{name}/rows",
        [b.node("MatMul", f"{name}/mixed", [weights, parts[2]])],
        perm=[0, 2, 1, 3],
    )
    y = b.node("Reshape", f"{name}/joined", [y, b.ints(f"{name}/s1", 0, tokens, WIDTH)])
    return linear(b, f"{name}/project", y, WIDTH, WIDTH)


def block(b: Layers, name: str, x: str, tokens: int, written: bool = False, mask: str | None = None) -> str:
    """Attention and two layers with Gelu, each behind a normalization and beside a residual."""
    norm = written_layer_norm if written else layer_norm
    y = norm(b, f"{name}/norm1", x)
    y = torch_attention(b, f"{name}/a", y, tokens) if written else attention(b, f"{name}/a", y, tokens, mask)
    x = b.node("Add", f"{name}/add1", [x, y])
    y = linear(b, f"{name}/up", norm(b, f"{name}/norm2", x), WIDTH, 2 * WIDTH)
    y = linear(b, f"{name}/down", gelu(b, f"{name}/gelu", y), 2 * WIDTH, WIDTH)
    return b.node("Add", f"{name}/add2", [x, y])


def deit(b: Layers) -> str:
    """Patches, a token for the class, positions, two blocks, the class token's classifier."""
    x = b.conv("patches", "input", 3, WIDTH, k=8, strides=[8, 8], pads=[0, 0, 0, 0])
    x = b.node("Reshape", "tokens", [x, b.ints("shape", 1, WIDTH, 16)])
    x = b.node("Transpose", "turned", [x], perm=[0, 2, 1])
    x = b.node("Concat", "all", [b.weight("class", 1, 1, WIDTH), x], axis=1)
    x = b.node("Add", "placed", [x, b.weight("positions", 1, 17, WIDTH)])
    for i in range(2):
        x = block(b, f"block{i}", x, 17)
    x = b.node("Gather", "first", [layer_norm(b, "norm", x), b.constant("zero", np.int64(0))], axis=1)
    inputs = [x, b.weight("head/w", 5, WIDTH), b.weight("head/b", 5)]
    return b.node("Gemm", "head", inputs, transB=1)


def mobilevit(b: Layers) -> str:
    """Convolutions with silu; pixels unfolded to patches of 2×2, a transformer over each of the four places, folded again."""
    x = b.conv_bn("stem", "input", 3, 8, "silu", strides=[2, 2])
    x = b.conv_bn("down", x, 8, WIDTH, "silu", strides=[2, 2])  # 8 × 8
    y = b.conv_bn("local", x, WIDTH, WIDTH, "silu")
    y = b.conv("project", y, WIDTH, WIDTH, k=1, bias=False)
    y = b.node("Reshape", "split", [y, b.ints("u0", WIDTH * 4, 2, 4, 2)])
    y = b.node("Transpose", "split/turned", [y], perm=[0, 2, 1, 3])
    y = b.node("Reshape", "unfolded", [y, b.ints("u1", 1, WIDTH, 16, 4)])
    y = b.node("Transpose", "places", [y], perm=[0, 3, 2, 1])
    y = b.node("Reshape", "sequences", [y, b.ints("u2", 4, 16, WIDTH)])
    y = block(b, "block", y, 16, written=True)
    y = layer_norm(b, "norm", y)
    y = b.node("Reshape", "by_place", [y, b.ints("f0", 1, 4, 16, WIDTH)])
    y = b.node("Transpose", "by_place/turned", [y], perm=[0, 3, 2, 1])
    y = b.node("Reshape", "folding", [y, b.ints("f1", WIDTH * 4, 4, 2, 2)])
    y = b.node("Transpose", "folding/turned", [y], perm=[0, 2, 1, 3])
    y = b.node("Reshape", "folded", [y, b.ints("f2", 1, WIDTH, 8, 8)])
    y = b.conv_bn("back", y, WIDTH, WIDTH, "silu", k=1)
    x = b.conv_bn("fuse", b.node("Concat", "joined", [x, y], axis=1), 2 * WIDTH, WIDTH, "silu")
    return b.classifier("head", x, WIDTH)


def svtr(b: Layers) -> str:
    """Text recognition: local mixing by a mask of minus infinity, global mixing, height pooled away, a softmax per column."""
    x = b.conv_bn("stem", "input", 3, 8, "HardSwish", strides=[2, 2])
    x = b.conv_bn("down", x, 8, WIDTH, "HardSwish", strides=[2, 2])
    x = b.node("Reshape", "tokens", [x, b.ints("shape", 0, WIDTH, 64)])
    x = b.node("Transpose", "rows", [x], perm=[0, 2, 1])
    near = np.abs(np.arange(64) % 8 - (np.arange(64) % 8)[:, None]) <= 2
    mask = b.constant("mask", np.where(near, 0, -np.inf).astype(np.float32))
    x = block(b, "local", x, 64, mask=mask)
    x = block(b, "global", x, 64)
    x = b.node("Transpose", "picture/turned", [layer_norm(b, "norm", x)], perm=[0, 2, 1])
    x = b.node("Reshape", "picture", [x, b.ints("back", 0, WIDTH, 8, 8)])
    x = b.node("AveragePool", "height", [x], kernel_shape=[8, 1], strides=[8, 1])
    x = b.node("Squeeze", "line", [x, b.ints("axes", 2)])
    x = linear(b, "characters", b.node("Transpose", "columns", [x], perm=[0, 2, 1]), WIDTH, 11)
    return b.node("Softmax", "softmax", [x], axis=2)


TRANSFORMERS: tuple[Callable[[Layers], str], ...] = (deit, mobilevit, svtr)
