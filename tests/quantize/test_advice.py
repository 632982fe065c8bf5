"""What points at a wrong input is said, and right inputs are not warned of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptq_core.calibration import CalibrationResult
from ptq_core.calibration.statistics import Scratch, TensorStatistics
from ptq_core.config import QuantizeConfig, load_config
from ptq_core.quantize import advice
from ptq_core.quantize.samples import FewSamples

TORCHVISION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
IN_PIXELS = {key: [value * 255 for value in values] for key, values in TORCHVISION.items()}


def configuration(**keys: Any) -> QuantizeConfig:
    return load_config(None, {"model_dir": "m", "save_model_path": "q", "image_dir": "p", **keys})


def said(
    values: tuple[float, ...] | None, pictures: int = 100, few: FewSamples | None = None, **keys: Any
) -> str:
    """All warnings for an input of these values (None: it was not observed)."""
    config = configuration(**keys)
    statistics = {}
    if values is not None:
        statistics["x"] = TensorStatistics("x")
        statistics["x"].update(np.array(values, np.float32), Scratch(), str, samples=1)
    seen = advice.Observed(
        config,
        config.preprocess,
        CalibrationResult(statistics, pictures),
        statistics.get("x"),
        few=few or FewSamples(),
    )
    return "\n".join(advice.warnings(seen))


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


def arrays(
    *tops: float, least: float = 0, shape: tuple[int, ...] = (3, 4, 4), decoded: bool = False
) -> FewSamples:
    """A sample for each of ``tops``: from ``least`` to that."""
    samples = [np.linspace(least, top, int(np.prod(shape)), dtype=np.float32).reshape(shape) for top in tops]
    return FewSamples([{"x": sample} for sample in samples], decoded)


def flat(*values: float) -> list[dict[str, np.ndarray[Any, Any]]]:
    return [{"x": np.full((3, 4, 4), value, np.float32)} for value in values]


DECODED = arrays(1, 2, decoded=True)


@pytest.mark.parametrize(
    ("few", "keys", "words"),
    [
        (DECODED, {"preprocess": {"std": [1 / 255]}}, "give 1 / factor: 255,255,255"),
        (DECODED, {"preprocess": {"mean": [127.5], "std": [0.0171]}}, "std 0.0171,0.0171,0.0171 looks like a factor"),
        (DECODED, {"preprocess": {"mean": [0.5]}}, "multiply it by 255: 127.5,127.5,127.5"),
        (DECODED, {"preprocess": {"mean": [0.485, 0.456, 0.406], "std": [58.4]}}, "by less than one level"),
        (DECODED, {"preprocess": {"mean": [31000]}}, "mean 31000,31000,31000 is no pixel's value"),
        (DECODED, {"preprocess": {"mean": [-127.5]}}, "is no pixel's value"),
        (DECODED, {"preprocess": {"std": [65025]}}, "leaves inputs a contrast of 0.0039"),
        (arrays(1111, 900, least=-2.1), {}, "input x has three colours and values from -2.1 to 1111"),
        (arrays(509, 505, least=-1, shape=(4, 4, 3)), {}, "the mean and std of pixels of 0-1"),
        (arrays(0.0039, 0.003), {}, "no value beyond 0.0039: were pixels divided by 255 twice"),
        (arrays(1, 1, 1), {}, "the 3 pictures looked at are all the same"),
        (FewSamples(arrays(1).samples + flat(0, 7)), {}, "2 of 3 pictures looked at have one value everywhere"),
        (FewSamples(flat(0, 1)), {}, "2 of 2 pictures looked at"),
    ],
)  # fmt: skip
def test_said_of_samples(few: FewSamples, keys: dict[str, Any], words: str) -> None:
    (warning,) = said(None, few=few, **keys).splitlines()
    assert words in warning


@pytest.mark.parametrize(
    ("few", "keys"),
    [
        (DECODED, {}),
        (DECODED, {"preprocess": {"std": [255]}}),
        (DECODED, {"preprocess": {"mean": [104, 117, 123]}}),
        (DECODED, {"preprocess": {"mean": [128], "std": [256]}}),
        (DECODED, {"preprocess": IN_PIXELS}),
        (arrays(255, 250), {}),
        (arrays(65535, 60000), {}),  # 16 bits
        (arrays(3000, 2000, least=-1000), {}),  # slices of a scan
        (arrays(3.4, 3.1, least=-2.1), {}),
        (arrays(0.02, 0.01, least=-0.02), {}),
        (arrays(0.01, 0.02), {"preprocess": {"std": [1 / 255]}}),
        (FewSamples([a | {"y": np.zeros((2, 1, 4), np.float32)} for a in arrays(1, 2).samples]), {}),  # a state
        (FewSamples(arrays(1).samples + flat(1)), {}),
        (arrays(1, 0.9), {"preprocess": {"mean": [0.5]}}),  # arrays, which are not preprocessed
        (arrays(1, 0.9), {"preprocess": TORCHVISION}),
        (arrays(3000, 2000, shape=(1, 4, 4)), {}),  # one channel may be anything
        (arrays(0.001, 0.002, shape=(16, 4, 4)), {}),
        (arrays(1, 1, shape=(9,)), {}),  # a mask
        (arrays(1), {}),
        (FewSamples(arrays(1, 2, 3).samples + flat(1)), {}),
    ],
)  # fmt: skip
def test_not_said_of_samples(few: FewSamples, keys: dict[str, Any]) -> None:
    assert said(None, few=few, **keys) == ""
