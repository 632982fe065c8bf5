"""The real MobileNetV1-0.75 with real photographs: accuracy, memory, and agreement bit for bit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.calibration.preprocess import read_picture
from ptq_core.calibration.readers import labelled_pictures
from ptq_core.config import QuantizeConfig, load_config
from ptq_core.evaluate.accuracy import evaluate
from ptq_core.optimize.pipeline import optimize
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.quantize.pipeline import quantize
from ptq_core.runtime import Program as RuntimeProgram
from tests.agreement import Array, compare, flat_file, onnxruntime_integers, reference_integers
from tests.needs import ROOT

pytestmark = pytest.mark.real

FP32_HITS = 174
"""Of the 200 labelled photographs, with the float model in onnxruntime."""

PREPROCESS = PreprocessOptions(resize_short=256, center_crop=(224,), mean=(127.5,), std=(127.5,))


def configuration(data: Path, out: Path, **keys: Any) -> QuantizeConfig:
    return QuantizeConfig(
        model_dir=data / "models" / "mobilenet_v1_075.onnx",
        save_model_path=out,
        image_dir=data / "images" / "calib",
        preprocess=PREPROCESS,
        **keys,
    )


@pytest.fixture(scope="module")
def quantized(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default configuration's INT8 model (KL, 100 photographs)."""
    out = tmp_path_factory.mktemp("mobilenet") / "int8"
    assert quantize(configuration(shared_data, out)).pictures == 100
    return out / "model.onnx"


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> list[Array]:
    paths = [
        path
        for path, _ in labelled_pictures(shared_data / "images" / "dev.txt", shared_data / "images" / "dev")
    ]
    return [read_picture(path, PREPROCESS, (3, 224, 224))[np.newaxis] for path in paths[::67]]


def accuracy(model: Path, data: Path) -> int:
    report = evaluate(model, data / "images" / "dev.txt", PREPROCESS, image_dir=data / "images" / "dev")
    assert report.count == 200
    return round(report.top1 * report.count)


def test_accuracy_stays_within_one_and_a_half_points(
    shared_data: Path, quantized: Path, tmp_path: Path
) -> None:
    fp32 = accuracy(shared_data / "models" / "mobilenet_v1_075.onnx", shared_data)
    assert fp32 == FP32_HITS
    assert fp32 - accuracy(quantized, shared_data) <= 3  # 1.5 points
    flat_file(quantized, tmp_path / "int8.nb")
    assert fp32 - accuracy(tmp_path / "int8.nb", shared_data) <= 3


@pytest.mark.parametrize(("quant_type", "lost", "ratio"), [("QUANT_INT16", 0, 1.9), ("QUANT_INT8", 2, 3.8)])
def test_weight_only_compression(
    shared_data: Path, tmp_path: Path, quant_type: str, lost: int, ratio: float
) -> None:
    """`opt --quant-model`: int16 weights change no answer, int8 ones at most a point; the file is a half or a quarter."""
    source = shared_data / "models" / "mobilenet_v1_075.onnx"
    report = optimize(source, tmp_path / "small.nb", targets=("host",), quant_type=quant_type, verify=True)
    assert report.compressed is not None
    assert report.compressed.tensors == 28
    assert source.stat().st_size / report.size_bytes > ratio
    assert abs(FP32_HITS - accuracy(tmp_path / "small.nb", shared_data)) <= lost


def test_half_precision_costs_no_accuracy(shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models" / "mobilenet_v1_075.onnx"
    report = optimize(model, tmp_path / "fp16.nb", targets=("host",), enable_fp16=True, verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    assert model.stat().st_size / report.size_bytes > 1.9
    assert abs(accuracy(tmp_path / "fp16.nb", shared_data) - FP32_HITS) <= 1


@pytest.mark.parametrize(("recipe", "lost"), [("fast", 3), ("accurate", 1), ("per_tensor", 10)])
def test_recipes_keep_their_promise(shared_data: Path, tmp_path: Path, recipe: str, lost: int) -> None:
    """`accurate` loses at most 0.5 points, per-tensor weights at most 5 (which without the recipe are ruined, below)."""
    overrides = {
        "model_dir": shared_data / "models" / "mobilenet_v1_075.onnx",
        "image_dir": shared_data / "images" / "calib",
        "save_model_path": tmp_path / "int8",
        "preprocess": {"resize_short": 256, "center_crop": 224, "mean": [127.5], "std": [127.5]},
    }
    quantize(load_config(ROOT / "configs" / "recipes" / f"{recipe}.yaml", overrides))
    assert FP32_HITS - accuracy(tmp_path / "int8" / "model.onnx", shared_data) <= lost


def test_per_tensor_weights_ruin_this_model(shared_data: Path, tmp_path: Path) -> None:
    """The control: if this passed too, per-channel scales would not be what saves the accuracy."""
    quantize(configuration(shared_data, tmp_path / "int8", weight_quantize_type="abs_max", batch_nums=2))
    assert accuracy(tmp_path / "int8" / "model.onnx", shared_data) < 20


def test_the_file_shrinks(shared_data: Path, quantized: Path) -> None:
    fp32 = (shared_data / "models" / "mobilenet_v1_075.onnx").stat().st_size
    assert fp32 / quantized.stat().st_size > 3.6


def test_report_accounts_for_every_operator(quantized: Path) -> None:
    report = json.loads((quantized.parent / "quantization.json").read_text())
    by_status: dict[str, int] = {}
    for op in report["ops"]:
        by_status[op["status"]] = by_status.get(op["status"], 0) + 1
        assert op["status"] == "quantized" or op["reason"]
    assert by_status == {"quantized": 28, "folded": 27, "fused": 27, "float": 3}


@pytest.mark.parametrize("full", [False, True])
def test_integers_agree_bit_for_bit(
    shared_data: Path, photographs: list[Array], tmp_path: Path, full: bool
) -> None:
    quantize(configuration(shared_data, tmp_path / "int8", is_full_quantize=full, batch_nums=2))
    program = flat_file(tmp_path / "int8" / "model.onnx", tmp_path / "int8.nb")
    with RuntimeProgram(tmp_path / "int8.nb") as runtime:
        for x in photographs:
            judged = onnxruntime_integers(tmp_path / "int8" / "model.onnx", x)
            reference = compare(judged, reference_integers(program, x))
            observed = {
                name: values
                for name, (_, values) in runtime.run_observed(x).items()
                if values.dtype == np.int8
            }
            ours = compare(judged, observed)
            assert reference.tensors == ours.tensors == (29 if full else 28)
            assert reference.elements > 3_800_000
            assert reference.different == ours.different == {}


QUANTIZE_AND_REPORT_MEMORY = """
import sys
from ptq_cli.main import run
from tests.memory import peak_megabytes
code = run(sys.argv[1:])
print("peak", peak_megabytes())
sys.exit(code)
"""


def peak_memory_mb(data: Path, out: Path, batches: int) -> float:
    """Peak resident memory of a whole `ptq quantize` process, MB."""
    arguments = [
        "quantize", "--model-dir", str(data / "models/mobilenet_v1_075.onnx"), "--image-dir", str(data / "images/calib"),
        "--resize-short", "256", "--center-crop", "224", "--mean", "127.5", "--std", "127.5",
        "--batch-nums", str(batches), "--save-model-path", str(out),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", QUANTIZE_AND_REPORT_MEMORY, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"peak ([\d.]+)", done.stdout)
    assert found
    return float(found.group(1))


def test_memory_does_not_grow_with_the_pictures(shared_data: Path, tmp_path: Path) -> None:
    """The lower of two runs each: what the allocator happens to keep only ever adds."""
    few, many = (
        min(peak_memory_mb(shared_data, tmp_path / f"{batches}_{run}", batches) for run in range(2))
        for batches in (2, 10)
    )
    assert many <= 400
    assert abs(many - few) <= 0.1 * many
