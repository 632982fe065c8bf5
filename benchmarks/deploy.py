#!/usr/bin/env python3
"""What `deploy` is worth: one classifier in every dialect, in the runtimes that are installed, beside their own quantizer's file.

    python -m benchmarks.deploy MODEL --calibrate DIR --images DIR --labels FILE [--set KEY=VALUE ...]

MODEL is FP32 with one picture input; --set are keys of `ptq quantize` (its preprocessing). Runtimes are onnxruntime in a plain
session and OpenVINO, one thread each, all files of a runtime in turns: milliseconds are the fastest of their runs.
Exit codes: 0 done, 3 a runtime is missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exit_codes import MISSING, PASSED
from benchmarks.markdown_table import markdown_table
from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.readers import labelled_pictures, pictures_in_folder
from ptq_core.config import QuantizeConfig, load_config, parse_yaml_value
from ptq_core.graph import io
from ptq_core.graph.input_shapes import static_shape
from ptq_core.quantize.deploy.targets import TARGETS
from ptq_core.quantize.pipeline import quantize

ROUNDS = 20

Run = Callable[[np.ndarray], np.ndarray]


def onnxruntime_session(path: Path) -> Run:
    """A plain session: what a user writes who knows nothing of saturating kernels."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino_model(path: Path) -> Run:
    """Compiled for latency on the CPU, in float32 beside the integers."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([1, *(d.get_length() for d in list(model.input().partial_shape)[1:])])
    hints = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", hints)
    return lambda x: compiled(x)[0]


RUNTIMES = {"onnxruntime": onnxruntime_session, "OpenVINO": openvino_model}


def onnxruntimes_own(
    source: Path, target: Path, pictures: Iterator[np.ndarray], *, reduce_range: bool
) -> Path:
    """U8S8 by onnxruntime's quantize_static, per channel, by the largest values; its own preparation before it."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    name = io.load_model(source).graph.inputs[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            picture = next(pictures, None)
            return None if picture is None else {str(name): picture[np.newaxis]}

    quantize_static(
        str(prepared), str(target), Reader(), per_channel=True, reduce_range=reduce_range,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return target


def fastest(runs: Sequence[Run], x: np.ndarray) -> list[float]:
    """Milliseconds of one inference of each, in turns."""
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for index, run in enumerate(runs):
            begin = time.perf_counter()
            run(x)
            best[index] = min(best[index], 1e3 * (time.perf_counter() - begin))
    return best


def main() -> int:
    """Make the files, measure them, print a table per runtime."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibrate", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="keys")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {"FP32": given.model}
        for deploy in TARGETS:
            files[f"deploy: {deploy}"] = _quantized(given, Path(folder) / deploy, deploy)
        config = _config(given, Path(folder), "ptq")
        shape = static_shape(io.picture_input(io.load_model(given.model)))[1:]
        paths = [picture.path for picture in pictures_in_folder(given.calibrate)]
        for words, few in (("onnxruntime's own", False), ("onnxruntime's own, reduce_range", True)):
            arrays = (array for _, array in load_pictures(paths, config.preprocess, shape))
            made = Path(folder) / f"own{int(few)}.onnx"
            files[words] = onnxruntimes_own(given.model, made, arrays, reduce_range=few)
        labelled = labelled_pictures(given.labels, given.images)
        samples = [
            array[np.newaxis]
            for _, array in load_pictures([p for p, _ in labelled], config.preprocess, shape)
        ]
        labels = [label for _, label in labelled]
        for name, load in RUNTIMES.items():
            try:
                runs = {words: load(path) for words, path in files.items()}
            except ImportError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return MISSING
            times = fastest(list(runs.values()), samples[0])
            rows = [
                [
                    words,
                    f"{sum(int(np.argmax(run(x)) == y) for x, y in zip(samples, labels, strict=True))}",
                    f"{ms:.1f}",
                ]
                for (words, run), ms in zip(runs.items(), times, strict=True)
            ]
            print(f"{name}, {len(samples)} pictures")
            print(markdown_table(("file", "top-1", "ms"), rows), flush=True)
    return PASSED


def _config(given: argparse.Namespace, folder: Path, deploy: str) -> QuantizeConfig:
    keys: dict[str, Any] = {
        "model_dir": str(given.model),
        "image_dir": str(given.calibrate),
        "save_model_path": str(folder),
        "deploy": deploy,
    }
    assigned = dict(assignment.split("=", 1) for assignment in given.keys)
    return load_config(None, keys | {key: parse_yaml_value(text) for key, text in assigned.items()})


def _quantized(given: argparse.Namespace, folder: Path, deploy: str) -> Path:
    return quantize(_config(given, folder, deploy)).model_path


if __name__ == "__main__":
    sys.exit(main())
