"""The flags of `ptq quantize`: one for every key of the configuration, in groups."""

from __future__ import annotations

import typing
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal

import click

from ptq_cli.flags import FileName, Group, default_words, group, option, path
from ptq_core.config import QuantizeConfig, from_text, parse_yaml_value, value_type
from ptq_core.errors import InputError
from ptq_core.options.preprocess import PreprocessOptions

NESTED = "preprocess"
"""The one key whose value is itself a mapping; its keys are flags of their own."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "Model": ("model_dir", "save_model_path", "model_filename", "params_filename", "input_shape"),
    "Calibration pictures": ("image_dir", "image_list", "batch_size", "batch_nums", "skip_bad_images"),
    "How a picture becomes an input (`preprocess` in YAML)": tuple(
        f"{NESTED}.{f.name}" for f in fields(PreprocessOptions)
    ),
    "What is quantized": (
        "quantizable_op_type", "is_full_quantize", "skip_quant", "skip_nodes", "skip_tensor_list",
    ),
    "How it is quantized": (
        "algo", "weight_bits", "activation_bits", "weight_quantize_type", "activation_symmetric", "hist_percent",
        "store_int4",
    ),
    "More accuracy": ("bias_correction", "equalize", "round_type"),
    "Where it runs": ("deploy",),
    "The run": ("check", "is_use_cache_file", "cache_dir", "executor"),
}  # fmt: skip
"""Heading → keys, those that are needed most often first; `preprocess.mean` is `--mean`."""


METAVARS = {Path: "PATH", bool: "[BOOL]", int: "N", float: "NUMBER", tuple: "A,B,..."}


def _field(dotted: str) -> tuple[type, Field[Any]]:
    """The dataclass of a key, and its field in it."""
    cls = PreprocessOptions if dotted.startswith(f"{NESTED}.") else QuantizeConfig
    return cls, cls.__dataclass_fields__[dotted.rpartition(".")[2]]


def _parameter(dotted: str) -> str:
    """What click calls the flag of a key."""
    return dotted.replace(".", "__")


def _options(dotted: str) -> Iterator[click.Option]:
    """The flag of a key; its text is not read here but as the configuration reads it."""
    cls, f = _field(dotted)
    name, hint = f.name.replace("_", "-"), value_type(cls, f.name)
    choices = f" ({', '.join(typing.get_args(hint))})" if typing.get_origin(hint) is Literal else ""
    text = f.metadata["help"] + choices + default_words(None if f.default is MISSING else f.default)
    is_bool, several = hint is bool, f.metadata["read"] is not None
    if f.default is True:
        text += f", also --no-{name}"
        yield option(f"--no-{name}", f"no__{_parameter(dotted)}", flag_value="false", hidden=True)
    yield option(
        f"--{name}",
        _parameter(dotted),
        metavar="SHAPE" if several else METAVARS.get(typing.get_origin(hint) or hint, "NAME"),
        type=FileName(path_type=str) if hint is Path else None,
        is_flag=False,
        multiple=several,
        flag_value="true" if is_bool else None,
        help=text,
    )


_CONFIGURATION = (
    group(
        "Configuration",
        path("-c", "--config", help="YAML file, or a recipe: accurate, fast, per_tensor; flags win over it"),
        option(
            "--set",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="set any key, e.g. preprocess.std=[1,1,1]",
        ),
    ),
)


def config_groups(without: Container[str] = ()) -> tuple[Group, ...]:
    """The groups of all keys but those in ``without``, which have no meaning to a command."""
    groups = list(_CONFIGURATION)
    for heading, keys in KEYS.items():
        options = [each for dotted in keys if dotted not in without for each in _options(dotted)]
        if options:
            groups.append(group(heading, *options))
    return tuple(groups)


def overrides(
    assignments: Iterable[str], flags: Mapping[str, str | tuple[str, ...] | None]
) -> dict[str, Any]:
    """Dotted key → plain value of the ``flags`` and the ``assignments`` of --set, which win. Raises InputError."""
    given = _given_keys(flags)
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator:
            raise InputError(
                f"--set {assignment}", rule="--set takes KEY=VALUE", fix="e.g. --set algo=abs_max"
            )
        given[key.strip()] = parse_yaml_value(value)
    return given


def _given_keys(flags: Mapping[str, str | tuple[str, ...] | None]) -> dict[str, Any]:
    given = {}
    for dotted in (dotted for keys in KEYS.values() for dotted in keys):
        parameter = _parameter(dotted)
        text = flags.get(parameter) or flags.get(f"no__{parameter}")
        if isinstance(text, str):
            cls, f = _field(dotted)
            given[dotted] = from_text(cls, f.name, text)
        elif text:
            given[dotted] = text
    return given
