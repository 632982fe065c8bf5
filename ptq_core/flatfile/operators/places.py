"""Places in a tensor that are computed: lists of indices, what is checked of them, and where they lead."""

from __future__ import annotations

import math

import numpy as np

from ptq_core.flatfile.operators.attributes import Attributes
from ptq_core.flatfile.operators.call import OutOfRangeError
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, Scales
from ptq_core.flatfile.tensors import MOVABLE, Array, DType, Tensor

INDICES = Operand("indices", dict.fromkeys(MOVABLE, (DType.I32, DType.I64)), scales=Scales.NONE, table=True)
"""[…, K]: each row names the element of the first K dimensions, or what of the others lies behind it. Negative ones count from
the end."""


def check_places(c: Operator[Attributes], what: str, y: Tensor) -> None:
    """``y``, called ``what``, has an element of x's other dimensions for each row of the indices."""
    x, indices = c.input(0), c.input(1)
    if not indices.dims or not 1 <= indices.dims[-1] <= len(x.dims):
        c.refuse("indices", f"rows of {list(indices.dims)}", f"of 1 … {len(x.dims)} indices")
    count = indices.dims[-1]
    dims = indices.dims[:-1] + x.dims[count:]
    c.rank(what, y, len(dims))
    for axis, size in enumerate(dims):
        c.dim(what, y, axis, size)


def places(indices: Array, dims: tuple[int, ...]) -> Array:
    """The number of each row of ``indices`` among the elements of the first dimensions of ``dims``, int64 [rows].

    Raises OutOfRangeError for an index that does not exist.
    """
    rows = indices.reshape(-1, indices.shape[-1]).astype(np.int64)
    sizes = np.array(dims[: rows.shape[1]], np.int64)
    if ((rows < -sizes) | (rows >= sizes)).any():
        raise OutOfRangeError("an index does not exist")
    rows = np.where(rows < 0, rows + sizes, rows)
    strides = [math.prod(sizes[i + 1 :].tolist()) for i in range(len(sizes))]
    return np.asarray((rows * np.array(strides, np.int64)).sum(axis=1))


def in_rows(x: Array, count: int) -> Array:
    """``x`` as [elements of its first ``count`` dimensions, the others]."""
    return x.reshape(math.prod(x.shape[:count]), -1)
