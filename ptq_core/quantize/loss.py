"""What quantization costs: the float and the quantized model side by side on a few pictures, outputs and operators."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.calibration.feed import Feed, without_padding
from ptq_core.calibration.samples import Arrays, Shapes
from ptq_core.graph.edits import constant_array
from ptq_core.graph.session import open_session, run_session
from ptq_core.numerics.metrics import Noise
from ptq_core.quantize.selection import Selection
from ptq_core.reports import LossReport, OperatorLoss, OutputLoss

SHARE, MOST_PICTURES = 16, 8
"""One of so many calibration pictures is compared, and so many at most: two models with their inner values take about as long as
three pictures in calibration, so a fifth of its time at most. Enough to see a model lost, not to rank two good ones."""

LEAST_PICTURES, LIGHT_VALUES = 2, 10_000_000
"""So many are compared in any case if a model computes no more values than these for one: some hundredths of a second.
Single pictures may have next to no signal in an output (a detector's, of objects that are not there)."""

LISTED = 5
"""So many operators are named: those that cost most."""

SUM_OF_SHARES = 1e-3
"""By so little the sum of a Softmax may differ from 1."""

Pair = tuple[str, str]
"""Names of one value, in the float and in the quantized model."""


@dataclass(frozen=True)
class WatchedOperator:
    """A quantized operator, the values that it reads and the one that it writes; moving values adds no noise of its own."""

    name: str
    op_type: str
    moves: bool
    inputs: tuple[Pair, ...]
    output: Pair


def pictures_for(inputs: Shapes, pictures: int, *, light: bool = True) -> int:
    """How many are compared where calibration takes ``pictures``: at least one, and whole batches of what the model takes."""
    batch = next((max(1, shape[0]) for shape in inputs.values() if shape), 1)
    wanted = min(max(pictures // SHARE, LEAST_PICTURES if light else 1), MOST_PICTURES)
    return max(batch, wanted // batch * batch)


def most_pictures(inputs: Shapes) -> int:
    """The most that ``pictures_for`` answers."""
    return pictures_for(inputs, SHARE * MOST_PICTURES)


def is_light(model: ir.Model) -> bool:
    """Whether all nodes of ``model`` write at most LIGHT_VALUES for one sample; False where a shape is open but for the batch."""
    first = next((value.shape[0] for value in model.graph.inputs if value.shape), 1)
    batch, open_batch = (first, None) if isinstance(first, int) else (1, first.value)
    written = 0
    for value in (value for node in model.graph for value in node.outputs):
        if value.shape is None:
            return False
        for size in value.shape:
            if not isinstance(size, int) and (size.value is None or size.value != open_batch):
                return False
        written += math.prod(size for size in value.shape if isinstance(size, int))
    return written <= LIGHT_VALUES * batch


class Watch:
    """Made before the graph is rewritten, so that it knows what values are called in the float ``model``, and if it is light."""

    def __init__(self, model: ir.Model, selection: Selection) -> None:
        self.light = is_light(model)
        self._ends = [
            (unit, tuple(filter(_is_computed, unit.inputs)), unit.output) for unit in selection.units
        ]
        self._names = {
            value: str(value.name) for _, inputs, output in self._ends for value in (*inputs, output)
        }

    def operators(self, read_instead: Mapping[ir.Value, ir.Value]) -> list[WatchedOperator]:
        """The operators with their names in the rewritten graph; ``read_instead`` is what insertion returned."""

        def pair(value: ir.Value) -> Pair:
            return self._names[value], str(read_instead.get(value, value).name)

        return [
            WatchedOperator(
                str(unit.node.name),
                unit.node.op_type,
                unit.shares_scale,
                tuple(pair(value) for value in inputs),
                pair(output),
            )
            for unit, inputs, output in self._ends
        ]


def measure_loss(
    float_model: bytes,
    quantized: bytes,
    operators: Sequence[WatchedOperator],
    samples: Sequence[Arrays],
) -> LossReport:
    """Run both models (ModelProto bytes) on ``samples``, at least one, and compare outputs and what ``operators`` write.

    A batch at a time, so memory is that of one: what calibration keeps of the float model, twice. The quantized model's sums
    are exact (``open_session``). An operator costs what it adds to noise / signal: that of its output less that of the worst
    of its inputs; one whose values have another size in the quantized model (boxes that were found) is left out.
    Raises InputError if a model does not run on a sample.
    """
    pairs = dict.fromkeys(pair for each in operators for pair in (*each.inputs, each.output))
    before, after = (_Model(data, [p[i] for p in pairs]) for i, data in enumerate((float_model, quantized)))
    outputs = [_Output(name) for name in before.outputs]
    noises = {pair: Noise() for pair in pairs}
    resized: set[Pair] = set()
    size = before.batch or 1
    for start in range(0, len(samples), size):
        batch = samples[start : start + size]
        wanted, got = before.run(batch), after.run(batch)
        for output, name in zip(outputs, after.outputs, strict=True):
            output.add(wanted[output.name], got[name], len(batch), before.batch or len(batch))
        for pair, noise in noises.items():
            a, b = wanted[pair[0]], got[pair[1]]
            if a.shape == b.shape:
                noise.add(*(without_padding(array, len(batch), size) for array in (a, b)))
            else:
                resized.add(pair)
    comparable = [each for each in operators if resized.isdisjoint((*each.inputs, each.output))]
    return LossReport(len(samples), tuple(output.loss() for output in outputs), _costly(comparable, noises))


def _costly(operators: Iterable[WatchedOperator], noises: Mapping[Pair, Noise]) -> tuple[OperatorLoss, ...]:
    found: list[tuple[float, OperatorLoss]] = []
    for each in operators:
        out = noises[each.output]
        worst = max((noises[pair] for pair in each.inputs), key=lambda noise: noise.ratio, default=Noise())
        added = out.ratio - worst.ratio
        if not each.moves and out.signal and added > 0:
            found.append((added, OperatorLoss(each.name, each.op_type, worst.sqnr_db, out.sqnr_db)))
    found.sort(key=lambda row: -row[0])
    return tuple(loss for _, loss in found[:LISTED])


class _Model:
    """A model with inner values as further outputs. ``batch`` is the batch it is fixed to, None if open."""

    def __init__(self, data: bytes, watched: Iterable[str]) -> None:
        proto = onnx.ModelProto.FromString(data)
        graph = proto.graph
        self.outputs = [value.name for value in graph.output]
        more = [name for name in dict.fromkeys(watched) if name not in self.outputs]
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
        self._feed = Feed.of(graph, [value.name for value in graph.input])
        self.batch = self._feed.batch
        self._names = [*self.outputs, *more]
        self._session = open_session(proto.SerializeToString(), low_memory=True)

    def run(self, samples: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
        """Every output and watched value, of the samples and, where there are fewer than a batch, of the last one again."""
        feed = self._feed.stacked(samples, self.batch or len(samples))
        results = run_session(
            self._session,
            self._names,
            feed,
            rule="a model runs on samples of its input shape",
            fix="check the export",
        )
        return dict(zip(self._names, results, strict=True))


@dataclass
class _Output:
    """What is known of an output so far."""

    name: str
    noise: Noise = field(default_factory=Noise)
    is_float: bool = True
    other_size: bool = False
    values: int = 0
    equal: int = 0
    best_equal: int | None = 0
    shares: bool = True

    def add(self, wanted: NDArray[Any], got: NDArray[Any], rows: int, batch: int) -> None:
        """Count the first ``rows`` of a ``batch``."""
        self.is_float &= wanted.dtype.kind == "f"
        if wanted.shape != got.shape or wanted.dtype != got.dtype:
            self.other_size = True
            return
        before, after = (_class_scores(array, batch) for array in (wanted, got))
        wanted, got = (without_padding(array, rows, batch) for array in (wanted, got))
        self.values += wanted.size
        self.equal += int((wanted == got).sum())
        if not self.is_float:
            self.best_equal = None
            return
        self.noise.add(wanted, got)
        if before is None or after is None or self.best_equal is None:
            self.best_equal = None
            return
        self.best_equal += int((before.argmax(axis=1) == after.argmax(axis=1))[:rows].sum())
        self.shares &= bool((before >= 0).all() and (np.abs(before.sum(axis=1) - 1) < SUM_OF_SHARES).all())

    def loss(self) -> OutputLoss:
        if self.other_size:
            return OutputLoss(self.name, None)
        if not self.is_float:
            return OutputLoss(self.name, None, equal_share=self.equal / self.values if self.values else 1.0)
        known = self.best_equal is not None
        return OutputLoss(self.name, self.noise.sqnr_db, self.best_equal, probabilities=known and self.shares)


def _class_scores(array: NDArray[Any], batch: int) -> NDArray[Any] | None:
    """[N, C] of [N, C], [N, C, 1, 1] or [N, 1, 1, C] with a batch of N and C ≥ 2; else None."""
    if array.ndim not in (2, 4) or len(array) != batch or sum(size != 1 for size in array.shape[1:]) != 1:
        return None
    return array.reshape(batch, -1)


def _is_computed(value: ir.Value) -> bool:
    return value.producer() is not None and constant_array(value) is None
