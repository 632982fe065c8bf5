"""The YAML configuration of `ptq quantize` as frozen dataclasses, checked key by key.

A dataclass field is a configuration key; its metadata carries the help text, so the command line, the checks and the
documentation come from one table.
"""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from ptq_core.carried import ROOT, recipes
from ptq_core.errors import InputError

DEFAULT_SKIP_SCOPE = "skip_quant"
"""The scope that the ancestors always honour; used when `skip_quant` is not given."""

DEFAULT_OP_TYPES = ("conv2d", "depthwise_conv2d", "mul")


def key(help_text: str, default: Any = MISSING) -> Any:
    """A configuration key: a dataclass field with its help text; required when it has no default."""
    metadata = {"help": help_text}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class PreprocessConfig:
    """How a picture becomes a model input. `mean` and `std` are in 0–255 units: x' = (x − mean) / std."""

    resize: tuple[int, ...] | None = key("stretch to [height, width]", None)
    resize_short: int | None = key("scale the shorter side to this many pixels", None)
    center_crop: tuple[int, ...] | None = key("cut [height, width] (or one number) from the centre", None)
    mean: tuple[float, ...] = key("per channel, in 0-255 units", (0.0, 0.0, 0.0))
    std: tuple[float, ...] = key("per channel, in 0-255 units", (1.0, 1.0, 1.0))
    channel_order: Literal["RGB", "BGR", "GRAY"] = key("order of the channels", "RGB")
    layout: Literal["NCHW", "NHWC"] = key("order of the axes", "NCHW")

    def __post_init__(self) -> None:
        channels = 1 if self.channel_order == "GRAY" else 3
        for name in ("mean", "std"):
            values: tuple[float, ...] = getattr(self, name)
            if len(values) == 1:
                object.__setattr__(self, name, values * channels)
            elif (
                self.channel_order == "GRAY" and values == PreprocessConfig.__dataclass_fields__[name].default
            ):
                object.__setattr__(self, name, values[:1])
            elif len(values) != channels:
                raise _bad_value(
                    f"preprocess.{name}", list(values), f"{channels} number(s) for {self.channel_order}"
                )
        if not all(math.isfinite(value) for value in self.mean):
            raise _bad_value("preprocess.mean", list(self.mean), "finite numbers")
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise _bad_value(
                "preprocess.std", list(self.std), "finite numbers above zero: pixels are divided by it"
            )
        if self.resize is not None and self.resize_short is not None:
            raise InputError(
                "preprocess has both `resize` and `resize_short`",
                rule="`resize` stretches to a size, `resize_short` keeps the proportions; only one can hold",
                fix="remove one of them",
            )
        for name in ("resize", "center_crop"):
            size: tuple[int, ...] | None = getattr(self, name)
            if size is None:
                continue
            if len(size) not in (1, 2) or any(value < 1 for value in size):
                raise _bad_value(f"preprocess.{name}", list(size), "[height, width], both at least 1")
            object.__setattr__(self, name, (size[0], size[-1]))
        if self.resize_short is not None and self.resize_short < 1:
            raise _bad_value("preprocess.resize_short", self.resize_short, "at least 1")


@dataclass(frozen=True)
class QuantizeConfig:
    """All that `ptq quantize` can be told. Paths are relative to the current directory."""

    model_dir: Path = key("folder with the FP32 ONNX model (or the .onnx file itself)")
    save_model_path: Path = key("folder to write the quantized model to")
    model_filename: str | None = key(
        "name of the .onnx file in model_dir [default: the only one there]", None
    )
    params_filename: str | None = key(
        "name of the external-data file in model_dir, if the model has one", None
    )
    image_dir: Path | None = key("folder of calibration pictures", None)
    image_list: Path | None = key("file with one picture per line: name, and maybe a label", None)
    preprocess: PreprocessConfig = key("how a picture becomes an input", PreprocessConfig())
    algo: Literal["KL", "abs_max", "direct", "min_max", "avg", "hist", "mse", "emd", "weight_only"] = key(
        "threshold algorithm of the activations; weight_only needs no pictures", "KL"
    )
    hist_percent: float = key("share of the values that algo hist keeps", 0.99999)
    weight_bits: int = key("bits of the weights, 1-16", 8)
    activation_bits: int = key("bits of the activations, 1-16", 8)
    weight_quantize_type: Literal["channel_wise_abs_max", "abs_max", "channel_wise_mse", "mse"] = key(
        "one scale per output channel or one per tensor, from the maximum or of least squared error",
        "channel_wise_abs_max",
    )
    store_int4: bool = key("store weights of at most 4 bits as ONNX INT4", False)
    activation_symmetric: bool = key("zero point 0; false fits range and zero point to each tensor", True)
    quantizable_op_type: tuple[str, ...] = key("op types to quantize, Paddle or ONNX names", DEFAULT_OP_TYPES)
    is_full_quantize: bool = key(
        "quantize every op type that can be, where an int8 operator reads the result", False
    )
    skip_quant: tuple[str, ...] | None = key(
        "name scopes to leave in float, matched on whole path segments [default: skip_quant, if there is one]",
        None,
    )
    skip_nodes: tuple[str, ...] = key("nodes to leave in float, by name; * stands for anything", ())
    skip_tensor_list: tuple[str, ...] = key("operators that read these tensors stay in float", ())
    bias_correction: bool = key("correct the biases for the mean error that quantization adds", False)
    equalize: bool = key("cross-layer equalization of the weights before quantization", False)
    round_type: Literal["round", "adaround"] = key("how weights are rounded", "round")
    executor: Literal["cpu", "cuda"] = key("onnxruntime provider of the calibration", "cpu")
    batch_size: int = key("pictures per batch", 10)
    batch_nums: int | None = key("batches to use [default: all]", None)
    is_use_cache_file: bool = key("keep calibration statistics in cache_dir and reuse them", False)
    cache_dir: Path = key("folder of the calibration cache", Path("temp_post_training"))
    skip_bad_images: bool = key("leave out pictures that cannot be decoded instead of stopping", False)
    input_shape: tuple[int, ...] | None = key("the input's shape, where the model leaves it open", None)
    check: bool = key(
        "measure what is lost, and run the written model once, in onnxruntime and in our runtime", True
    )

    def __post_init__(self) -> None:
        for name, low, high in (("weight_bits", 1, 16), ("activation_bits", 1, 16)):
            if not low <= getattr(self, name) <= high:
                raise _bad_value(name, getattr(self, name), f"a whole number from {low} to {high}")
        if self.algo == "weight_only" and (self.bias_correction or self.round_type == "adaround"):
            raise InputError(
                "`algo` is weight_only, together with `bias_correction` or `round_type: adaround`",
                rule="these measure activations on pictures, which weight_only does without",
                fix="leave them out, or choose another algo",
            )
        if self.round_type == "adaround" and self.weight_bits == 1:
            raise InputError(
                "`round_type` is adaround, but `weight_bits` is 1",
                rule="1-bit weights are signs: there is nothing to round up or down",
                fix="use round_type: round",
            )
        if self.store_int4 and self.weight_bits > 4:
            raise InputError(
                f"`store_int4` is true, but `weight_bits` is {self.weight_bits}",
                rule="INT4 holds at most 4 bits",
                fix="set weight_bits to 4 or less, or leave store_int4 out",
            )
        if not 0 < self.hist_percent <= 1:
            raise _bad_value("hist_percent", self.hist_percent, "a share above 0, up to 1")
        for name in ("batch_size", "batch_nums"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise _bad_value(name, getattr(self, name), "at least 1")
        if self.input_shape is not None and any(value < 1 for value in self.input_shape):
            raise _bad_value("input_shape", list(self.input_shape), "dimensions of at least 1")
        if not self.quantizable_op_type and not self.is_full_quantize:
            raise _bad_value("quantizable_op_type", [], "at least one op type, or is_full_quantize: true")


def load_config(path: Path | None, overrides: Mapping[str, Any] | None = None) -> QuantizeConfig:
    """Read ``path`` (a YAML file, or the name of a recipe; None for no file) and lay ``overrides`` (dotted keys allowed) over it.

    Raises InputError for a missing or malformed file, an unknown key (naming the nearest known one), a value of the wrong
    type or out of range, or a missing required key.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_yaml(_found(path))
    for name, value in (overrides or {}).items():
        target = values
        *parents, last = name.split(".")
        for parent in parents:
            child = target.get(parent)
            if child is None:
                child = target[parent] = {}
            if not isinstance(child, dict):
                raise _bad_value(parent, child, "a mapping of keys")
            target = child
        target[last] = value
    return typing.cast(QuantizeConfig, from_mapping(QuantizeConfig, values, str(path or "the command line")))


def from_text(cls: type, name: str, text: str) -> Any:
    """Turn the command-line ``text`` of key ``name`` of ``cls`` into a plain value: lists are separated by commas."""
    hint = value_type(cls, name)
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return [_scalar(item, part.strip()) for part in text.strip("[]").split(",") if part.strip()]
    return _scalar(hint, text)


def value_type(cls: type, name: str) -> Any:
    """The type of key ``name`` of ``cls`` where it is given: without None."""
    hint = typing.get_type_hints(cls)[name]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(hint) if a is not type(None))
    return hint


def _scalar(hint: Any, text: str) -> Any:
    return parse_yaml_value(text) if hint in (bool, int, float) else text


def parse_yaml_value(text: str) -> Any:
    """A YAML value given on the command line; raises InputError if it is not valid YAML."""
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise InputError(
            f"`{text}` is not a YAML value: {' '.join(str(error).split())}",
            rule="values on the command line are written as in the YAML file",
            fix="check quotes, brackets and braces",
        ) from None


def from_mapping(cls: type, values: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """Build the config dataclass ``cls`` from plain YAML values, checking names and types."""
    known = {f.name: f for f in fields(cls)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean `{prefix}{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise InputError(
                f"unknown key `{prefix}{name}` in {where}", rule="every key must be a known one", fix=hint
            )
    hints = typing.get_type_hints(cls)
    missing = [name for name, f in known.items() if _required(f) and values.get(name) is None]
    if missing:
        raise InputError(
            f"missing {', '.join(f'`{prefix}{name}`' for name in missing)} in {where}",
            rule="these keys have no default",
            fix="set them in the YAML file or with the flag of the same name",
        )
    converted = {
        name: _convert(hints[name], value, f"{prefix}{name}", where)
        for name, value in values.items()
        if value is not None or not _required(known[name])
    }
    return cls(**converted)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and reads 1e-3 as a number as JSON and YAML 1.2 do."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key_node.value}` stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _found(path: Path) -> Path:
    """``path``, or the recipe of that name."""
    return path if path.exists() else recipes().get(str(path), path)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"no configuration file {path}",
            rule="-c names a YAML file or a recipe",
            fix=f"check the path; recipes: {', '.join(recipes())}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read {path}: {error}",
            rule="the configuration is a UTF-8 text file",
            fix="check the file",
        ) from None
    try:
        values = yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise InputError(
            f"{path} is not valid YAML: {' '.join(str(error).split())}",
            rule="the configuration is a YAML mapping `key: value`",
            fix="correct the line that it names",
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(
            f"{path} holds a {type(values).__name__}, not a mapping",
            rule="the configuration is a YAML mapping `key: value`",
            fix=f"see {ROOT / 'configs'} for examples",
        )
    return values


def _required(f: Field[Any]) -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _bad_value(name: str, value: object, rule: str) -> InputError:
    return InputError(f"`{name}` is {value!r}", rule=f"`{name}` takes {rule}", fix="correct the value")


def _convert(hint: Any, value: Any, name: str, where: str) -> Any:
    """Convert a YAML or command-line ``value`` to the type ``hint``; strings stay strict except for numbers."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, name, where)
    if origin is Literal:
        if value in args:
            return value
        lowered = {str(a).lower(): a for a in args}
        if isinstance(value, str) and value.lower() in lowered:
            return lowered[value.lower()]
        near = difflib.get_close_matches(str(value), [str(a) for a in args], n=1)
        raise InputError(
            f"`{name}` is {value!r} in {where}",
            rule=f"`{name}` is one of {', '.join(map(str, args))}",
            fix=f"did you mean `{near[0]}`?" if near else "choose one of them",
        )
    if origin is tuple:
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return tuple(_convert(args[0], item, name, where) for item in items)
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        if not isinstance(value, Mapping):
            raise _bad_value(name, value, "a mapping of keys")
        return from_mapping(hint, value, where, prefix=f"{name}.")
    wanted = {Path: "a path", str: "text", bool: "true or false", int: "a whole number", float: "a number"}[
        hint
    ]
    if hint is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    raise _bad_value(name, value, wanted)
