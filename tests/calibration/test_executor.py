"""`executor`: cuda is refused with the package to install where it is not there, and never replaced in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from ptq_core.calibration import calibrate
from ptq_core.config import QuantizeConfig
from ptq_core.errors import DeviceError
from ptq_core.graph.session import open_session
from tests.calibration.conftest import MakeModel

CUDA = "CUDAExecutionProvider"


def test_cuda_that_is_not_in_this_build(
    two_steps: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    config = QuantizeConfig(model_dir=tmp_path, save_model_path=tmp_path, executor="cuda")
    samples = [np.ones((3, 8, 8), np.float32)]
    with pytest.raises(DeviceError, match=CUDA) as caught:
        calibrate(two_steps(), ["twice"], config, {"input": (1, 3, 8, 8)}, samples=samples)
    assert "onnxruntime-gpu" in caught.value.fix
    assert caught.value.exit_code == 3


def test_cuda_that_does_not_start(two_steps: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime answers with a session on the CPU then."""
    original = onnxruntime.InferenceSession

    def on_the_cpu(model: Any, options: Any, providers: list[str]) -> Any:
        assert providers == [CUDA, "CPUExecutionProvider"]
        return original(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_the_cpu)
    with pytest.raises(DeviceError, match="could not start"):
        open_session(two_steps(), provider="cuda")


def test_cpu(two_steps: MakeModel) -> None:
    assert open_session(two_steps()).get_providers() == ["CPUExecutionProvider"]
