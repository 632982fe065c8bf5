"""Shapes of a model's inputs: those that the user gives where the model leaves them open, and what is still open."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping, Sequence

import onnx
import onnx_ir as ir

from ptq_core.errors import InputError

Shape = tuple[int, ...]
InputShapes = Shape | Sequence[Shape] | Mapping[str, Shape]
"""Shapes of the model's inputs: that of the only one, all in their order, or some by their names (options/shapes.py)."""

_PICTURE, _LENGTH, _COLOURS = 224, 100, (1, 3, 4)
"""Sizes for examples: of a picture's side, of any other open dimension; how many channels a picture may have."""


def static_shape(value: ir.Value) -> Shape:
    """The shape of input ``value`` with an open batch of 1: its first dimension, and others of that name.

    Other open dimensions are an InputError with shapes that would fit.
    """
    shape = _filled(value, batch_names(_inputs_beside(value)))
    if shape is None or any(d < 1 for d in shape):
        dims = list(value.shape) if value.shape is not None else []
        raise InputError(
            f"input `{value.name}` has the open shape {[d if isinstance(d, int) else str(d) for d in dims]}",
            rule="all dimensions but the batch must be known",
            fix=f"set input_shape, e.g. {_example(value)}",
        )
    return shape


def _filled(value: ir.Value, batch_names: Container[str]) -> Shape | None:
    """The dimensions of ``value``, 1 for the batch, −1 for others that are open; None if there are none."""
    if value.shape is None:
        return None
    shape = [
        d if isinstance(d, int) else 1 if d.value is not None and d.value in batch_names else -1
        for d in value.shape
    ]
    if shape and shape[0] < 1:
        shape[0] = 1
    return tuple(shape)


def _inputs_beside(value: ir.Value) -> Sequence[ir.Value]:
    """All inputs of the graph that ``value`` is one of."""
    return [value] if value.graph is None else value.graph.inputs


def batch_names(inputs: Iterable[ir.Value]) -> set[str]:
    """What ``inputs``, all of a model, call their first dimension where it is open."""
    first = [each.shape[0] for each in inputs if each.shape]
    return {d.value for d in first if not isinstance(d, int) and d.value is not None}


def _example(value: ir.Value) -> str:
    """Shapes as one types them, with the known dimensions and the rank of each input that is open."""
    inputs = _inputs_beside(value)
    names = batch_names(inputs)
    filled = [(each, _filled(each, names)) for each in inputs]
    open_ones = [(each, shape or ()) for each, shape in filled if shape is None or min((1, *shape)) < 1]
    texts = [_example_shape(shape) for _, shape in open_ones]
    if len(inputs) == 1:
        return texts[0]
    return " and ".join(f"{each.name}:{text}" for (each, _), text in zip(open_ones, texts, strict=True))


def _example_shape(shape: Shape) -> str:
    """
    >>> _example_shape((1, -1, -1, -1)), _example_shape((1, -1, -1, 3)), _example_shape((1, 80, -1)), _example_shape(())
    ('1,3,224,224', '1,224,224,3', '1,80,100', '1,3,224,224')
    """
    shape = shape or (1, -1, -1, -1)
    if len(shape) != 4:
        return ",".join(str(_LENGTH if d < 1 else d) for d in shape)
    colours = 3 if shape[3] in _COLOURS and shape[1] < 1 else 1
    return ",".join(str(d if d > 0 else 3 if i == colours else _PICTURE) for i, d in enumerate(shape))


def fix_input_shapes(proto: onnx.ModelProto, shapes: InputShapes, weights: Container[str]) -> None:
    """Write ``shapes`` into the inputs of ``proto`` but ``weights``; InputError where they do not fit what is declared.

    A dimension that other inputs call by the same name gets the same size there, unless they have shapes of their own.
    """
    inputs = [value for value in proto.graph.input if value.name not in weights]
    by_name = _shapes_by_name([value.name for value in inputs], shapes)
    sizes: dict[str, set[int]] = {}
    for value in inputs:
        shape = by_name.get(value.name)
        if shape is None:
            continue
        dims = value.type.tensor_type.shape.dim
        fits = len(dims) == len(shape) and all(
            not d.HasField("dim_value") or d.dim_value == s for d, s in zip(dims, shape, strict=True)
        )
        if not fits:
            declared = [d.dim_param or d.dim_value for d in dims]
            raise InputError(
                f"input_shape {list(shape)} does not fit input `{value.name}` {declared}",
                rule="input_shape fills open dimensions and repeats the fixed ones",
                fix="correct input_shape",
            )
        for d, s in zip(dims, shape, strict=True):
            sizes.setdefault(d.dim_param, set()).add(s)
            d.dim_value = s
    known = {name: size for name, (size, *others) in sizes.items() if name and not others}
    for value in inputs:
        for d in value.type.tensor_type.shape.dim:
            if d.dim_param in known:
                d.dim_value = known[d.dim_param]
    del proto.graph.value_info[:]


def _shapes_by_name(names: list[str], shapes: InputShapes) -> Mapping[str, Shape]:
    """``shapes`` by the inputs' ``names``; InputError for an unknown name or another number of shapes."""
    if isinstance(shapes, Mapping):
        unknown = [name for name in shapes if name not in names]
        if unknown:
            near = difflib.get_close_matches(unknown[0], names, n=1)
            raise InputError(
                f"input_shape names `{unknown[0]}`, which is no input",
                rule=f"the model's inputs are {', '.join(names)}",
                fix=f"did you mean `{near[0]}`?" if near else "correct the name",
            )
        return shapes
    listed = [shape for shape in shapes if not isinstance(shape, int)]
    if len(listed) != len(shapes):
        listed = [tuple(size for size in shapes if isinstance(size, int))]
    if len(listed) != len(names):
        raise InputError(
            f"{len(listed)} input_shape for {len(names)} inputs ({', '.join(names)})",
            rule="shapes without names are given for every input, in the model's order",
            fix="give all of them, separated by `:`, or NAME:SHAPE",
        )
    return dict(zip(names, listed, strict=True))
