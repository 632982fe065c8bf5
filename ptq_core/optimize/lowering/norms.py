"""The powers and roots that Lp norms are made of."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.operators.binary import MUL, POW
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import Activation, Constant, Lowering, Unsupported


def squares(context: Lowering, node_name: str, name: str, x: Activation) -> Activation:
    """x²."""
    return combine(context, MUL, node_name, name, x, x)


def sizes(context: Lowering, node_name: str, name: str, x: Activation) -> Activation:
    """|x|."""
    return apply(context, UnaryFunction.ABS, node_name, name, x)


def powers(context: Lowering, node_name: str, name: str, x: Activation, p: int) -> Activation:
    """|x|^p, p ≥ 1; ``name`` is that of the norm."""
    if p < 1:
        raise Unsupported(f"its norm is of order {p}, not 1 or more")
    if p == 2:
        return squares(context, node_name, f"{name}:squares", x)
    size = sizes(context, node_name, f"{name}:sizes", x)
    if p == 1:
        return size
    exponent = Constant(np.array(p, np.float32))
    return combine(context, POW, node_name, f"{name}:powers", size, exponent)


def root(context: Lowering, node_name: str, name: str, total: Activation, p: int) -> Activation:
    """The p-th root of ``total``, a sum of powers; itself for p = 1."""
    if p == 1:
        return total
    if p == 2:
        return apply(context, UnaryFunction.SQRT, node_name, name, total)
    return combine(context, POW, node_name, name, total, Constant(np.array(1 / p, np.float32)))
