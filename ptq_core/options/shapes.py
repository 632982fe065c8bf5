"""Shapes of a model's inputs as they are typed on the command line, and as they stand in YAML and Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptq_core.errors import InputError
from ptq_core.options.keys import bad_value

Shape = tuple[int, ...]

MOST_DIM = 2**31
"""Dimensions are below it."""

MOST_DIGITS = len(str(MOST_DIM))
"""More are not read: Python refuses thousands."""


InputShapes = tuple[Shape, ...] | Mapping[str, Shape]
"""Of all inputs in the model's order, or of some by their names."""


def parse_shapes(texts: Sequence[str]) -> tuple[Shape, ...] | dict[str, Shape] | None:
    """``1,3,224,224``, several ``1,3,224,224:1,5`` in the inputs' order, or ``NAME:1,3,224,224`` per input.

    None for no text. Raises InputError for anything else.
    """
    if not texts:
        return None
    listed: list[Shape] = []
    named: dict[str, Shape] = {}
    for text in texts:
        shapes = [_shape(part) for part in text.split(":")]
        if all(shapes):
            listed += [shape for shape in shapes if shape]
            continue
        name, _, last = text.rpartition(":")
        shape = _shape(last)
        if not name or shape is None:
            raise InputError(
                f"input shape `{text}`",
                rule="a shape is whole numbers from 1 separated by commas, after `NAME:` for one of several inputs",
                fix="e.g. 1,3,224,224 or image:1,3,224,224",
            )
        named[name] = shape
    if listed and named:
        raise InputError(
            f"input shapes {' '.join(texts)}",
            rule="either all shapes have a name or none",
            fix="write NAME:SHAPE for every input",
        )
    return named or tuple(listed)


def _shape(text: str) -> Shape | None:
    parts = [part.strip() for part in text.strip("[] ").split(",")]
    if not all(part.isdecimal() and len(part) <= MOST_DIGITS and 0 < int(part) < MOST_DIM for part in parts):
        return None
    return tuple(int(part) for part in parts)


def read_shapes(value: Any) -> tuple[Shape, ...] | dict[str, Shape]:
    """``value`` of the key `input_shape`: one shape, a list of shapes, a mapping of names to shapes, or text as it is typed.

    Raises InputError for anything else, and for dimensions below 1.
    """
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        return {str(name): _dims(shape) for name, shape in value.items()}
    if not isinstance(value, Sequence) or not value:
        raise bad_value("input_shape", value, RULE)
    if all(isinstance(item, str) for item in value):
        return parse_shapes(value) or ()
    if any(isinstance(item, Sequence) for item in value):
        return tuple(_dims(shape) for shape in value)
    return (_dims(value),)


RULE = "a shape of whole numbers from 1 to 2147483647, a list of shapes, or a mapping of the inputs' names to theirs"


def _dims(shape: Any) -> Shape:
    numbers = isinstance(shape, Sequence) and all(
        type(size) is int and 1 <= size < MOST_DIM for size in shape
    )
    if not numbers or isinstance(shape, str):
        raise bad_value("input_shape", shape, RULE)
    return tuple(shape)
