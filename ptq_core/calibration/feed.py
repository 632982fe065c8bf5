"""How samples become what a model is fed: stacked to its batch, in its types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ptq_core.calibration.samples import whole_inputs
from ptq_core.errors import InputError


@dataclass(frozen=True)
class Feed:
    """Input name → type; the ``batch`` that the model is fixed to, None if open; the inputs without one, ``whole``.

    Beside inputs without a batch an open one is 1.
    """

    types: Mapping[str, np.dtype[Any]]
    batch: int | None
    whole: frozenset[str]

    @classmethod
    def of(cls, graph: onnx.GraphProto, names: Iterable[str]) -> Feed:
        """For the inputs ``names`` of ``graph``."""
        inputs = {value.name: value.type.tensor_type for value in graph.input}
        shapes = {name: [dim.dim_value for dim in inputs[name].shape.dim] for name in names}
        whole = whole_inputs({name: [size or 1 for size in shape] for name, shape in shapes.items()})
        fixed = next((shape[0] for shape in shapes.values() if shape), 0)
        types = {name: onnx.helper.tensor_dtype_to_np_dtype(inputs[name].elem_type) for name in shapes}
        return cls(types, fixed or (1 if whole else None), whole)

    def stacked(self, samples: Sequence[Mapping[str, NDArray[Any]]], batch: int) -> dict[str, NDArray[Any]]:
        """``samples`` as arrays [batch, …] by input name; the last is repeated where there are fewer than ``batch``.

        Of inputs without a batch all samples have the same. Raises InputError where they differ, and where a type cannot be
        converted.
        """
        padded = [*samples, *[samples[-1]] * (batch - len(samples))]
        fed = {}
        for name, dtype in self.types.items():
            arrays = [sample[name] for sample in padded]
            fed[name] = _cast(_the_same(arrays, name) if name in self.whole else _stack(arrays), dtype, name)
        return fed


def without_padding(array: NDArray[Any], rows: int, batch: int) -> NDArray[Any]:
    """Of an ``array`` that a model made of ``rows`` samples padded to ``batch``, those of the samples: where its first dimension
    is the batch."""
    return array[:rows] if array.ndim and len(array) == batch else array


def _stack(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return (
        arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
    )  # large models run one by one: no copy


def _the_same(arrays: Sequence[NDArray[Any]], name: str) -> NDArray[Any]:
    first, *others = arrays
    if not all(np.array_equal(first, other) for other in others):
        raise InputError(
            f"samples that the model takes at once differ in the input `{name}`",
            rule="it has no batch: samples of one batch share it",
            fix="export the model with a batch of 1, or give all samples the same",
        )
    return first


def _cast(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    if np.can_cast(array.dtype, dtype, "same_kind"):
        return array.astype(dtype, copy=False)
    raise InputError(
        f"a sample of the input `{name}` is {array.dtype}",
        rule=f"the model takes {dtype}; numbers are converted to it, but not complex to real or real to whole ones",
        fix=f"convert it to {dtype}",
    )
