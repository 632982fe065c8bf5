"""Replace a chain of reshapes, transposes, slices and gathers (and a quantize) by the one operator that does the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.gather import GATHER, Gather
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.optimize.rewrite import NOTHING, Rewriter, excerpt

MOVING = kinds(lambda kind: kind.moves and not (kind.fills or kind.inputs[0].many or kind.same_bytes))
"""What puts elements elsewhere. A reshape does not, and costs nothing."""

# Numbering more elements than this takes longer than a saved operator is worth.
_MAX_ELEMENTS = 2**24


def collapse_movement(program: Program) -> list[str]:
    """reshape/transpose/slice/gather chains ⇒ one reshape, or one slice or gather of the last dimension.

    The channel shuffle of ShuffleNet between two layout transposes becomes one gather of channels, a head that is brought to
    [N, pixels, values] one reshape. A quantize in the chain comes before it. Requires nothing; inner operators with other
    readers stay for them. Ensures bit-identical values: the chain is run on the numbers of its input's elements.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(RESHAPE, *MOVING):
        chain = _chain(rewriter, op)
        source = rewriter.tensor(chain[0].inputs[0])
        if len(chain) < 2 or source.is_constant or source.elements > _MAX_ELEMENTS:
            continue
        for begin in range(len(chain) - 1):
            moving = sum(link.kind in MOVING for link in chain[begin:])
            simple = _simplest(rewriter, chain[begin:]) if moving else None
            if simple is not None and moving > (simple.kind != RESHAPE):
                rewriter.replace(op, _quantized_first(rewriter, chain[begin:], simple))
                break
    return rewriter.changes


def _quantized_first(rewriter: Rewriter, chain: list[Op], simple: Op) -> list[Op]:
    """``simple`` on the quantized input, if there is a quantize in ``chain``."""
    quantize = next((link for link in chain if link.kind == QUANTIZE), None)
    if quantize is None:
        return [simple]
    x = rewriter.tensor(simple.inputs[0])
    qparams = rewriter.tensor(quantize.outputs[0]).qparams
    early = rewriter.like(f"{x.name}:int8", x.dims, DType.I8, qparams)
    before = Op(QUANTIZE, quantize.name, simple.inputs[:1], (early,), NOTHING)
    return [before, dataclasses.replace(simple, inputs=(early, *simple.inputs[1:]))]


def _chain(rewriter: Rewriter, op: Op) -> list[Op]:
    """The operators from the farthest one that moves, reshapes or quantizes data down to ``op``."""

    def upwards() -> Iterator[Op]:
        link: Op | None = op
        while link is not None:
            yield link
            link = rewriter.producer(link.inputs[0], RESHAPE, QUANTIZE, *MOVING)

    return list(upwards())[::-1]


def _simplest(rewriter: Rewriter, chain: list[Op]) -> Op | None:
    """One operator for ``chain``, None if there is none."""
    source, op = chain[0].inputs[0], chain[-1]
    x, y = rewriter.tensor(source), rewriter.tensor(op.outputs[0])
    numbers = _numbers(rewriter.program, chain).reshape(-1)
    if len(numbers) == x.elements and (numbers == np.arange(x.elements)).all():
        return Op(RESHAPE, op.name, (source,), op.outputs, NOTHING)
    if len(x.dims) != len(y.dims) or x.dims[:-1] != y.dims[:-1]:
        return None
    picks = numbers[: y.dims[-1]]
    rows = np.arange(x.elements // x.dims[-1])[:, None] * x.dims[-1]
    if picks.max() >= x.dims[-1] or (numbers.reshape(-1, len(picks)) != rows + picks).any():
        return None
    steps = set(np.diff(picks).tolist()) or {1}
    if len(steps) == 1 and 0 not in steps:
        inner = len(x.dims) - 1
        part = Slice(start=(*[0] * inner, int(picks[0])), step=(*[1] * inner, steps.pop()))
        return Op(SLICE, op.name, (source,), op.outputs, part)
    indices = rewriter.constant(f"{op.name}/channels", picks.astype(np.int32))
    return Op(GATHER, op.name, (source, indices), op.outputs, Gather(axis=len(x.dims) - 1))


def _numbers(program: Program, chain: list[Op]) -> Array:
    """Which element of the chain's input each element of its output is."""
    links = [dataclasses.replace(op, kind=RESHAPE) if op.kind == QUANTIZE else op for op in chain]
    moved = excerpt(program, links, _as_integers)
    x = moved.tensors[moved.inputs[0]]
    return run(moved, [np.arange(x.elements, dtype=np.int32).reshape(x.dims)])[0]


def _as_integers(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_constant else dataclasses.replace(tensor, dtype=DType.I32, qparams=None)
