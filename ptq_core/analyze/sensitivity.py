"""One walk through the float and the quantized model that measures every operator: alone in int8, alone in float.

At each piece of the chain the values that are alive are kept for all samples of a round, of both models. A change of one operator
runs from there to the outputs. How many samples a round has is bounded by memory, not how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptq_core.analyze.chain import Alive, Chain, Program
from ptq_core.analyze.outputs import OutputNoise
from ptq_core.analyze.rounding import Rounding
from ptq_core.graph.session import open_session, run_session
from ptq_core.numerics.metrics import Noise

MEMORY_BYTES = 200 * 2**20
"""Bound of the values kept between two pieces, for all samples of a round and both models (one sample may exceed it)."""


@dataclass
class _Side:
    """A model that others differ from: the float one, or all of the configuration. ``outputs`` for each sample."""

    rounding: Rounding
    program: Program
    outputs: list[Alive] = field(default_factory=list)
    alive: list[Alive] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """A model that differs from ``side`` from piece ``start`` on, None: nowhere."""

    side: _Side
    program: Program
    start: int | None
    noise: OutputNoise


class Walk:
    """``feeds``: for each sample what the model is fed. ``full`` is what the configuration rounds.

    ``progress`` is called with the number of runs done of `runs`.
    """

    def __init__(
        self, chain: Chain, full: Rounding, feeds: Sequence[Alive], progress: Callable[[int], None]
    ) -> None:
        self._chain, self._feeds, self._progress = chain, feeds, progress
        self._float, self._full = (_Side(each, chain.program(each)) for each in (Rounding(), full))
        self._largest = 1

    def compare(
        self, observed: Sequence[str]
    ) -> tuple[OutputNoise, dict[str, Noise], dict[str, tuple[int, ...]]]:
        """Run both models on every sample: noise at the outputs, of ``observed`` inner values, and the shapes of these."""
        sides = (self._float, self._full)
        programs = [self._chain.program(side.rounding, seen=observed) for side in sides]
        base, inside = OutputNoise(self._chain.outputs), {name: Noise() for name in observed}
        shapes: dict[str, tuple[int, ...]] = {}
        for feed in self._feeds:
            alive, outputs = [feed, feed], [Alive(), Alive()]
            for index in range(len(self._chain.pieces)):
                self._largest = max(self._largest, *map(_bytes, alive))
                seen = []
                for which, program in enumerate(programs):
                    alive[which], found = program.step(index, alive[which])
                    outputs[which] |= {name: found[name] for name in self._chain.outputs if name in found}
                    seen.append(found)
                for name in inside.keys() & seen[0].keys():
                    wanted, got = seen[0][name], seen[1][name]
                    shapes[name] = wanted.shape
                    if wanted.dtype.kind == "f" and wanted.shape == got.shape:
                        inside[name].add(wanted, got)
            base.add(*outputs)
            for side, found in zip(sides, outputs, strict=True):
                side.outputs.append(found)
            self._progress(2)
        return base, inside, shapes

    def alone(self, rounding: Rounding) -> _Job:
        """The float model but for ``rounding``."""
        return self._job(self._float, rounding)

    def without(self, rounding: Rounding) -> _Job:
        """A model that is nearly all int8."""
        return self._job(self._full, rounding)

    def run(self, jobs: Sequence[_Job]) -> list[OutputNoise]:
        """Noise at the outputs of each of ``jobs``; after `compare`."""
        by_start: dict[int, list[_Job]] = {}
        for job in jobs:
            by_start.setdefault(len(self._chain.pieces) if job.start is None else job.start, []).append(job)
        for first, last in self._rounds():
            self._round(first, last, by_start)
        return [job.noise for job in jobs]

    def written(self, model: bytes) -> OutputNoise:
        """Noise at the outputs of ``model``, ModelProto bytes with integers in it; after `compare`."""
        session = open_session(model, low_memory=True)
        noise = OutputNoise(self._chain.outputs)
        names = list(self._chain.outputs)
        for feed, wanted in zip(self._feeds, self._float.outputs, strict=True):
            results = run_session(
                session, names, feed, rule="the model runs on the pictures", fix="check the export"
            )
            noise.add(wanted, dict(zip(names, results, strict=True)))
            self._progress(1)
        return noise

    def _job(self, side: _Side, rounding: Rounding) -> _Job:
        program = self._chain.program(rounding, like=side.program)
        start = program.first_difference(side.program)
        return _Job(side, program, start, OutputNoise(self._chain.outputs))

    def _rounds(self) -> Iterator[tuple[int, int]]:
        size = max(1, MEMORY_BYTES // (2 * self._largest))
        for first in range(0, len(self._feeds), size):
            yield first, min(first + size, len(self._feeds))

    def _round(self, first: int, last: int, by_start: Mapping[int, Sequence[_Job]]) -> None:
        for side in (self._float, self._full):
            side.alive = list(self._feeds[first:last])
        end = len(self._chain.pieces)
        for index in range(end + 1):
            for job in by_start.get(index, ()):
                for number, alive in enumerate(job.side.alive, start=first):
                    changed = job.program.outputs(index, alive)
                    job.noise.add(self._float.outputs[number], {**job.side.outputs[number], **changed})
                job.program.close()
                self._progress(last - first)
            if index < max(by_start, default=0):
                for side in (self._float, self._full):
                    side.alive = [side.program.step(index, alive)[0] for alive in side.alive]


def _bytes(values: Alive) -> int:
    return sum(array.nbytes for array in values.values())
