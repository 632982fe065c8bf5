#!/usr/bin/env python3
"""Makes the models that latency and memory are measured on: seeded random weights, BatchNormalization as nodes, NCHW.

    python -m benchmarks.make_models [--out build/models] [--only-onnx] [NAME ...]

For each NAME (default: all) writes OUT/NAME/fp32.onnx, and with our own commands int8.onnx (`ptq quantize`), fp32.nb, fp16.nb
and int8.nb (`ptq opt`). Latency does not depend on the weights, calibration does: weights are scaled after He et al. (ICCV 2015)
and the BatchNormalization statistics are those of the model on the pictures that it is calibrated with, so activations keep
their size.
ONNX files newer than the code that makes them are kept, flat files are written anew.
Exit codes: 0 done, 1 a command failed, 2 wrong argument.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from benchmarks import detectors, networks, transformers
from benchmarks.networks import CLASSES, Builder
from ptq_core.graph.session import open_session

ROOT = Path(__file__).resolve().parent.parent
SIZE = (224, 224)
"""Height and width of a picture."""
OPSET = 17
PICTURES = 8
PREPROCESS = ("--mean", "127.5,127.5,127.5", "--std", "127.5,127.5,127.5")


MODELS: dict[str, Callable[[Builder, str], str | tuple[str, ...]]] = {
    "mobilenet_v1": networks.mobilenet_v1,
    "mobilenet_v2": networks.mobilenet_v2,
    "mobilenet_v3_large": networks.mobilenet_v3_large,
    "resnet50": networks.resnet50,
    "shufflenet_v2": networks.shufflenet_v2,
    "ssd_like": detectors.ssd_like,
    "yolox_nano_like": detectors.yolox_nano_like,
    "deit_tiny_like": transformers.deit_tiny_like,
    "mobilevit_xs_like": transformers.mobilevit_xs_like,
    "svtr_tiny_like": transformers.svtr_tiny_like,
}
SIZES = {
    "ssd_like": (300, 300),
    "yolox_nano_like": (416, 416),
    "mobilevit_xs_like": (transformers.MOBILE_VIT_SIDE, transformers.MOBILE_VIT_SIDE),
    "svtr_tiny_like": transformers.SVTR_PICTURE,
}
"""Where it is not SIZE."""
OF_ONE_SIZE = ("mobilevit_xs_like", "svtr_tiny_like")
"""Networks with BatchNormalization whose reshapes name the sizes of what they reshape."""


def count_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the convolutions and matrix products of one inference."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.value_info, *graph.output)
    }
    weights = {c.name: c.dims for c in model.graph.initializer}

    def depth(node: onnx.NodeProto) -> int:
        """Products of an output element."""
        if node.op_type == "MatMul":
            return int(weights[node.input[1]][0] if node.input[1] in weights else shapes[node.input[1]][-2])
        return int(np.prod(weights[node.input[1]][1:]))

    return sum(
        int(np.prod(shapes[node.output[0]])) * depth(node)
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
    )


def pictures(seed: int, count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 [count, *size, 3]: coloured noise of every octave, its energy falling with the frequency as in photographs."""
    random = np.random.default_rng(seed)
    sums = np.zeros((count, *size, 3), np.float32)
    for index in range(count):
        cells = 2
        while cells <= max(size):
            noise = random.integers(0, 256, (cells, cells, 3), np.uint8)
            octave = Image.fromarray(noise).resize(size[::-1], Image.Resampling.BICUBIC)
            sums[index] += (np.asarray(octave, np.float32) - 127.5) / np.sqrt(cells)
            cells *= 2
    sums *= 128 / 3 / sums.std()  # three standard deviations reach black and white
    return np.asarray(np.clip(sums + 127.5, 0, 255), np.uint8)


def to_input(images: np.ndarray) -> np.ndarray:
    """What PREPROCESS makes of pictures: float32 [N, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray((images.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2))


def to_model(name: str, b: Builder, outputs: str | tuple[str, ...], size: tuple[int, int]) -> onnx.ModelProto:
    """The ONNX model of what ``b`` holds, for inputs of ``size``; one output is that of a classifier."""
    shape = [1, CLASSES] if isinstance(outputs, str) else None
    graph = helper.make_graph(
        b.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
            for output in ((outputs,) if isinstance(outputs, str) else outputs)
        ],
        [numpy_helper.from_array(array, key) for key, array in b.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    if shape is None:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        del model.graph.value_info[:]
    return model


def set_statistics(name: str, b: Builder, outputs: str | tuple[str, ...], size: tuple[int, int]) -> None:
    """Set mean and variance of every BatchNormalization to those of its input on a collage of ``size`` of four pictures.

    One pass does it: in a twin of the model InstanceNormalization, which takes the statistics of the picture at hand,
    stands in for every BatchNormalization.
    """
    if not any(node.op_type == "BatchNormalization" for node in b.nodes):
        return
    twin = to_model(name, b, outputs, size)
    observed = []
    for node in twin.graph.node:
        if node.op_type == "BatchNormalization":
            observed.append((node.input[0], node.input[3], node.input[4]))
            node.op_type = "InstanceNormalization"
            del node.input[3:]
    twin.graph.output.extend(helper.make_empty_tensor_value_info(value) for value, _, _ in observed)
    session = open_session(twin.SerializeToString(), threads=1)
    h, w = size[0] // 2, size[1] // 2
    tiles = pictures(1, 4, (h, w)).reshape(2, 2, h, w, 3).transpose(0, 2, 1, 3, 4)
    collage = to_input(tiles.reshape(1, *size, 3))
    for value, mean, variance in observed:
        (x,) = session.run([value], {"input": collage})
        b.constants[mean] = x.mean((0, 2, 3))
        b.constants[variance] = x.var((0, 2, 3))


def make_model(name: str) -> onnx.ModelProto:
    """The FP32 model ``name``, a key of MODELS; its weights depend on the name only."""
    b = Builder(np.random.default_rng(list(name.encode())))
    b.channels["input"] = 3
    outputs, size = MODELS[name](b, "input"), SIZES.get(name, SIZE)
    set_statistics(name, b, outputs, size if name in OF_ONE_SIZE else (2 * size[0], 2 * size[1]))
    return to_model(name, b, outputs, size)


def ptq(*arguments: str | Path) -> None:
    """Run one of our commands as a user would; on failure its own words are on the terminal."""
    subprocess.run([sys.executable, "-m", "ptq_cli", *map(str, arguments)], check=True, cwd=ROOT)


def is_current(file: Path, sources: Sequence[Path]) -> bool:
    """Whether it exists and is not older than any of ``sources``."""
    return file.exists() and all(file.stat().st_mtime >= source.stat().st_mtime for source in sources)


def make_files(name: str, out: Path, only_onnx: bool) -> None:
    """Write the files of one model, each complete or not at all, into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    makers = (__file__, networks.__file__, detectors.__file__, transformers.__file__)
    if not is_current(out / "fp32.onnx", [Path(file) for file in makers]):
        onnx.save(make_model(name), out / "fp32.onnx.tmp")
        (out / "fp32.onnx.tmp").replace(out / "fp32.onnx")
    if only_onnx:
        return
    packages = ("calibration", "graph", "numerics", "quantize")
    sources = [file for package in packages for file in (ROOT / "ptq_core" / package).rglob("*.py")]
    if not is_current(out / "int8.onnx", [out / "fp32.onnx", *sources]):
        images, int8 = out / "pictures", out / "int8"
        images.mkdir(exist_ok=True)
        for index, picture in enumerate(pictures(2, PICTURES, SIZES.get(name, SIZE))):
            Image.fromarray(picture).save(images / f"{index}.png")
        ptq("quantize", "--model-dir", out / "fp32.onnx", "--save-model-path", int8, "--image-dir", images,
            "--batch-size", "1", "--algo", "abs_max", "--is-full-quantize", *PREPROCESS)  # fmt: skip
        (int8 / "model.onnx").replace(out / "int8.onnx")
        shutil.rmtree(int8)
    for precision, source in (("fp32", "fp32"), ("fp16", "fp32"), ("int8", "int8")):
        ptq("opt", "--model-file", out / f"{source}.onnx", "--optimize-out", out / precision,
            "--valid-targets", "arm,host", f"--enable-fp16={str(precision == 'fp16').lower()}")  # fmt: skip


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
