"""Which model is read, and where its quantized form is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptq_core.options.keys import Options, key
from ptq_core.options.shapes import InputShapes, read_shapes


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
    input_shape: InputShapes | None = key(
        "for open dimensions, kept in the written model: 1,3,224,224; of several inputs 1,3,224,224:1,5 in order,"
        " or one NAME:1,3,224,224 each",
        None,
        read=read_shapes,
    )
