#!/usr/bin/env python3
"""Makes the models that latency is measured on: seeded random weights, BatchNormalization as nodes, 224 x 224, NCHW.

    make_models.py [--out build/models] [--only-onnx] [NAME ...]

For each NAME (default: all) writes OUT/NAME/fp32.onnx, and with our own commands int8.onnx (`ptq quantize`), fp32.nb and int8.nb
(`ptq opt`). Latency does not depend on the weights, calibration does: weights are scaled after He et al. (ICCV 2015) and the
BatchNormalization statistics are those of the model on the pictures that it is calibrated with, so activations keep their size.
ONNX files newer than the code that makes them are kept, flat files are written anew.
Exit codes: 0 done, 1 a command failed, 2 wrong argument.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from ptq_core.graph.session import open_session

ROOT = Path(__file__).resolve().parent.parent
SIZE = 224
CLASSES = 1000
OPSET = 17
EPSILON = 1e-5
PICTURES = 8
PREPROCESS = ("--mean", "127.5,127.5,127.5", "--std", "127.5,127.5,127.5")


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


def mobilenet_v1(b: Builder, x: str) -> str:
    x = b.unit(x, 32, 3, 2, "Clip")
    for block in MOBILENET_V1:
        x = b.unit(b.depthwise(x, 3, block.stride, "Clip"), block.out, 1, activation="Clip")
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


MODELS: dict[str, Callable[[Builder, str], str]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "resnet50": resnet50,
}


def count_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the convolutions and matrix products of one inference."""
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*onnx.shape_inference.infer_shapes(model).graph.value_info, *model.graph.output)
    }
    weights = {c.name: c.dims for c in model.graph.initializer}
    return sum(
        int(np.prod(shapes[node.output[0]])) * int(np.prod(weights[node.input[1]][1:]))
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
    )


def pictures(seed: int, count: int, size: int = SIZE) -> np.ndarray:
    """uint8 [count, size, size, 3]: coloured noise of every octave, its energy falling with the frequency as in photographs."""
    random = np.random.default_rng(seed)
    sums = np.zeros((count, size, size, 3), np.float32)
    for index in range(count):
        cells = 2
        while cells <= size:
            noise = random.integers(0, 256, (cells, cells, 3), np.uint8)
            octave = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
            sums[index] += (np.asarray(octave, np.float32) - 127.5) / np.sqrt(cells)
            cells *= 2
    sums *= 128 / 3 / sums.std()  # three standard deviations reach black and white
    return np.asarray(np.clip(sums + 127.5, 0, 255), np.uint8)


def to_input(images: np.ndarray) -> np.ndarray:
    """What PREPROCESS makes of pictures: float32 [N, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray((images.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2))


def to_model(name: str, b: Builder, output: str, size: int) -> onnx.ModelProto:
    """The ONNX model of what ``b`` holds, for inputs of ``size`` x ``size``."""
    graph = helper.make_graph(
        b.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(array, key) for key, array in b.constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def set_statistics(name: str, b: Builder, output: str) -> None:
    """Set mean and variance of every BatchNormalization to those of its input on a collage of four pictures.

    One pass does it: in a twin of the model InstanceNormalization, which takes the statistics of the picture at hand,
    stands in for every BatchNormalization. The networks accept any size up to their global pooling.
    """
    twin = to_model(name, b, output, 2 * SIZE)
    observed = []
    for node in twin.graph.node:
        if node.op_type == "BatchNormalization":
            observed.append((node.input[0], node.input[3], node.input[4]))
            node.op_type = "InstanceNormalization"
            del node.input[3:]
    twin.graph.output.extend(helper.make_empty_tensor_value_info(value) for value, _, _ in observed)
    session = open_session(twin.SerializeToString(), threads=1)
    tiles = pictures(1, 4).reshape(2, 2, SIZE, SIZE, 3).transpose(0, 2, 1, 3, 4)
    collage = to_input(tiles.reshape(1, 2 * SIZE, 2 * SIZE, 3))
    for value, mean, variance in observed:
        (x,) = session.run([value], {"input": collage})
        b.constants[mean] = x.mean((0, 2, 3))
        b.constants[variance] = x.var((0, 2, 3))


def make_model(name: str) -> onnx.ModelProto:
    """The FP32 model ``name``, a key of MODELS; its weights depend on the name only."""
    b = Builder(np.random.default_rng(list(name.encode())))
    b.channels["input"] = 3
    output = MODELS[name](b, "input")
    set_statistics(name, b, output)
    return to_model(name, b, output, SIZE)


def ptq(*arguments: str | Path) -> None:
    """Run one of our commands as a user would; on failure its own words are on the terminal."""
    subprocess.run([sys.executable, "-m", "cli", *map(str, arguments)], check=True, cwd=ROOT)


def is_current(file: Path, sources: Sequence[Path]) -> bool:
    """Whether it exists and is not older than any of ``sources``."""
    return file.exists() and all(file.stat().st_mtime >= source.stat().st_mtime for source in sources)


def make_files(name: str, out: Path, only_onnx: bool) -> None:
    """Write the files of one model, each complete or not at all, into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    if not is_current(out / "fp32.onnx", [Path(__file__)]):
        onnx.save(make_model(name), out / "fp32.onnx.tmp")
        (out / "fp32.onnx.tmp").replace(out / "fp32.onnx")
    if only_onnx:
        return
    packages = ("calibration", "graph", "numerics", "quantize")
    sources = [file for package in packages for file in (ROOT / "ptq_core" / package).rglob("*.py")]
    if not is_current(out / "int8.onnx", [out / "fp32.onnx", *sources]):
        images, int8 = out / "pictures", out / "int8"
        images.mkdir(exist_ok=True)
        for index, picture in enumerate(pictures(2, PICTURES)):
            Image.fromarray(picture).save(images / f"{index}.png")
        ptq("quantize", "--model-dir", out / "fp32.onnx", "--save-model-path", int8, "--image-dir", images,
            "--batch-size", "1", "--algo", "abs_max", "--is-full-quantize", *PREPROCESS)  # fmt: skip
        (int8 / "model.onnx").replace(out / "int8.onnx")
        shutil.rmtree(int8)
    for precision in ("fp32", "int8"):
        ptq("opt", "--model-file", out / f"{precision}.onnx", "--optimize-out", out / precision,
            "--valid-targets", "arm,host")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "models")
    parser.add_argument("--only-onnx", action="store_true", help="write fp32.onnx only")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in MODELS]
    if unknown:
        parser.error(f"no model {unknown[0]}: choose of {', '.join(MODELS)}")
    failed = []
    for name in parsed.names or MODELS:
        try:
            make_files(name, parsed.out.resolve() / name, parsed.only_onnx)
        except subprocess.CalledProcessError:
            failed.append(name)
    if failed:
        print(f"make_models.py: not all files of {', '.join(failed)} were made", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
