"""Records read back from JSON: a file is never believed unseen, and the first wrong field is named."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from ptq_core.errors import InputError
from ptq_core.inputs import MOST_RECORD_BYTES, read_input_text

_T = TypeVar("_T")


def load_record(record: type[_T], path: Path, *, schema: int, written_by: str) -> _T:
    """The ``record`` (a dataclass) that ``written_by`` saved in ``path`` as a JSON object with this ``schema``.

    Keys that the record does not have are ignored; one that is missing takes the field's default. Raises InputError.
    """
    try:
        document = json.loads(read_input_text(path, MOST_RECORD_BYTES))
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}", rule="the file must be readable", fix="check the path"
        ) from error
    except (ValueError, RecursionError):
        raise _refuse(path, "it is not JSON", written_by) from None
    if not isinstance(document, dict) or "schema" not in document:
        raise _refuse(path, "it has no `schema`", written_by)
    if document["schema"] != schema:
        raise _refuse(path, f"its `schema` is {document['schema']!r:.60}, not {schema}", written_by)
    try:
        found: _T = _read(record, document, "")
    except _WrongFieldError as error:
        raise _refuse(path, str(error), written_by) from None
    return found


class _WrongFieldError(Exception):
    """The field, and what it is instead of what it should be."""


def _read(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type ``hint``: records, tuples and mappings of one type, optional and plain values, literals, paths."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        hints = typing.get_type_hints(hint)
        taken = {}
        for field in dataclasses.fields(hint):
            path = f"{where}.{field.name}" if where else field.name
            if field.name in value:
                taken[field.name] = _read(hints[field.name], value[field.name], path)
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise _WrongFieldError(f"`{path}` is missing")
        return hint(**taken)  # type: ignore[operator]
    if origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], entry, f"{where}[{index}]") for index, entry in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _read(arguments[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _read(inner, value, where)
    if origin is Literal and value in arguments:
        return value
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint in (str, int, bool) and type(value) is hint:
        return value
    raise _WrongFieldError(f"`{where or 'the document'}` is {value!r:.60}")


def _refuse(path: Path, problem: str, written_by: str) -> InputError:
    return InputError(
        f"{path}: {problem}",
        rule=f"it must be what {written_by} of this version writes",
        fix=f"write it again with {written_by}",
    )
