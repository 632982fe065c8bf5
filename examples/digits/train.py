"""Trains the embedded demo: a small MobileNetV1 on scikit-learn's handwritten digits.

    python examples/digits/train.py [OUTPUT_DIR]

writes model/model.onnx, calibration_images/, test_images/ and test_labels.txt into OUTPUT_DIR (default: this
folder). Needs `pip install -e .[train]`; nothing else in the project imports PyTorch or scikit-learn.
Everything is seeded and runs on one thread: on one machine with the same packages, two runs write the same bytes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

from ptq_core.graph.session import open_session

SEED = 20240
SIDE = 32  # pixels; the digits are 8×8
CLASSES = 10
TEST_COUNT = 500
CALIBRATION_COUNT = 200
EPOCHS = 40
BATCH = 64
PEAK_LEARNING_RATE = 4e-3
BATCHNORM_EPSILON = 1e-3
REQUIRED_TOP1 = 0.97
MAX_MODEL_BYTES = 1_000_000
STEM_CHANNELS = 16
# One row per depthwise-separable block: output channels, stride of its depthwise convolution.
BODY = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1))
OUTPUTS = ("model", "calibration_images", "test_images", "test_labels.txt")


@dataclass(frozen=True)
class Digits:
    """Pictures, uint8 [1797, 32, 32] grey 0–255; labels, int64 [1797]; the split, as row numbers, int64."""

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    train: npt.NDArray[np.int64]
    calibration: npt.NDArray[np.int64]  # part of train
    test: npt.NDArray[np.int64]  # disjoint from train


def load_data() -> Digits:
    """Upscale the bundled digits and split them, every class in proportion."""
    bundle = load_digits()
    small = np.rint(bundle.images * (255 / 16)).astype(np.uint8)  # the source counts 0..16 pixels per cell
    size = (SIDE, SIDE)
    pictures = np.stack(
        [np.asarray(Image.fromarray(s).resize(size, Image.Resampling.BICUBIC)) for s in small]
    )
    labels = bundle.target.astype(np.int64)
    rows = np.arange(len(labels))
    train, test = train_test_split(rows, test_size=TEST_COUNT, stratify=labels, random_state=SEED)
    _, calibration = train_test_split(
        train, test_size=CALIBRATION_COUNT, stratify=labels[train], random_state=SEED
    )
    return Digits(pictures, labels, np.sort(train), np.sort(calibration), np.sort(test))


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """Rotate by ±12°, scale by ±10 %, shift by ±3 pixels, on black; float32 [N, 1, H, W] to the same."""

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(len(pictures)) * 2 - 1) * limit

    angle, scale = uniform(np.deg2rad(12)), 1 + uniform(0.1)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 3 * 2 / SIDE  # the grid runs from −1 to 1 over SIDE pixels
    rows = torch.stack([cos, -sin, uniform(shift), sin, cos, uniform(shift)], dim=1)
    grid = functional.affine_grid(rows.reshape(-1, 2, 3), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def to_input(grey: torch.Tensor) -> torch.Tensor:
    """Grey 0–255, float32 [N, 1, H, W], to the network's input: RGB x/127.5−1, float32 [N, 3, H, W]."""
    return (grey / 127.5 - 1).expand(-1, 3, -1, -1)


def build_layers() -> dict[str, nn.Module]:
    """The network up to the logits in execution order; each key is the name of the layer's ONNX node."""
    layers: dict[str, nn.Module] = {}

    def conv_bn_relu6(
        scope: str, conv: str, c_in: int, c_out: int, kernel: int, stride: int, groups: int
    ) -> None:
        layers[f"{scope}/{conv}"] = nn.Conv2d(
            c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        layers[f"{scope}/bn"] = nn.BatchNorm2d(c_out, eps=BATCHNORM_EPSILON)
        layers[f"{scope}/relu6"] = nn.ReLU6()

    conv_bn_relu6("stem", "conv", 3, STEM_CHANNELS, kernel=3, stride=1, groups=1)
    channels = STEM_CHANNELS
    for i, (c_out, stride) in enumerate(BODY, start=1):
        conv_bn_relu6(
            f"body/dw{i}", "depthwise", channels, channels, kernel=3, stride=stride, groups=channels
        )
        conv_bn_relu6(f"body/pw{i}", "pointwise", channels, c_out, kernel=1, stride=1, groups=1)
        channels = c_out
    layers["skip_quant/pool"] = nn.AdaptiveAvgPool2d(1)
    layers["head/flatten"] = nn.Flatten()
    layers["head/logits"] = nn.Linear(channels, CLASSES)
    return layers


def train(layers: dict[str, nn.Module], data: Digits) -> None:
    """Fit ``layers`` in place on the training split; the test split is not looked at."""
    network = nn.Sequential(*layers.values())
    pictures = torch.from_numpy(data.pictures[data.train].astype(np.float32))[:, None]
    labels = torch.from_numpy(data.labels[data.train])
    steps = len(labels) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=EPOCHS * steps)
    network.train()
    for epoch in range(1, EPOCHS + 1):
        order = torch.randperm(len(labels))
        total = 0.0
        for rows in order[: steps * BATCH].split(BATCH):
            logits = network(to_input(augment(pictures[rows])))
            loss = functional.cross_entropy(logits, labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if epoch % 10 == 0:
            print(f"epoch {epoch}/{EPOCHS}: training loss {total / steps:.4f}", flush=True)
    network.eval()


def export(layers: dict[str, nn.Module]) -> onnx.ModelProto:
    """Write ``layers`` and a Softmax as ONNX, one node per layer and value names `<node>/out`.

    PyTorch's exporter would fold BatchNormalization and choose the names; the demo is about both.
    """
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    value = "input"

    def constant(name: str, array: torch.Tensor) -> str:
        initializers.append(numpy_helper.from_array(array.detach().numpy(), name))
        return name

    def add(op_type: str, name: str, parameters: dict[str, torch.Tensor], **attributes: object) -> None:
        nonlocal value
        inputs = [value, *(constant(f"{name}/{key}", array) for key, array in parameters.items())]
        value = f"{name}/out"
        nodes.append(helper.make_node(op_type, inputs, [value], name=name, **attributes))

    for name, layer in layers.items():
        match layer:
            case nn.Conv2d():
                geometry = {"strides": layer.stride, "pads": layer.padding * 2, "group": layer.groups}
                add("Conv", name, {"weight": layer.weight}, kernel_shape=layer.kernel_size, **geometry)
            case nn.BatchNorm2d():
                statistics = {"mean": layer.running_mean, "variance": layer.running_var}
                parameters = {"scale": layer.weight, "bias": layer.bias, **statistics}
                add("BatchNormalization", name, parameters, epsilon=layer.eps)
            case nn.ReLU6():
                add("Clip", name, {"min": torch.tensor(0.0), "max": torch.tensor(6.0)})
            case nn.AdaptiveAvgPool2d():
                add("GlobalAveragePool", name, {})
            case nn.Flatten():
                add("Flatten", name, {}, axis=1)
            case nn.Linear():
                add("Gemm", name, {"weight": layer.weight, "bias": layer.bias}, transB=1)
            case _:
                raise TypeError(f"{name}: no ONNX form for {type(layer).__name__}")
    nodes.append(helper.make_node("Softmax", [value], ["prob"], name="head/softmax", axis=1))

    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["N", CLASSES])],
        initializers,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="ptq examples/digits")


def write_outputs(folder: Path, model: onnx.ModelProto, data: Digits) -> None:
    """Write everything in OUTPUTS into the empty ``folder``."""
    for name in OUTPUTS[:3]:
        (folder / name).mkdir()
    (folder / "model" / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    for split, rows in (("calibration_images", data.calibration), ("test_images", data.test)):
        for row in rows:
            Image.fromarray(data.pictures[row]).save(folder / split / picture_name(row), optimize=True)
    lines = [f"{picture_name(row)} {data.labels[row]}\n" for row in data.test]
    (folder / "test_labels.txt").write_text("".join(lines), encoding="utf-8", newline="\n")


def picture_name(row: int) -> str:
    """File name of row ``row`` of scikit-learn's data set."""
    return f"digit_{row:04d}.png"


def verify(folder: Path) -> None:
    """Check the written files as their user would and print what they are; ValueError if they are unfit."""
    path = folder / "model" / "model.onnx"
    onnx.checker.check_model(path, full_check=True)
    model = onnx.shape_inference.infer_shapes(
        onnx.load(path), check_type=True, strict_mode=True, data_prop=True
    )
    names = [node.name for node in model.graph.node]
    if len(set(names)) != len(names) or not all("/" in name for name in names):
        raise ValueError("node names must be unique and scoped")
    size = path.stat().st_size
    if size >= MAX_MODEL_BYTES:
        raise ValueError(f"model.onnx has {size} bytes, {MAX_MODEL_BYTES} are allowed")

    test = dict(
        line.split() for line in (folder / "test_labels.txt").read_text(encoding="utf-8").splitlines()
    )
    on_disk = {p.name for p in (folder / "test_images").iterdir()}
    calibration = {p.name for p in (folder / "calibration_images").iterdir()}
    if on_disk != set(test) or calibration & on_disk:
        raise ValueError(
            "test_labels.txt must list test_images exactly, and share no picture with calibration"
        )
    pixels = [np.asarray(Image.open(folder / "test_images" / name).convert("RGB")) for name in test]
    batch = (np.stack(pixels).astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2)
    (prob,) = open_session(path, threads=1).run(["prob"], {"input": np.ascontiguousarray(batch)})
    correct = int((prob.argmax(axis=1) == np.array([int(label) for label in test.values()])).sum())
    top1 = correct / len(test)

    total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    macs = count_macs(model)
    print(f"model.onnx: {size} bytes, {len(names)} nodes, {macs / 1e6:.2f} million MACs per picture")
    print(f"pictures: {len(calibration)} for calibration, {len(test)} for testing; all outputs {total} bytes")
    print(f"FP32 top-1 on test_images in onnxruntime: {correct}/{len(test)} = {top1:.2%}")
    if top1 < REQUIRED_TOP1:
        raise ValueError(f"FP32 top-1 is {top1:.2%}, the demo needs {REQUIRED_TOP1:.0%}")


def count_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the Conv and Gemm nodes of a shape-inferred ``model`` for one picture."""
    weights = {i.name: int(np.prod(i.dims)) for i in model.graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.value_info}
    return sum(
        weights[node.input[1]] * int(np.prod(shapes[node.output[0]][2:]))
        for node in model.graph.node
        if node.op_type in {"Conv", "Gemm"}
    )


def main(output: Path) -> None:
    """Train, write beside the targets, verify what was written, and only then replace the targets."""
    started = time.monotonic()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    data = load_data()
    layers = build_layers()
    train(layers, data)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".train-", dir=output) as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        old.mkdir()
        write_outputs(new, export(layers), data)
        verify(new)
        for name in OUTPUTS:
            if (output / name).exists():
                (output / name).rename(old / name)
            (new / name).rename(output / name)
    print(f"written to {output} in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]) if len(sys.argv) == 2 else Path(__file__).parent)
