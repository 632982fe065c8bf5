"""Classification networks as ONNX graphs with seeded random weights, from the tables of their papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper

CLASSES = 1000
EPSILON = 1e-5


@dataclass
class Builder:
    """Appends nodes; each method takes and returns the name of a value. ``channels`` has the channels of every value."""

    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    def node(self, op_type: str, inputs: Sequence[str], channels: int, **attributes: Any) -> str:
        name = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [f"{name}_out"], name=name, **attributes))
        self.channels[f"{name}_out"] = channels
        return f"{name}_out"

    def split(self, x: str) -> tuple[str, str]:
        """The first and the second half of the channels."""
        name, half = f"Split_{len(self.nodes)}", self.channels[x] // 2
        outputs = [f"{name}_out_0", f"{name}_out_1"]
        self.nodes.append(helper.make_node("Split", [x, self.ints(half, half)], outputs, name=name, axis=1))
        self.channels |= dict.fromkeys(outputs, half)
        return outputs[0], outputs[1]

    def concat(self, *parts: str, axis: int = 1) -> str:
        return self.node("Concat", parts, sum(self.channels[part] for part in parts), axis=axis)

    def concat_ints(self, first: Sequence[int], rest: str) -> str:
        return self.node("Concat", [self.ints(*first), rest], 0, axis=0)

    def ints(self, *values: int) -> str:
        name = f"ints_{len(self.constants)}"
        self.constants[name] = np.array(values, np.int64)
        return name

    def index(self, value: int) -> str:
        """An int64 scalar."""
        name = f"index_{len(self.constants)}"
        self.constants[name] = np.array(value, np.int64)
        return name

    def constant(self, role: str, array: Any) -> str:
        name = f"{role}_{len(self.constants)}"
        self.constants[name] = np.asarray(array, np.float32)
        return name

    def weight(self, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:]))
        return self.constant("weight", self.random.standard_normal(shape) * np.sqrt(2 / fan_in))

    def conv(self, x: str, cout: int, k: int, stride: int = 1, groups: int = 1, bias: bool = False) -> str:
        inputs = [x, self.weight(cout, self.channels[x] // groups, k, k)]
        if bias:
            inputs.append(self.constant("bias", self.random.normal(0, 0.1, cout)))
        pads = [(k - 1) // 2] * 4
        return self.node(
            "Conv", inputs, cout, kernel_shape=[k, k], strides=[stride] * 2, pads=pads, group=groups
        )

    def batch_norm(self, x: str) -> str:
        c = self.channels[x]
        scale = self.constant("gamma", self.random.uniform(0.8, 1.2, c))
        shift = self.constant("beta", self.random.normal(0, 0.2, c))
        mean, variance = self.constant("mean", np.zeros(c)), self.constant("variance", np.ones(c))
        return self.node("BatchNormalization", [x, scale, shift, mean, variance], c, epsilon=EPSILON)

    def activate(self, x: str, kind: str) -> str:
        if kind == "":
            return x
        if kind == "SiLU":
            return self.node("Mul", [x, self.node("Sigmoid", [x], self.channels[x])], self.channels[x])
        inputs = [x]
        if kind == "Clip":  # Relu6
            inputs += [self.constant("min", 0), self.constant("max", 6)]
        return self.node(kind, inputs, self.channels[x])

    def unit(self, x: str, cout: int, k: int, stride: int = 1, activation: str = "", groups: int = 1) -> str:
        """Convolution, BatchNormalization, activation."""
        return self.activate(self.batch_norm(self.conv(x, cout, k, stride, groups)), activation)

    def depthwise(self, x: str, k: int, stride: int, activation: str) -> str:
        return self.unit(x, self.channels[x], k, stride, activation, groups=self.channels[x])

    def squeeze_excite(self, x: str) -> str:
        """Hu et al., CVPR 2018, with the channel count and hard sigmoid of MobileNetV3."""
        c = self.channels[x]
        y = self.node("GlobalAveragePool", [x], c)
        y = self.activate(self.conv(y, divisible(c / 4), 1, bias=True), "Relu")
        y = self.node("HardSigmoid", [self.conv(y, c, 1, bias=True)], c, alpha=1 / 6, beta=0.5)
        return self.node("Mul", [x, y], c)

    def add(self, a: str, b: str) -> str:
        return self.node("Add", [a, b], self.channels[a])

    def linear(self, x: str, cout: int) -> str:
        inputs = [x, self.weight(cout, self.channels[x]), self.constant("bias", np.zeros(cout))]
        return self.node("Gemm", inputs, cout, transB=1)

    def pool_and_flatten(self, x: str) -> str:
        pooled = self.node("GlobalAveragePool", [x], self.channels[x])
        return self.node("Flatten", [pooled], self.channels[x])


def divisible(channels: float) -> int:
    """Rounded to a multiple of 8, never down by more than a tenth: the rule of the MobileNet papers' code."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class Separable(NamedTuple):
    """MobileNetV1 (Howard et al., 2017, table 1): depthwise 3x3, then pointwise."""

    out: int
    stride: int


MOBILENET_V1 = (
    Separable(64, 1), Separable(128, 2), Separable(128, 1), Separable(256, 2), Separable(256, 1), Separable(512, 2),
    *[Separable(512, 1)] * 5, Separable(1024, 2), Separable(1024, 1),
)  # fmt: skip


class Inverted(NamedTuple):
    """MobileNetV2 (Sandler et al., CVPR 2018, table 2): expand, depthwise 3x3, project; the stride is the first's."""

    expand: int
    out: int
    repeat: int
    stride: int


MOBILENET_V2 = (
    Inverted(1, 16, 1, 1), Inverted(6, 24, 2, 2), Inverted(6, 32, 3, 2), Inverted(6, 64, 4, 2), Inverted(6, 96, 3, 1),
    Inverted(6, 160, 3, 2), Inverted(6, 320, 1, 1),
)  # fmt: skip


class Bneck(NamedTuple):
    """MobileNetV3 (Howard et al., ICCV 2019, table 1): like Inverted, with squeeze-and-excite and two activations."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    activation: str
    stride: int


RE, HS = "Relu", "HardSwish"
MOBILENET_V3_LARGE = (
    Bneck(3, 16, 16, False, RE, 1), Bneck(3, 64, 24, False, RE, 2), Bneck(3, 72, 24, False, RE, 1),
    Bneck(5, 72, 40, True, RE, 2), Bneck(5, 120, 40, True, RE, 1), Bneck(5, 120, 40, True, RE, 1),
    Bneck(3, 240, 80, False, HS, 2), Bneck(3, 200, 80, False, HS, 1), Bneck(3, 184, 80, False, HS, 1),
    Bneck(3, 184, 80, False, HS, 1), Bneck(3, 480, 112, True, HS, 1), Bneck(3, 672, 112, True, HS, 1),
    Bneck(5, 672, 160, True, HS, 2), Bneck(5, 960, 160, True, HS, 1), Bneck(5, 960, 160, True, HS, 1),
)  # fmt: skip


class Stage(NamedTuple):
    """ResNet (He et al., CVPR 2016, table 1): bottlenecks of ``width``, 4 x width out; stride in the first 3x3 (v1.5)."""

    width: int
    repeat: int
    stride: int


RESNET50 = (Stage(64, 3, 1), Stage(128, 4, 2), Stage(256, 6, 2), Stage(512, 3, 2))


class Shuffle(NamedTuple):
    """ShuffleNetV2 1.0x (Ma et al., ECCV 2018, table 5): the first unit has stride 2."""

    out: int
    repeat: int


SHUFFLENET_V2 = (Shuffle(116, 4), Shuffle(232, 8), Shuffle(464, 4))


def mobilenet_v1_blocks(b: Builder, x: str, blocks: Sequence[Separable]) -> str:
    for block in blocks:
        x = b.unit(b.depthwise(x, 3, block.stride, "Clip"), block.out, 1, activation="Clip")
    return x


def mobilenet_v1(b: Builder, x: str) -> str:
    x = mobilenet_v1_blocks(b, b.unit(x, 32, 3, 2, "Clip"), MOBILENET_V1)
    return b.linear(b.pool_and_flatten(x), CLASSES)


def mobilenet_v2(b: Builder, x: str) -> str:
    x = b.unit(x, 32, 3, 2, "Clip")
    for block in MOBILENET_V2:
        for index in range(block.repeat):
            stride = block.stride if index == 0 else 1
            y = x if block.expand == 1 else b.unit(x, b.channels[x] * block.expand, 1, activation="Clip")
            y = b.unit(b.depthwise(y, 3, stride, "Clip"), block.out, 1)
            x = b.add(x, y) if index > 0 else y
    return b.linear(b.pool_and_flatten(b.unit(x, 1280, 1, activation="Clip")), CLASSES)


def mobilenet_v3_large(b: Builder, x: str) -> str:
    x = b.unit(x, 16, 3, 2, HS)
    for block in MOBILENET_V3_LARGE:
        expands = block.expanded != b.channels[x]
        y = b.unit(x, block.expanded, 1, activation=block.activation) if expands else x
        y = b.depthwise(y, block.kernel, block.stride, block.activation)
        y = b.unit(b.squeeze_excite(y) if block.squeeze else y, block.out, 1)
        x = b.add(x, y) if block.stride == 1 and b.channels[x] == block.out else y
    x = b.pool_and_flatten(b.unit(x, 960, 1, activation=HS))
    return b.linear(b.activate(b.linear(x, 1280), HS), CLASSES)


def resnet50(b: Builder, x: str) -> str:
    x = b.unit(x, 64, 7, 2, "Relu")
    x = b.node("MaxPool", [x], 64, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage in RESNET50:
        for index in range(stage.repeat):
            stride = stage.stride if index == 0 else 1
            y = b.unit(b.unit(x, stage.width, 1, activation="Relu"), stage.width, 3, stride, "Relu")
            y = b.unit(y, 4 * stage.width, 1)
            shortcut = b.unit(x, 4 * stage.width, 1, stride) if index == 0 else x
            x = b.activate(b.add(y, shortcut), "Relu")
    return b.linear(b.pool_and_flatten(x), CLASSES)


def shuffle_channels(b: Builder, x: str) -> str:
    """[2, C/2] → [C/2, 2], with the sizes taken from the tensor as exporters do for pictures of any size."""
    c = b.channels[x]
    sizes = b.node("Slice", [b.node("Shape", [x], 0), b.ints(2), b.ints(4)], 0)
    split = b.node("Reshape", [x, b.concat_ints((1, 2, c // 2), sizes)], c)
    mixed = b.node("Transpose", [split], c, perm=[0, 2, 1, 3, 4])
    return b.node("Reshape", [mixed, b.concat_ints((1, c), sizes)], c)


def shufflenet_v2(b: Builder, x: str) -> str:
    x = b.unit(x, 24, 3, 2, "Relu")
    x = b.node("MaxPool", [x], 24, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage in SHUFFLENET_V2:
        for index in range(stage.repeat):
            half = stage.out // 2
            if index == 0:
                kept = b.unit(b.depthwise(x, 3, 2, ""), half, 1, activation="Relu")
                y, stride = b.unit(x, half, 1, activation="Relu"), 2
            else:
                kept, y = b.split(x)
                y, stride = b.unit(y, half, 1, activation="Relu"), 1
            y = b.unit(b.depthwise(y, 3, stride, ""), half, 1, activation="Relu")
            x = shuffle_channels(b, b.concat(kept, y))
    return b.linear(b.pool_and_flatten(b.unit(x, 1024, 1, activation="Relu")), CLASSES)
