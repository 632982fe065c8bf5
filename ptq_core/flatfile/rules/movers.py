"""Rules of operators that only move elements."""

from __future__ import annotations

from ptq_core.flatfile.attributes import Concat, Dilate, Gather, Pad, Slice
from ptq_core.flatfile.checks import ANY_REAL, FLOAT_OR_INT8, Entries, Operator
from ptq_core.flatfile.layout import MAX_RANK
from ptq_core.flatfile.program import DType, Tensor
from ptq_core.flatfile.refusal import shown


def _moved(c: Operator) -> tuple[Tensor, Tensor]:
    x, y = c.input(0), c.output
    c.dtype("x", x, FLOAT_OR_INT8)
    c.dtype("output", y, (x.dtype,))
    return x, y


def concat(c: Operator, _: Entries) -> None:
    y, a = c.output, c.op.attributes
    assert isinstance(a, Concat)
    c.dtype("output", y, ANY_REAL)
    c.activation(a)
    c.axis(a.axis, y)
    inputs = [c.input(i) for i in range(len(c.inputs))]
    for x in inputs:
        c.dtype("x", x, (y.dtype,))
        c.rank("x", x, len(y.dims))
        for axis, size in enumerate(y.dims):
            if axis != a.axis:
                c.dim("x", x, axis, size)
    c.dim("output", y, a.axis, sum(x.dims[a.axis] for x in inputs))
    for x in inputs:
        c.per_tensor("x", x)
        c.per_tensor("output", y)


def transpose(c: Operator, entries: Entries) -> None:
    x, y = _moved(c)
    rank, perm = len(x.dims), entries["perm"]
    c.rank("output", y, rank)
    for i in range(MAX_RANK):
        if perm[i] >= rank or perm[i] in perm[:i] if i < rank else perm[i] != 0:
            c.refuse(f"perm[{i}]", perm[i], f"a permutation of {rank} dimensions, 0 beyond")
        if i < rank:
            c.dim("output", y, i, x.dims[perm[i]])
    c.per_tensor("x", x)
    c.same_qparams(x, y)


def reshape(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("output", y, (x.dtype,))
    if x.elements != y.elements:
        c.refuse(f"output {shown(y.name)}", f"{y.elements} elements", f"as many as the input, {x.elements}")
    c.per_tensor("x", x)
    c.same_qparams(x, y)


def pad(c: Operator, entries: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Pad)
    x, y = _moved(c)
    c.rank("output", y, len(x.dims))
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    for d, (before, after) in enumerate(zip(entries["before"], entries["after"], strict=True)):
        if d >= len(x.dims) and (before or after):
            c.refuse(f"before[{d}], after[{d}]", f"{before}, {after}", "0 beyond the rank")
        if d < len(x.dims):
            c.dim("output", y, d, before + x.dims[d] + after)
    c.filler(x.dtype, a.value, a.q_value)


def slice(c: Operator, entries: Entries) -> None:
    assert isinstance(c.op.attributes, Slice)
    x, y = _moved(c)
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    c.rank("output", y, len(x.dims))
    for d, (start, step) in enumerate(zip(entries["start"], entries["step"], strict=True)):
        if d >= len(x.dims):
            if start or step:
                c.refuse(f"start[{d}], step[{d}]", f"{start}, {step}", "0 beyond the rank")
            continue
        if step == 0:
            c.refuse(f"step[{d}]", 0, "not 0")
        last = start + (y.dims[d] - 1) * step
        if not (0 <= start < x.dims[d] and 0 <= last < x.dims[d]):
            c.refuse(f"start[{d}], step[{d}]", f"reads {start} … {last}", f"a dimension of {x.dims[d]}")


def gather(c: Operator, _: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Gather)
    x, y = _moved(c)
    indices = c.input(1)
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    c.axis(a.axis, x)
    c.dtype("indices", indices, (DType.I32,))
    c.constant("indices", indices)
    c.unquantized("indices", indices)
    c.rank("indices", indices, 1)
    assert indices.data is not None
    outside = (indices.data < 0) | (indices.data >= x.dims[a.axis])
    if outside.any():
        k = int(outside.argmax())
        c.refuse(f"indices {shown(indices.name)} [{k}]", indices.data[k], f"0 … {x.dims[a.axis] - 1}")
    c.rank("output", y, len(x.dims))
    for axis, size in enumerate(x.dims):
        c.dim("output", y, axis, indices.dims[0] if axis == a.axis else size)


def dilate(c: Operator, entries: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Dilate)
    x, y = _moved(c)
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    c.rank("output", y, len(x.dims))
    for d, step in enumerate(entries["step"]):
        if step < 1 if d < len(x.dims) else step != 0:
            c.refuse(f"step[{d}]", step, "at least 1, 0 beyond the rank")
        if d < len(x.dims):
            c.dim("output", y, d, (x.dims[d] - 1) * step + 1)
    c.filler(x.dtype, a.value, a.q_value)
