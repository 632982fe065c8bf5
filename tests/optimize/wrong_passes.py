"""Passes with a bug, which the verification must notice."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.attributes import Clamp, Pool2d
from ptq_core.flatfile.program import OpKind, Program, Tensor


def other_bound(program: Program) -> list[str]:
    """Relu as Relu1.5: differs where a value is larger."""
    program.ops = [
        dataclasses.replace(op, attributes=dataclasses.replace(op.attributes, hi=1.5))
        if isinstance(op.attributes, Clamp) and op.kind == OpKind.CONV2D
        else op
        for op in program.ops
    ]
    return []


def other_weight(program: Program) -> list[str]:
    """One weight of a convolution is a hundredth larger than the largest."""
    for op in program.ops:
        if op.kind == OpKind.CONV2D:
            index = op.inputs[1]
            assert index is not None
            tensor: Tensor = program.tensors[index]
            assert tensor.data is not None
            data = tensor.data.copy()
            data.reshape(-1)[0] = np.abs(data).max() * 1.01
            program.tensors[index] = dataclasses.replace(tensor, data=data)
    return []


def other_padding(program: Program) -> list[str]:
    """An average that takes its padding for values."""
    program.ops = [
        dataclasses.replace(op, attributes=dataclasses.replace(op.attributes, count_include_pad=1))
        if isinstance(op.attributes, Pool2d)
        else op
        for op in program.ops
    ]
    return []
