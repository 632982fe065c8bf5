"""The embedded demo's network without its Softmax, in float and quantized, for tests that run it on devices."""

from __future__ import annotations

from pathlib import Path

import onnx

from ptq_core.config import QuantizeConfig
from ptq_core.optimize.pipeline import optimize
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.quantize.pipeline import quantize


def make_digits_models(digits: Path, folder: Path, *, full: bool, batch_nums: int = 1) -> tuple[Path, Path]:
    """FP32 and INT8 flat files in ``folder``; ``full`` (`is_full_quantize`): int8 but for the first quantize and the logits."""
    model = onnx.load(str(digits / "model" / "model.onnx"))
    softmax = model.graph.node.pop()
    assert softmax.op_type == "Softmax"
    model.graph.output[0].name = softmax.input[0]
    (folder / "fp32").mkdir()
    onnx.save(model, str(folder / "fp32" / "model.onnx"))
    quantize(
        QuantizeConfig(
            model_dir=folder / "fp32",
            save_model_path=folder / "int8",
            image_dir=digits / "calibration_images",
            preprocess=PreprocessOptions(resize=(32, 32), mean=(127.5,), std=(127.5,)),
            is_full_quantize=full,
            skip_quant=(),
            batch_nums=batch_nums,
        )
    )
    for precision in ("fp32", "int8"):
        optimize(folder / precision / "model.onnx", folder / f"{precision}.nb", targets=("host", "arm"))
    return folder / "fp32.nb", folder / "int8.nb"
