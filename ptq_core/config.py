"""The configuration of `ptq quantize`: the options of its rooms, read from YAML and checked key by key."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from ptq_core.carried import ROOT, recipes
from ptq_core.errors import InputError, cut
from ptq_core.inputs import MOST_CONFIG_BYTES, read_input_text
from ptq_core.options.calibration import CalibrationOptions
from ptq_core.options.keys import bad_value, key
from ptq_core.options.model import ModelOptions
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.plain_yaml import load_yaml

MOST_INT = 2**31
"""Sizes, counts and dimensions are below it."""


@dataclass(frozen=True)
class QuantizeConfig(QuantizeOptions, CalibrationOptions, ModelOptions):
    """All that `ptq quantize` can be told: the keys of all its rooms. A room takes its own part; this is each of them."""


@dataclass(frozen=True)
class AnalyzeConfig(QuantizeConfig):
    """The same for `ptq analyze`, which writes no model: the key that says where to may be missing."""

    save_model_path: Path = key("folder of the quantized model; `ptq analyze` writes none", Path())


Config = TypeVar("Config", bound=QuantizeConfig)


def load_config(path: Path | None, overrides: Mapping[str, Any] | None = None) -> QuantizeConfig:
    """``load_config_as`` for `ptq quantize`."""
    return load_config_as(QuantizeConfig, path, overrides)


def load_config_as(
    kind: type[Config], path: Path | None, overrides: Mapping[str, Any] | None = None
) -> Config:
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
                raise bad_value(parent, child, "a mapping of keys")
            target = child
        target[last] = value
    return typing.cast(Config, from_mapping(kind, values, str(path or "the command line")))


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
        return load_yaml(text)
    except ValueError as error:
        raise InputError(
            f"`{cut(text)}` is not a YAML value: {error}",
            rule="values on the command line are written as in the YAML file",
            fix="check quotes, brackets and braces",
        ) from None


def from_mapping(cls: type, values: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """Build the config dataclass ``cls`` from plain YAML values, checking names and types."""
    known = {f.name: f for f in fields(cls)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(cut(str(name)), known, n=1)
            hint = f"did you mean `{prefix}{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise InputError(
                f"unknown key `{prefix}{cut(str(name))}` in {where}",
                rule="every key must be a known one",
                fix=hint,
            )
    hints = typing.get_type_hints(cls)
    missing = [name for name, f in known.items() if _required(f) and values.get(name) is None]
    if missing:
        raise InputError(
            f"missing {', '.join(f'`{prefix}{name}`' for name in missing)} in {where}",
            rule="these keys have no default",
            fix="set them in the YAML file or with the flag of the same name",
        )
    converted = {}
    for name, value in values.items():
        read = known[name].metadata.get("read")
        if read is not None and value is not None:
            converted[name] = read(value)
        elif value is not None or not _required(known[name]):
            converted[name] = _convert(hints[name], value, f"{prefix}{name}", where)
    return cls(**converted)


def _found(path: Path) -> Path:
    """``path``, or the recipe of that name."""
    return path if path.exists() else recipes().get(str(path), path)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = read_input_text(path, MOST_CONFIG_BYTES)
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
        values = load_yaml(text)
    except ValueError as error:
        raise InputError(
            f"{path} is not valid YAML: {error}",
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
        near = difflib.get_close_matches(cut(str(value)), [str(a) for a in args], n=1)
        raise InputError(
            f"`{name}` is {cut(repr(value))} in {where}",
            rule=f"`{name}` is one of {', '.join(map(str, args))}",
            fix=f"did you mean `{near[0]}`?" if near else "choose one of them",
        )
    if origin is tuple:
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return tuple(_convert(args[0], item, name, where) for item in items)
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        if not isinstance(value, Mapping):
            raise bad_value(name, value, "a mapping of keys")
        return from_mapping(hint, value, where, prefix=f"{name}.")
    wanted = {Path: "a path", str: "text", bool: "true or false", int: "a whole number", float: "a number"}[
        hint
    ]
    if hint is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= MOST_INT:
            raise bad_value(name, value, f"a whole number below {MOST_INT}")
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    raise bad_value(name, value, wanted)
