"""What points at a wrong input is said, and right inputs are not warned of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptq_core.calibration import CalibrationResult
from ptq_core.calibration.statistics import Scratch, TensorStatistics
from ptq_core.config import QuantizeConfig, load_config
from ptq_core.quantize import advice

TORCHVISION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
IN_PIXELS = {key: [value * 255 for value in values] for key, values in TORCHVISION.items()}


def configuration(**keys: Any) -> QuantizeConfig:
    return load_config(None, {"model_dir": "m", "save_model_path": "q", "image_dir": "p", **keys})


def said(values: tuple[float, ...] | None, pictures: int = 100, **keys: Any) -> str:
    """All warnings for an input of these values (None: it was not observed)."""
    config = configuration(**keys)
    statistics = {}
    if values is not None:
        statistics["x"] = TensorStatistics("x")
        statistics["x"].update(np.float32(values), Scratch(), str, samples=1)
    return "\n".join(advice.warnings(config, CalibrationResult(statistics, pictures), "x"))


@pytest.mark.parametrize(
    ("values", "keys", "words"),
    [
        (
            (-2.0, 1111.0),
            {"preprocess": TORCHVISION},
            "the input reaches 1111: mean 0.485,0.456,0.406 and std",
        ),
        (None, {"preprocess": TORCHVISION}, "the input reaches 1136"),
        (None, {"preprocess": {"std": [0.5]}}, "multiply both by 255"),
        ((0.0, 1.0), {"pictures": 3}, "calibrated on 3 pictures only"),
        ((0.0, 1.0), {"pictures": 1}, "calibrated on 1 picture only"),
        ((-1.0, -1.0), {}, "all values of all pictures are -1 after preprocessing"),
        ((0.0, 1.0), {"weight_bits": 2}, "weight_bits is 2: so few levels"),
        ((0.0, 1.0), {"weight_bits": 3, "activation_bits": 1}, "weight_bits is 3 and activation_bits is 1"),
    ],
)
def test_said(values: tuple[float, ...] | None, keys: dict[str, Any], words: str) -> None:
    assert words in said(values, **keys)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ((-2.1, 2.6), {"preprocess": IN_PIXELS}),
        (None, {"preprocess": IN_PIXELS}),
        ((0.0, 255.0), {}),  # the normalization may be inside the model
        ((-127.0, 128.0), {"preprocess": {"mean": [127.5]}}),
        ((0.0, 1.0), {"preprocess": {"std": [255]}}),
        ((-2.1, 2.6), {"preprocess": TORCHVISION}),  # arrays, which are not preprocessed
        ((0.0, 1.0), {"weight_bits": 4, "activation_bits": 4}),
    ],
)
def test_not_said(values: tuple[float, ...] | None, keys: dict[str, Any]) -> None:
    assert said(values, **keys) == ""


def test_the_hint_is_for_integers() -> None:
    (hint,) = advice.hints(configuration())
    assert "session.x64quantprecision" in hint
    for other in ({"algo": "weight_only"}, {"activation_bits": 16}):
        assert advice.hints(configuration(**other)) == ()
