"""How far a float kernel's result may lie from exact arithmetic, propagated operator by operator (docs/numerics.md).

Within an operator the bound is the page's worst case. From operator to operator errors are joined as independent ones, by
the root of the sum of squares: the worst case grows with the product of all layers' norms and is infinite for MobileNetV1,
while rounding errors behave as independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis",
SIAM J. Sci. Comput. 41(5), 2019). Over the few operators that stand for a node of a model they are added up (`Roundoff`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.interpreter import interpret
from ptq_core.flatfile.operators.roundoff import SLACK, SUBNORMAL_STEP, UNITS, Roundoff
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType


def error_bounds(program: Program, inputs: Sequence[Array]) -> list[Array]:
    """Per output, a float64 array: how large |float kernel − exact| may be for these inputs, in real units.

    Two programs that both keep to docs/numerics.md differ by at most twice that. Operators that read or write integers are
    exact where what they read is. Raises ValueError where it is not: one flipped rounding is not small there, and such
    programs are compared with ==.
    """
    program = expand_weights(program)
    values = interpret(program, inputs)
    bounds: dict[int, Array] = {
        i: np.zeros(t.dims) for i, t in enumerate(program.tensors) if t.is_constant or i in program.inputs
    }
    for op in program.ops:
        operands = [cast(Array, values[i]) for i in op.reads]
        y = cast(Array, values[op.outputs[0]])
        incoming = [bounds[i] for i in op.reads]
        if is_float(op, operands, y):
            bounds[op.outputs[0]] = error_bound(op, operands, incoming, y)
        elif any(e.any() for e in incoming):
            raise ValueError(f"{op.kind.name} {op.name} is not a float operator and reads inexact values")
        else:
            bounds[op.outputs[0]] = np.zeros(y.shape)
    return [bounds[i] for i in program.outputs]


def is_float(op: Op, operands: Sequence[Array], y: Array) -> bool:
    """True if ``op``, which makes ``y`` of ``operands``, computes on floats and has a rule here."""
    floats = op.kind.data(operands)
    return op.kind.bound is not None and all(v.dtype in (np.float32, np.float16) for v in (*floats, y))


def error_bound(
    op: Op, operands: Sequence[Array], incoming: Sequence[Array], y: Array, roundoff: Roundoff | None = None
) -> Array:
    """The bound of ``y`` (float32, float16) that ``op`` makes of ``operands``, whose own are ``incoming``; float64.

    By default of ``y``'s own type, with independent errors.
    """
    half = y.dtype == np.float16
    r = roundoff or Roundoff(UNITS[DType.F16 if half else DType.F32])
    exact = y.astype(np.float64)
    assert op.kind.bound is not None
    bound = op.kind.bound(op.attributes, [v.astype(np.float64) for v in operands], list(incoming), exact, r)
    if half:  # every operator rounds what it writes
        bound = r.joined(bound, r.unit * np.abs(exact)) + SLACK * SUBNORMAL_STEP
    return np.asarray(np.broadcast_to(bound, y.shape))
