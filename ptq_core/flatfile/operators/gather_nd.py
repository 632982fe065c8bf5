"""gather_nd: x, computed indices […, K] → y: what lies in x behind each row of K indices."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OperatorKind, always
from ptq_core.flatfile.operators.places import INDICES, check_places, in_rows, places
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array


def _check(c: Operator[NoAttributes]) -> None:
    check_places(c, "output", c.output)


def _gathered(x: Array, indices: Array, dims: tuple[int, ...]) -> Array:
    return np.asarray(in_rows(x, indices.shape[-1])[places(indices, x.shape)].reshape(dims))


def _reference(call: Call[NoAttributes]) -> Array:
    return _gathered(call.value(0), call.value(1), call.out.dims)


def _bound(_: NoAttributes, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """Behind an index that may be another lies anything."""
    if e[1].any():
        return np.full(y.shape, np.inf)
    return _gathered(e[0], x[1].astype(np.int64), y.shape)


GATHER_ND = OperatorKind(
    code=35,
    name="gather_nd",
    since=lambda _: 4,
    attributes=NoAttributes,
    types=MOVABLE,
    inputs=(MOVED, INDICES),
    check=_check,
    reference=_reference,
    bound=_bound,
    selects=always,
)
