"""Checks that several operators share: the twin of runtime/src/ops/checks.h, with the same words for fields."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import numpy as np

from ptq_core.flatfile.operators.attributes import (
    GEOMETRY,
    INT8_MAX,
    INT8_MIN,
    INT32_MAX,
    INT32_MIN,
    Attributes,
)
from ptq_core.flatfile.refusal import FlatFileError, shown
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor

FILLERS = {DType.I8: (INT8_MIN, INT8_MAX), DType.U8: (0, 255), DType.BOOL: (0, 1)}
"""What a filler may be; of other types, anything that its field holds."""

MAX_WINDOW = 2**22
"""Elements of a pooling window, and of an int8 mean: their int32 sum stays exact."""

Entries = Mapping[str, tuple[int, ...]]
"""Attribute arrays of an operator, whole: name → entries."""


@dataclass(frozen=True)
class Window:
    """One dimension of a convolution or pooling; ``axis`` is its name, as `height` or `width`."""

    axis: str
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """Elements from the first tap to the last, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def is_padding(self, position: int, size: int) -> bool:
        """True if no tap of output ``position`` lies inside an input of ``size``."""
        start = position * self.stride - self.before
        first = 0 if start >= 0 else -(start // self.dilation)
        return first >= self.kernel or start + first * self.dilation >= size


A = TypeVar("A", bound=Attributes, covariant=True)


@dataclass(frozen=True)
class Operator(Generic[A]):
    """An operator under test: its operands, and checks that raise FlatFileError naming it.

    ``entries`` are the attribute arrays as they lie in the file, all 8 entries of them.
    """

    where: str
    attributes: A
    entries: Entries
    inputs: Sequence[Tensor | None]
    output: Tensor

    def input(self, i: int) -> Tensor:
        """A required input."""
        tensor = self.inputs[i]
        assert tensor is not None
        return tensor

    def optional(self, i: int) -> Tensor | None:
        """An input that may be absent."""
        return self.inputs[i] if i < len(self.inputs) else None

    def refuse(self, field: str, problem: object, rule: str) -> NoReturn:
        """Raise for ``field`` of this operator."""
        raise FlatFileError(f"{self.where} {field}", str(problem), rule)

    def _refuse_tensor(self, what: str, tensor: Tensor, field: str, problem: object, rule: str) -> NoReturn:
        self.refuse(f"{what} {shown(tensor.name)} {field}", problem, rule)

    def dtype(self, what: str, tensor: Tensor, allowed: Iterable[DType]) -> None:
        if tensor.dtype not in allowed:
            wanted = " or ".join(dtype.label for dtype in allowed)
            self._refuse_tensor(what, tensor, "dtype", tensor.dtype.label, f"expected {wanted}")

    def rank(self, what: str, tensor: Tensor, rank: int) -> None:
        if len(tensor.dims) != rank:
            self._refuse_tensor(what, tensor, "rank", len(tensor.dims), f"expected {rank}")

    def dim(self, what: str, tensor: Tensor, axis: int, expected: int) -> None:
        if tensor.dims[axis] != expected:
            self._refuse_tensor(what, tensor, f"dims[{axis}]", tensor.dims[axis], f"expected {expected}")

    def same_shape(self, x: Tensor, y: Tensor) -> None:
        self.rank("output", y, len(x.dims))
        for axis, size in enumerate(x.dims):
            self.dim("output", y, axis, size)

    def broadcast(self, *tensors: Tensor) -> None:
        """The output's shape is that of ``tensors`` by numpy broadcasting."""
        rank = max(len(tensor.dims) for tensor in tensors)
        self.rank("output", self.output, rank)
        shapes = [(1,) * (rank - len(tensor.dims)) + tensor.dims for tensor in tensors]
        for axis, sizes in enumerate(zip(*shapes, strict=True)):
            if not {*sizes} <= {1, max(sizes)}:
                self.refuse(
                    "inputs", f"dimension {axis} is {' and '.join(map(str, sizes))}", "shapes broadcast"
                )
            self.dim("output", self.output, axis, max(sizes))

    def same_qparams(self, x: Tensor, y: Tensor) -> None:
        """For what int8 values keep their meaning through."""
        if x.qparams != y.qparams:
            self.refuse(
                "qparams",
                f"those of {shown(x.name)} and {shown(y.name)} differ",
                "input and output have the same scale and zero point",
            )

    def constant(self, what: str, tensor: Tensor) -> None:
        if not tensor.is_constant:
            self._refuse_tensor(what, tensor, "storage", "arena", "it is a constant")

    def unquantized(self, what: str, tensor: Tensor) -> None:
        if tensor.qparams is not None:
            self._refuse_tensor(what, tensor, "qparams", "present", "there are none")

    def per_tensor(self, what: str, tensor: Tensor) -> None:
        """Activations are never quantized per channel."""
        if tensor.qparams is not None and not tensor.qparams.per_tensor:
            self._refuse_tensor(
                what, tensor, "scale_count", len(tensor.qparams.scales), "activations have one scale"
            )

    def clamp(self, lo: float, hi: float, q_min: int, q_max: int) -> None:
        if not lo <= hi:  # also refuses NaN
            self.refuse("clamp", f"lo {lo}, hi {hi}", "lo ≤ hi")
        if not INT8_MIN <= q_min <= q_max <= INT8_MAX:
            self.refuse("clamp", f"q_min {q_min}, q_max {q_max}", "−128 ≤ q_min ≤ q_max ≤ 127")

    def filler(self, dtype: DType, value: float, q_value: int) -> None:
        least, most = FILLERS.get(dtype, (INT32_MIN, INT32_MAX))
        if not least <= q_value <= most:
            self.refuse("q_value", q_value, f"{least} … {most}")
        if dtype == DType.F32 and math.isnan(value):
            self.refuse("value", "NaN", "a number")

    def multiplier(self, field: str, value: np.float32) -> None:
        """A factor computed from scales: those of a hostile file can overflow it."""
        if not np.isfinite(value):
            self.refuse(
                field, f"the scales give the factor {value}", "factors of scales are finite in float32"
            )

    def kernel(self, window: Window) -> None:
        """Of weights: that of a pooling is an attribute."""
        if not 1 <= window.kernel <= GEOMETRY.most:
            self.refuse(f"{window.axis} kernel", window.kernel, f"1 … {GEOMETRY.most}")

    def window_output(self, window: Window, size: int, output: int) -> None:
        padded = size + window.before + window.after
        if window.reach > padded:
            self.refuse(
                window.axis, f"the kernel reaches over {window.reach}", f"the padded input has {padded}"
            )
        expected = (padded - window.reach) // window.stride + 1
        if output != expected:
            self.refuse(window.axis, f"the output has {output}", f"expected {expected}")

    def no_empty_window(self, window: Window, size: int, output: int) -> None:
        """Only windows that start in the padding can miss the input: the others hold it with their first tap."""
        in_front = min(output, -(-window.before // window.stride))
        behind = max(-(-(size + window.before) // window.stride), 0)
        for position in itertools.chain(range(in_front), range(behind, output)):
            if window.is_padding(position, size):
                self.refuse(
                    window.axis,
                    f"the window of output {position} lies wholly in the padding",
                    "windows hold input",
                )


def scale_of(qparams: QuantParams | None) -> np.float32:
    """The scale of an activation that has one."""
    assert qparams is not None
    return qparams.scale
