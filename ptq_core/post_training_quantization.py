"""The Python API: PaddlePaddle's PostTrainingQuantization for ONNX models, with its parameter names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from ptq_core.calibration.samples import GeneratorSamples
from ptq_core.config import QuantizeConfig, from_mapping
from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.graph.input_shapes import static_shape
from ptq_core.options.quantize import DEFAULT_OP_TYPES
from ptq_core.printable import printable
from ptq_core.quantize.pipeline import (
    MODEL_NAME,
    QuantizedModel,
    quantize_model,
    write_quantized,
)
from ptq_core.quantize.samples import check_restartable
from ptq_core.reports import LossReport

ANCESTOR_ONLY = {
    "activation_quantize_type": "activations are quantized statically by `algo`; see activation_symmetric",
    "deploy_backend": "the model is standard ONNX; `ptq opt --valid-targets` chooses where the flat file runs",
    "freeze_model": "the saved model always holds integer weights",
    "learning_rate": "adaround solves its objective without gradient steps",
    "onnx_format": "the model is always ONNX with QuantizeLinear and DequantizeLinear",
    "optimize_model": "batch norms are always folded",
    "return_graph": "quantize() returns the model",
    "same_scale_tensor_list": "tensors that must share a scale are found in the graph",
    "scale_dict": "scales come from calibration",
}
"""Parameters of the ancestor that are refused, each with the reason."""

Generator = Callable[[], Iterable[Any]] | Iterable[Any]


class PostTrainingQuantization:
    """Quantize an FP32 ONNX model with calibration samples.

    The parameters are the ancestor's where it has them, and mean the same; every other configuration key of `ptq quantize`
    is a keyword too (`equalize=True`, `preprocess={...}`, `image_dir="pictures"`). All but the first two are keywords only.
    Of the ancestor's, ``scope`` has no meaning for ONNX and must be None, and those in ANCESTOR_ONLY are refused with the
    reason; ``executor`` is "cpu" or "cuda", the onnxruntime provider of the calibration.

    Samples come from one of:
      sample_generator   a function that returns an iterator (or an iterable) of single samples without batch dimension,
      batch_generator    the same, of whole batches,
      data_loader        another name of batch_generator, as in newer ancestors,
      image_dir, image_list   pictures, read and preprocessed as by `ptq quantize`.
    A sample is a float32 array, a tuple or list of arrays in the order of the model's inputs, or a dict by input name.

    >>> ptq = PostTrainingQuantization("cpu", model_dir="fp32", sample_generator=samples)   # doctest: +SKIP
    >>> ptq.quantize()                                                                      # doctest: +SKIP
    >>> ptq.save_quantized_model("int8")                                                    # doctest: +SKIP

    With `is_use_cache_file` a generator's statistics are kept only under a ``content_key``: a text that changes when its
    samples do. `quantize` tells what it noticed as Python warnings.

    Raises InputError for a parameter that is unknown, of the wrong type or out of range.
    """

    def __init__(
        self,
        executor: str = "cpu",
        model_dir: str | Path | None = None,
        *,
        scope: None = None,
        model_filename: str | None = None,
        params_filename: str | None = None,
        sample_generator: Generator | None = None,
        batch_generator: Generator | None = None,
        data_loader: Generator | None = None,
        batch_size: int = 10,
        batch_nums: int | None = None,
        algo: str = "KL",
        hist_percent: float = 0.99999,
        quantizable_op_type: Sequence[str] = DEFAULT_OP_TYPES,
        is_full_quantize: bool = False,
        round_type: str = "round",
        bias_correction: bool = False,
        activation_bits: int = 8,
        weight_bits: int = 8,
        weight_quantize_type: str = "channel_wise_abs_max",
        is_use_cache_file: bool = False,
        cache_dir: str | Path = "temp_post_training",
        skip_tensor_list: Sequence[str] | None = None,
        content_key: str | None = None,
        **keys: Any,
    ) -> None:
        if scope is not None:
            raise InputError(
                "scope is given",
                rule="ONNX models have no scope object; scope must be None",
                fix="leave it out",
            )
        for name in keys.keys() & ANCESTOR_ONLY.keys():
            raise InputError(f"{name} has no meaning here", rule=ANCESTOR_ONLY[name], fix=f"leave {name} out")
        generators = {
            "sample_generator": sample_generator,
            "batch_generator": batch_generator,
            "data_loader": data_loader,
        }
        given = {name: generator for name, generator in generators.items() if generator is not None}
        pictures = [name for name in ("image_dir", "image_list") if keys.get(name) is not None]
        if len(given) > 1 or (given and pictures):
            raise InputError(
                f"samples are given as {', '.join([*given, *pictures])}",
                rule="samples come from one generator, or from pictures",
                fix="keep one of them",
            )
        self._content_key = content_key
        self._generator = next(iter(given.items()), None)
        values = {
            "executor": executor, "model_dir": model_dir, "model_filename": model_filename,
            "params_filename": params_filename, "batch_size": batch_size, "batch_nums": batch_nums, "algo": algo,
            "hist_percent": hist_percent, "quantizable_op_type": list(quantizable_op_type),
            "is_full_quantize": is_full_quantize, "round_type": round_type, "bias_correction": bias_correction,
            "activation_bits": activation_bits, "weight_bits": weight_bits,
            "weight_quantize_type": weight_quantize_type, "is_use_cache_file": is_use_cache_file,
            "cache_dir": cache_dir, "skip_tensor_list": list(skip_tensor_list or ()),
            "save_model_path": ".",  # required by the configuration; save_quantized_model has its own
        }  # fmt: skip
        self._config: QuantizeConfig = from_mapping(
            QuantizeConfig, {**values, **keys}, "PostTrainingQuantization"
        )
        self._source = io.find_model(self._config.model_dir, self._config.model_filename)
        self._result: QuantizedModel | None = None

    def quantize(self) -> onnx.ModelProto:
        """Calibrate and quantize; returns the QDQ model. Raises InputError for a model or samples that do not fit."""
        config = self._config
        model = io.load_model(
            self._source, params_filename=config.params_filename, input_shape=config.input_shape
        )
        samples = None
        if self._generator is not None:
            kind, generator = self._generator
            passes = config.equalize or config.bias_correction or config.round_type == "adaround"
            if passes:  # GeneratorSamples starts anew only what can be
                check_restartable(generator, kind)
            inputs = {str(value.name): static_shape(value) for value in model.graph.inputs}
            samples = GeneratorSamples(generator, inputs, config, batched=kind != "sample_generator")
        self._result = quantize_model(
            model, config, name=self._source.name, samples=samples, content_key=self._content_key
        )
        for warning in self._result.warnings:
            warnings.warn(printable(warning), stacklevel=2)
        return ir.to_proto(self._result.model)

    @property
    def loss(self) -> LossReport | None:
        """What quantization costs, measured by `quantize` on a few samples; None before it and with check=False."""
        return None if self._result is None else self._result.loss

    def save_quantized_model(
        self, save_model_path: str | Path, model_filename: str = MODEL_NAME, params_filename: None = None
    ) -> Path:
        """Write ``save_model_path/model_filename`` and quantization.json; returns the model's path.

        The weights are in the model's own file: ``params_filename`` must be None. Raises InputError if `quantize` was
        not called, or if the float model would be overwritten; DeviceError if the disk refuses; what quantize/check.py raises.
        """
        folder = Path(save_model_path)
        if self._result is None:
            raise InputError(
                "save_quantized_model before quantize",
                rule="there is nothing to save yet",
                fix="call quantize() first",
            )
        if params_filename is not None:
            raise InputError(
                f"params_filename is {params_filename!r}",
                rule="the quantized model holds its weights itself",
                fix="leave params_filename out",
            )
        io.check_not_overwritten(self._source, folder / model_filename)
        written = write_quantized(self._result, self._config, self._source, folder / model_filename)
        for warning in written.warnings:
            warnings.warn(printable(warning), stacklevel=2)
        return folder / model_filename
