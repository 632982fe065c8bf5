"""Two classifiers and two detectors (unnamed nodes, Gather/Reshape/Transpose chains, opsets 9 to 17): the output stays close."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ptq_core.calibration.preprocess import read_picture
from ptq_core.config import QuantizeConfig
from ptq_core.graph.session import open_session
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.quantize.pipeline import quantize
from tests.quantize.harness import Array

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Real:
    preprocess: PreprocessOptions
    shape: tuple[int, int, int]
    least_db: dict[str, float]
    """Output → SQNR in dB over ten photographs, a little below what was measured."""
    quantized: tuple[int, int]
    """Operators in int8 by default, and with is_full_quantize."""


MODELS = {
    "mobilenet_v1_075": Real(
        PreprocessOptions(resize_short=256, center_crop=(224,), mean=(127.5,), std=(127.5,)),
        (3, 224, 224),
        {"prob": 7.5},  # behind a Softmax, which magnifies what differs in the logits
        (28, 29),
    ),
    "resnet8_cifar10": Real(PreprocessOptions(resize=(32, 32)), (3, 32, 32), {"output": 17.5}, (10, 15)),
    "FastestDet": Real(
        PreprocessOptions(resize=(352, 352), std=(255.0,), channel_order="BGR"),
        (3, 352, 352),
        {"758": 9.0},  # int8 weights alone leave 17.5 dB: a network of 240 k weights has no redundancy
        (70, 158),
    ),
    "Ultraface": Real(
        PreprocessOptions(resize=(240, 320), mean=(127.0,), std=(128.0,)),
        (3, 240, 320),
        {"scores": 38.0, "boxes": 41.5},
        (52, 54),
    ),
}


@pytest.fixture(scope="module")
def pictures(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "images" / "dev").iterdir())[::20]


def outputs(model: Path, real: Real, pictures: list[Path]) -> dict[str, Array]:
    session = open_session(model)
    fed, names = session.get_inputs()[0].name, [o.name for o in session.get_outputs()]
    runs = [
        session.run(None, {fed: read_picture(p, real.preprocess, real.shape)[np.newaxis]}) for p in pictures
    ]
    return {name: np.stack([run[index] for run in runs]) for index, name in enumerate(names)}


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_stay_close(
    shared_data: Path, pictures: list[Path], tmp_path: Path, name: str, full: bool
) -> None:
    real, source = MODELS[name], shared_data / "models" / f"{name}.onnx"
    report = quantize(
        QuantizeConfig(
            model_dir=source,
            save_model_path=tmp_path / "int8",
            image_dir=shared_data / "images" / "calib",
            preprocess=real.preprocess,
            is_full_quantize=full,
            batch_nums=2,
        )
    )
    assert report.quantized_ops == real.quantized[full]
    want, got = outputs(source, real, pictures), outputs(report.model_path, real, pictures)
    assert want.keys() == got.keys() == real.least_db.keys()
    for output, least in real.least_db.items():
        assert sqnr_db(want[output], got[output]) > least
