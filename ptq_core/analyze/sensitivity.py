"""One walk through the float and the quantized model that measures every operator: alone in int8, alone in float.

At each piece of the chain the values that are alive are kept for all samples of a round, of both models. A change of one operator
runs from there to the outputs. How many samples a round has is bounded by memory, not how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptq_core.analyze.chain import Alive, Array, Chain, Program
from ptq_core.analyze.outputs import OutputNoise, count
from ptq_core.analyze.rounding import Rounding
from ptq_core.calibration.feed import without_padding
from ptq_core.graph.session import open_session, run_session
from ptq_core.numerics.metrics import Noise

MEMORY_BYTES = 200 * 2**20
"""Bound of the values kept between two pieces, and of the outputs, for all samples of a round and both models (one sample may
exceed it)."""


@dataclass
class _Side:
    """A model that others differ from: the float one, or all of the configuration. For each sample of a round what is alive,
    and the outputs."""

    rounding: Rounding
    program: Program
    outputs: list[Alive] = field(default_factory=list)
    alive: list[Alive] = field(default_factory=list)


@dataclass(frozen=True)
class Fed:
    """What a model is fed at once: ``rows`` samples, padded to ``batch``."""

    values: Alive
    rows: int
    batch: int

    def rows_of(self, array: Array) -> Array:
        """Of an ``array`` that a model made of it, that of the samples."""
        return without_padding(array, self.rows, self.batch)

    def real(self, made: Alive) -> Alive:
        """... of all values that it ``made``."""
        return {name: self.rows_of(array) for name, array in made.items()}


@dataclass(frozen=True)
class Job:
    """A model that differs from ``side`` from piece ``start`` on, None: nowhere."""

    side: _Side
    program: Program
    start: int | None
    noise: OutputNoise


class Walk:
    """``feeds``: for each sample, or batch of a fixed size, what the model is fed. ``full`` is what the configuration rounds.

    ``progress`` is called with numbers of runs: those that are done, and those that turn out to be needed.
    """

    def __init__(
        self, chain: Chain, full: Rounding, feeds: Sequence[Fed], progress: Callable[[int, int], None]
    ) -> None:
        self._chain, self._feeds, self._progress = chain, feeds, progress
        self._float, self._full = (_Side(each, chain.program(each)) for each in (Rounding(), full))
        self._largest = 1

    def compare(
        self, observed: Sequence[str]
    ) -> tuple[OutputNoise, dict[str, Noise], dict[str, tuple[int, ...]]]:
        """Run both models on every sample: noise at the outputs, of ``observed`` inner values, and the shapes of these."""
        programs = [self._chain.program(side.rounding, seen=observed) for side in (self._float, self._full)]
        base, inside = OutputNoise(self._chain.outputs), {name: Noise() for name in observed}
        shapes: dict[str, tuple[int, ...]] = {}
        self._progress(0, 2 * len(self._feeds))
        for feed in self._feeds:
            alive, outputs = [feed.values, feed.values], [Alive(), Alive()]
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
                    count(inside[name], feed.rows_of(wanted), feed.rows_of(got))
            base.add(*map(feed.real, outputs))
            self._largest = max(self._largest, *map(_bytes, outputs))
            self._progress(2, 0)
        return base, inside, shapes

    def alone(self, rounding: Rounding) -> Job:
        """The float model but for ``rounding``."""
        return self._job(self._float, rounding)

    def without(self, rounding: Rounding) -> Job:
        """A model that is nearly all int8."""
        return self._job(self._full, rounding)

    def run(self, jobs: Sequence[Job]) -> list[OutputNoise]:
        """Noise at the outputs of each of ``jobs``; after `compare`."""
        by_start: dict[int, list[Job]] = {}
        for job in jobs:
            by_start.setdefault(len(self._chain.pieces) if job.start is None else job.start, []).append(job)
        self._progress(0, len(jobs) * len(self._feeds))
        for first, last in self._rounds():
            self._round(first, last, by_start)
        return [job.noise for job in jobs]

    def written(self, model: bytes) -> OutputNoise:
        """Noise at the outputs of ``model``, ModelProto bytes with integers in it."""
        session = open_session(model, low_memory=True)
        noise = OutputNoise(self._chain.outputs)
        names = list(self._chain.outputs)
        self._progress(0, len(self._feeds))
        for feed in self._feeds:
            wanted = self._float.program.outputs(0, feed.values)
            results = run_session(
                session, names, feed.values, rule="the model runs on the pictures", fix="check the export"
            )
            noise.add(feed.real(wanted), feed.real(dict(zip(names, results, strict=True))))
            self._progress(1, 0)
        return noise

    def _job(self, side: _Side, rounding: Rounding) -> Job:
        program = self._chain.program(rounding, like=side.program)
        start = program.first_difference(side.program)
        return Job(side, program, start, OutputNoise(self._chain.outputs))

    def _rounds(self) -> Iterator[tuple[int, int]]:
        size = max(1, MEMORY_BYTES // (4 * self._largest))
        for first in range(0, len(self._feeds), size):
            yield first, min(first + size, len(self._feeds))

    def _round(self, first: int, last: int, by_start: Mapping[int, Sequence[Job]]) -> None:
        for side in (self._float, self._full):
            side.alive = [feed.values for feed in self._feeds[first:last]]
            side.outputs = [side.program.outputs(0, feed) for feed in side.alive]
        end = len(self._chain.pieces)
        for index in range(end + 1):
            for job in by_start.get(index, ()):
                for feed, wanted, same, alive in zip(
                    self._feeds[first:last],
                    self._float.outputs,
                    job.side.outputs,
                    job.side.alive,
                    strict=True,
                ):
                    made = {**same, **job.program.outputs(index, alive)}
                    job.noise.add(feed.real(wanted), feed.real(made))
                job.program.close()
                self._progress(last - first, 0)
            if index < max(by_start, default=0):
                for side in (self._float, self._full):
                    side.alive = [side.program.step(index, alive)[0] for alive in side.alive]


def _bytes(values: Alive) -> int:
    return sum(array.nbytes for array in values.values())
