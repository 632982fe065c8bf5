"""Networks in the style of those that the runtime is made for, a few channels wide, as exporters write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.models import Builder

SHAPE = (3, 32, 32)


class Layers(Builder):
    """A builder that knows the layers of the networks below."""

    def ints(self, name: str, *values: int) -> str:
        """An int64 constant."""
        return self.constant(name, np.array(values, np.int64))

    def number(self, name: str, value: float) -> str:
        """A float scalar."""
        return self.constant(name, np.float32(value))

    def conv_bn(self, name: str, x: str, cin: int, cout: int, act: str | None = "Relu", **keys: Any) -> str:
        """Conv without bias, BatchNormalization, activation (an op type, `relu6`, `silu`, or None)."""
        x = self.conv(f"{name}/conv", x, cin, cout, bias=False, **keys)
        return self.activation(f"{name}/act", self.batch_norm(f"{name}/bn", x, cout), act)

    def activation(self, name: str, x: str, act: str | None) -> str:
        """``x`` if ``act`` is None."""
        if act is None:
            return x
        if act == "relu6":
            return self.relu6(name, x)
        if act == "silu":
            return self.node("Mul", name, [x, self.node("Sigmoid", f"{name}/gate", [x])])
        if act == "torch_hard_swish":  # x · clip(x + 3, 0, 6) / 6
            gate = self.relu6(
                f"{name}/relu6", self.node("Add", f"{name}/add", [x, self.number(f"{name}/3", 3)])
            )
            product = self.node("Mul", f"{name}/mul", [x, gate])
            return self.node("Div", name, [product, self.number(f"{name}/6", 6)])
        return self.node(act, name, [x])

    def pooled(self, name: str, x: str, kernel: int, stride: int, pad: int) -> str:
        """MaxPool."""
        keys = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node("MaxPool", name, [x], **keys)

    def split(self, name: str, x: str, parts: int) -> list[str]:
        """``x`` in equal parts of channels."""
        outputs = [f"{name}/{i}" for i in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], outputs, name=name, axis=1))
        return outputs

    def upsampled(self, name: str, x: str, factor: float, mode: str, coordinates: str) -> str:
        """Resize by ``factor``."""
        scales = self.constant(f"{name}/scales", np.array([1, 1, factor, factor], np.float32))
        keys = {"mode": mode, "coordinate_transformation_mode": coordinates}
        if mode == "nearest":
            keys["nearest_mode"] = "floor"
        return self.node("Resize", name, [x, "", scales], **keys)

    def classifier(self, name: str, x: str, cin: int, classes: int = 5) -> str:
        """GlobalAveragePool, Flatten, Gemm."""
        x = self.node("Flatten", f"{name}/flat", [self.node("GlobalAveragePool", f"{name}/pool", [x])])
        inputs = [x, self.weight(f"{name}/w", classes, cin), self.weight(f"{name}/b", classes)]
        return self.node("Gemm", name, inputs, transB=1)


def squeeze_excite(b: Layers, name: str, x: str, channels: int, gate: str = "HardSigmoid") -> str:
    """Pool, two 1×1 convolutions, and the channels multiplied with the gate."""
    y = b.node("GlobalAveragePool", f"{name}/pool", [x])
    y = b.node("Relu", f"{name}/relu", [b.conv(f"{name}/reduce", y, channels, 4, k=1)])
    y = b.conv(f"{name}/expand", y, 4, channels, k=1)
    keys = {"alpha": 1 / 6, "beta": 0.5} if gate == "HardSigmoid" else {}
    return b.node("Mul", f"{name}/scale", [x, b.node(gate, f"{name}/gate", [y], **keys)])


def mobilenet_v3(b: Layers) -> str:
    x = b.conv_bn("stem", "input", 3, 8, "HardSwish", strides=[2, 2])
    for i, (act, kernel) in enumerate((("torch_hard_swish", 5), ("Relu", 3))):
        name = f"block{i}"
        y = b.conv_bn(f"{name}/expand", x, 8, 16, act, k=1)
        y = b.conv_bn(f"{name}/depthwise", y, 16, 16, act, k=kernel, group=16)
        y = squeeze_excite(b, f"{name}/se", y, 16)
        y = b.conv_bn(f"{name}/project", y, 16, 8, None, k=1)
        x = b.node("Add", f"{name}/add", [x, y])
    return b.classifier("head", b.conv_bn("last", x, 8, 16, "HardSwish", k=1), 16)


def shuffle_unit(b: Layers, name: str, x: str, channels: int) -> str:
    """Half of the channels through three convolutions, joined and shuffled."""
    half = channels // 2
    left, right = b.split(f"{name}/split", x, 2)
    right = b.conv_bn(f"{name}/a", right, half, half, k=1)
    right = b.conv_bn(f"{name}/b", right, half, half, None, group=half)
    right = b.conv_bn(f"{name}/c", right, half, half, k=1)
    x = b.node("Concat", f"{name}/join", [left, right], axis=1)
    x = b.node("Reshape", f"{name}/groups", [x, b.ints(f"{name}/s1", 0, 2, half, 8, 8)])
    x = b.node("Transpose", f"{name}/swap", [x], perm=[0, 2, 1, 3, 4])
    return b.node("Reshape", f"{name}/shuffled", [x, b.ints(f"{name}/s2", 0, -1, 8, 8)])


def shufflenet_v2(b: Layers) -> str:
    x = b.pooled("pool", b.conv_bn("stem", "input", 3, 12, strides=[2, 2]), 3, 2, 1)
    x = shuffle_unit(b, "unit1", x, 12)
    x = shuffle_unit(b, "unit2", x, 12)
    return b.classifier("head", b.conv_bn("last", x, 12, 16, k=1), 16)


def efficientnet_lite(b: Layers) -> str:
    x = b.conv_bn("stem", "input", 3, 8, "relu6", strides=[2, 2])
    y = b.conv_bn("expand", x, 8, 24, "relu6", k=1)
    y = b.conv_bn("depthwise", y, 24, 24, "relu6", k=5, group=24)
    x = b.node("Add", "add", [x, b.conv_bn("project", y, 24, 8, None, k=1)])
    return b.node("Softmax", "softmax", [b.classifier("head", x, 8)], axis=-1)


def efficientnet(b: Layers) -> str:
    """silu and squeeze-and-excite with a sigmoid."""
    x = b.conv_bn("stem", "input", 3, 8, "silu", strides=[2, 2])
    y = b.conv_bn("depthwise", b.conv_bn("expand", x, 8, 16, "silu", k=1), 16, 16, "silu", group=16)
    y = squeeze_excite(b, "se", y, 16, "Sigmoid")
    x = b.node("Add", "add", [x, b.conv_bn("project", y, 16, 8, None, k=1)])
    return b.classifier("head", x, 8)


def squeezenet(b: Layers) -> str:
    x = b.pooled("pool", b.node("Relu", "relu", [b.conv("stem", "input", 3, 8, strides=[2, 2])]), 3, 2, 0)
    for i, cin in enumerate((8, 12)):
        s = b.node("Relu", f"fire{i}/s/relu", [b.conv(f"fire{i}/s", x, cin, 4, k=1)])
        left = b.node("Relu", f"fire{i}/l/relu", [b.conv(f"fire{i}/l", s, 4, 6, k=1)])
        right = b.node("Relu", f"fire{i}/r/relu", [b.conv(f"fire{i}/r", s, 4, 6)])
        x = b.node("Concat", f"fire{i}", [left, right], axis=1)
    x = b.node("GlobalAveragePool", "average", [b.node("Relu", "last/relu", [b.conv("last", x, 12, 5, k=1)])])
    return b.node("Softmax", "softmax", [b.node("Flatten", "flat", [x])], axis=1)


def yolox(b: Layers) -> str:
    """Focus by four strided slices, a feature pyramid of two levels, decoupled heads joined to [N, cells, values]."""
    parts = []
    for i, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        ends, axes, steps = b.ints(f"e{i}", 99, 99), b.ints(f"a{i}", 2, 3), b.ints(f"t{i}", 2, 2)
        parts.append(
            b.node("Slice", f"focus/{i}", ["input", b.ints(f"s{i}", row, column), ends, axes, steps])
        )
    x = b.conv_bn("stem", b.node("Concat", "focus", parts, axis=1), 12, 8, "silu")
    fine = b.conv_bn("fine", x, 8, 8, "silu", strides=[2, 2])
    coarse = b.conv_bn("coarse", fine, 8, 8, "silu", strides=[2, 2])
    pools = [coarse, *(b.pooled(f"spp{k}", coarse, k, 1, k // 2) for k in (3, 5))]
    coarse = b.conv_bn("spp", b.node("Concat", "spp/join", pools, axis=1), 24, 8, "silu", k=1)
    up = b.upsampled("up", coarse, 2, "nearest", "asymmetric")
    fine = b.conv_bn("neck", b.node("Concat", "neck/join", [up, fine], axis=1), 16, 8, "silu")
    heads = []
    for i, (level, cells) in enumerate(((fine, 64), (coarse, 16))):
        boxes = b.conv(f"head{i}/boxes", b.conv_bn(f"head{i}/reg", level, 8, 8, "silu"), 8, 4, k=1)
        scores = b.conv(f"head{i}/scores", b.conv_bn(f"head{i}/cls", level, 8, 8, "silu"), 8, 3, k=1)
        scores = b.node("Sigmoid", f"head{i}/sigmoid", [scores])
        x = b.node("Concat", f"head{i}", [boxes, scores], axis=1)
        heads.append(b.node("Reshape", f"head{i}/flat", [x, b.ints(f"head{i}/shape", 0, 7, cells)]))
    return b.node("Transpose", "cells", [b.node("Concat", "heads", heads, axis=2)], perm=[0, 2, 1])


def ultraface(b: Layers) -> str:
    """Boxes and scores of two levels; centres and sizes by exp and constants, as the exporter writes the priors."""
    fine = b.conv_bn("fine", b.conv_bn("stem", "input", 3, 8, strides=[2, 2]), 8, 8, strides=[2, 2])
    coarse = b.conv_bn("coarse", fine, 8, 8, strides=[2, 2])
    boxes: list[str] = []
    scores: list[str] = []
    for i, level in enumerate((fine, coarse)):
        for found, kind, values in ((boxes, "boxes", 4), (scores, "scores", 2)):
            small = b.node("Mul", f"{kind}{i}/small", [level, b.number(f"{kind}{i}/factor", 0.02)])
            x = b.conv(f"{kind}{i}", small, 8, 2 * values)
            x = b.node("Transpose", f"{kind}{i}/nhwc", [x], perm=[0, 2, 3, 1])
            found.append(b.node("Reshape", f"{kind}{i}/rows", [x, b.ints(f"{kind}{i}/shape", 1, -1, values)]))
    count = 2 * (64 + 16)
    located, axis = b.node("Concat", "boxes", boxes, axis=1), b.ints("axis", 2)
    centre = b.node("Slice", "centre", [located, b.ints("c0", 0), b.ints("c1", 2), axis])
    size = b.node("Slice", "size", [located, b.ints("c2", 2), b.ints("c3", 9), axis])
    centre = b.node("Mul", "centre/scaled", [centre, b.number("variance", 0.1)])
    centre = b.node("Add", "centre/placed", [centre, b.weight("priors", 1, count, 2)])
    size = b.node("Exp", "size/exp", [b.node("Mul", "size/scaled", [size, b.number("variance2", 0.2)])])
    half = b.node("Div", "half", [size, b.number("two", 2)])
    corners = [b.node("Sub", "low", [centre, half]), b.node("Add", "high", [centre, half])]
    probability = b.node("Softmax", "probability", [b.node("Concat", "scores", scores, axis=1)], axis=2)
    return b.node("Concat", "detections", [*corners, probability], axis=2)


def fast_scnn(b: Layers) -> str:
    """Two branches; pyramid pooling with linear resizes that align corners; the result at the input's size."""
    fine = b.conv_bn("down", b.conv_bn("stem", "input", 3, 8, strides=[2, 2]), 8, 8, strides=[2, 2])
    x = b.conv_bn("deep", fine, 8, 8, strides=[2, 2])
    levels = [x]
    for size in (1, 2):
        keys = {"kernel_shape": [4 // size] * 2, "strides": [4 // size] * 2}
        y = b.conv_bn(f"level{size}", b.node("AveragePool", f"pool{size}", [x], **keys), 8, 2, k=1)
        sizes = b.ints(f"sizes{size}", 1, 2, 4, 4)
        corners = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
        levels.append(b.node("Resize", f"up{size}", [y, "", "", sizes], **corners))
    x = b.conv_bn("fuse", b.node("Concat", "pyramid", levels, axis=1), 12, 8, None, k=1)
    x = b.upsampled("up", x, 2, "linear", "half_pixel")
    x = b.node("Relu", "relu", [b.node("Add", "join", [x, b.conv_bn("side", fine, 8, 8, None, k=1)])])
    return b.upsampled("full", b.conv("classes", x, 8, 3, k=1), 4, "linear", "align_corners")


def decoder(b: Layers) -> str:
    """Transposed convolution, depth to space, leaky activations, global maximum."""
    x = b.conv_bn("stem", "input", 3, 8, None, strides=[2, 2])
    x = b.node("LeakyRelu", "leaky", [x], alpha=0.1)
    inputs = [x, b.weight("up/w", 8, 4, 3, 3), b.weight("up/b", 8)]
    keys = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1], "group": 2}
    x = b.node("ConvTranspose", "up", inputs, **keys)
    x = b.node("PRelu", "prelu", [x, b.weight("slope", 8, 1, 1, scale=0.2)])
    x = b.node("DepthToSpace", "shuffle", [b.conv("expand", x, 8, 12)], blocksize=2)
    return b.node("Tanh", "tanh", [x])


NETWORKS: tuple[Callable[[Layers], str], ...] = (
    mobilenet_v3,
    shufflenet_v2,
    efficientnet_lite,
    efficientnet,
    squeezenet,
    yolox,
    ultraface,
    fast_scnn,
    decoder,
)


def model(network: Callable[[Layers], str]) -> onnx.ModelProto:
    """``network`` as a checked model of batch 1."""
    b = Layers(seed=11)
    proto = b.model(network(b), shape=(1, *SHAPE))
    onnx.checker.check_model(proto, full_check=True)
    return proto
