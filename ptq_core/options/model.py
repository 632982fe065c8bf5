"""Which model is read, and where its quantized form is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptq_core.options.keys import Options, bad_value, key


@dataclass(frozen=True)
class ModelOptions(Options):
    """The files. Paths are relative to the current directory."""

    model_dir: Path = key("folder with the FP32 ONNX model (or the .onnx file itself)")
    save_model_path: Path = key("folder to write the quantized model to")
    model_filename: str | None = key(
        "name of the .onnx file in model_dir [default: the only one there]", None
    )
    params_filename: str | None = key(
        "name of the external-data file in model_dir, if the model has one", None
    )
    input_shape: tuple[int, ...] | None = key("the input's shape, where the model leaves it open", None)

    def __post_init__(self) -> None:
        if self.input_shape is not None and any(value < 1 for value in self.input_shape):
            raise bad_value("input_shape", list(self.input_shape), "dimensions of at least 1")
        super().__post_init__()
