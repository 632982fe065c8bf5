"""fully_connected: x [N,K], w [O,K], (b [O]) → y [N,O]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.operators.weighted import BIAS, bias_shape, finish, sums, sums_fit, weights
from ptq_core.flatfile.tensors import ANY_REAL, Array, Tensor
from ptq_core.numerics import reference


def _check(c: Operator[Clamp]) -> None:
    x, w, y, bias = c.input(0), c.input(1), c.output, c.optional(2)
    c.dim("w", w, 1, x.dims[1])
    c.dim("output", y, 0, x.dims[0])
    c.dim("output", y, 1, w.dims[0])
    bias_shape(c, bias)
    sums_fit(c, bias, None if y.qparams is None else y.qparams.scale)


def _reference(call: Call[Clamp]) -> Array:
    a, x, w, bias = call.attributes, call.value(0), call.value(1), call.optional(2)
    if not call.int8:
        return reference.fully_connected(x, w, bias, a.lo, a.hi)
    return finish(call, reference.fully_connected_i8_sums(x, call.qparams(0).zero_point, w, bias))


def _bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    magnitude = np.abs(x[0]) @ np.abs(x[1]).T
    own = r.own(r.of_products(x[1].shape[1]), magnitude, x[2] if len(x) > 2 else None)
    return r.joined(r.carried(lambda errors, w: errors @ w.T, e[0], x[1]), own)


def _work(_: Clamp, inputs: Sequence[Tensor], y: Tensor) -> int:
    return y.elements * inputs[0].dims[1]


FULLY_CONNECTED = OperatorKind(
    code=2,
    name="fully_connected",
    attributes=Clamp,
    types=ANY_REAL,
    inputs=(Operand("x", rank=2, copied=True), weights(2), BIAS),
    output=sums(2),
    check=_check,
    reference=_reference,
    bound=_bound,
    work=_work,
    weighted=True,
    packs_once=True,
    affine=True,
    apart=lambda _a, _rank: (False, True),
)
