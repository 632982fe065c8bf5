"""MobileNetV1-0.75 and its photographs: accuracy of the preprocessing, thresholds, memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_core.calibration import calibrate, find_range
from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.readers import labelled_pictures
from ptq_core.config import QuantizeConfig
from ptq_core.graph.session import open_session
from ptq_core.options.preprocess import PreprocessOptions

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
MODEL = Path("models/mobilenet_v1_075.onnx")
PREPROCESS = PreprocessOptions(resize_short=256, center_crop=(224, 224), mean=(127.5,), std=(127.5,))

PEAK_MEMORY = """
import sys
from pathlib import Path
from tests.calibration.test_real import calibrate_mobilenet
from tests.memory import peak_megabytes
calibrate_mobilenet(Path(sys.argv[1]), int(sys.argv[2]))
print(peak_megabytes())
"""


def calibrate_mobilenet(shared_data: Path, pictures: int) -> dict[str, tuple[float, float]]:
    """(KL threshold, max |x|) of the input and every Clip output."""
    model = (shared_data / MODEL).read_bytes()
    clips = [node.output[0] for node in onnx.load_from_string(model).graph.node if node.op_type == "Clip"]
    config = QuantizeConfig(
        model_dir=shared_data,
        save_model_path=shared_data,
        image_dir=shared_data / "images" / "calib",
        preprocess=PREPROCESS,
        batch_nums=pictures // 10,
    )
    result = calibrate(model, ["input", *clips], config, {"input": (1, 3, 224, 224)})
    assert result.pictures == pictures
    return {name: (find_range(s, config).high, s.abs_max) for name, s in result.statistics.items()}


def test_preprocessing_reaches_the_known_accuracy(shared_data: Path) -> None:
    listed = labelled_pictures(shared_data / "images" / "calib.txt", shared_data / "images" / "calib")
    session = open_session(shared_data / MODEL)
    hits = 0
    pictures = load_pictures([path for path, _ in listed], PREPROCESS, (3, 224, 224))
    for (_, sample), (_, label) in zip(pictures, listed, strict=True):
        hits += int(np.argmax(session.run(None, {"input": sample[np.newaxis]})[0])) == label
    assert abs(hits - 72) <= 1  # 72 of 100 known; a Pillow release may move one picture


def test_thresholds(shared_data: Path) -> None:
    thresholds = calibrate_mobilenet(shared_data, 20)
    assert len(thresholds) == 28
    for name, (threshold, abs_max) in thresholds.items():
        assert 0.8 * abs_max < threshold <= abs_max, (
            name
        )  # Relu6 has a spike at 6, so there is little to clip


def test_memory_does_not_grow_with_the_pictures(shared_data: Path) -> None:
    """Whole process, in MB; 100 pictures must stay below 400 and near the memory that 20 need."""
    peaks = {}
    for pictures in (20, 100):
        command = [sys.executable, "-c", PEAK_MEMORY, str(shared_data), str(pictures)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        peaks[pictures] = float(done.stdout.split()[-1])
    assert peaks[100] <= 300
    assert peaks[100] <= 1.25 * peaks[20]  # the largest pictures are among the later ones
