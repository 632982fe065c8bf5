"""Run samples through a model once and keep streaming statistics of the tensors asked for, nothing else.

Memory is bounded by the model, not by the number of samples: what is alive at any time is one micro-batch of observed
tensors being counted and one being computed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ptq_core.calibration.feed import Feed
from ptq_core.calibration.samples import Read, Skipped
from ptq_core.calibration.statistics import Scratch, TensorStatistics
from ptq_core.errors import InputError
from ptq_core.graph.session import Provider, open_session, run_session
from ptq_core.progress import meter

MICRO_BATCH_BYTES = 16 * 2**20
"""Upper bound of what one micro-batch keeps in memory (a single sample may exceed it)."""

INNER_TO_INPUT = 16
"""Assumed size of the tensors alive inside the model, in sizes of its input: they are not observed, so not measured."""

Observed = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Collected:
    """Where a collection stands: ``statistics`` of the first ``samples`` good samples, and the bad ones passed over so far.

    ``micro_batch`` samples are given to the model at once from here on. A collection that is resumed here cuts its
    micro-batches as it would have without the interruption, so that all float results are the same to the last bit.
    """

    statistics: dict[str, TensorStatistics]
    samples: int
    micro_batch: int
    skipped: tuple[Skipped, ...] = ()


def collect_statistics(
    model_bytes: bytes,
    tensor_names: Sequence[str],
    samples: Iterable[Read],
    inputs: Sequence[str],
    *,
    resume: Collected | None = None,
    total: int | None = None,
    provider: Provider = "cpu",
    threads: int = 0,
) -> Generator[Collected, None, None]:
    """Yield where the collection stands after each micro-batch, at last after all ``samples``.

    ``model_bytes`` is a serialized ModelProto that is fed ``inputs``; their first dimension is the batch, open or fixed, but
    for `whole_inputs`. A sample has an array for each of them, without the batch; bad ones are passed over. An input may
    itself be observed. The statistics are those of ``tensor_names``, in that order, and change when the next state is asked for.
    ``resume`` continues an earlier collection, whose statistics are taken over: ``samples`` then starts at its
    end. ``total`` (for the meter) is the expected number of samples. Micro-batches are cut by memory only; the
    statistics do not depend on how.
    Raises InputError if a tensor is unknown or not float32, if a value is NaN or infinite, if the model cannot run, and
    if there are no samples; DeviceError if onnxruntime lacks ``provider``.
    """
    runner = Runner(model_bytes, tensor_names, inputs, provider, threads)
    state = Collected({name: TensorStatistics(name) for name in tensor_names}, 0, 0)
    if resume is not None:
        state = replace(resume, statistics={name: resume.statistics[name] for name in tensor_names})
        runner.batch, runner.measured = runner.fixed_batch or resume.micro_batch, True
    scratch = Scratch()
    pending: Future[Collected] | None = None
    given = state.samples
    # One thread counts while this one computes the next micro-batch; more would wait for each other in np.bincount.
    with (
        ThreadPoolExecutor(1, thread_name_prefix="count") as counter,
        meter("calibrate", "picture", total) as progress,
    ):
        for batch in _batches(iter(samples), lambda: runner.batch):
            for part, arrays in _parts(batch, runner):
                if pending is not None:
                    state = replace(pending.result(), micro_batch=runner.batch)
                    yield state
                names = [read.name for read in part if read.bad is None]
                skipped = (*state.skipped, *(read.bad for read in part if read.bad is not None))
                pending = counter.submit(_count, replace(state, skipped=skipped), names, arrays, scratch)
                given += len(names)
                progress.at(given)
        if pending is not None:
            state = replace(pending.result(), micro_batch=runner.batch)
            yield state
    if not state.samples:
        raise InputError(
            "there are no samples to calibrate with",
            rule="calibration needs at least one sample",
            fix="give it pictures",
        )


def _batches(samples: Iterator[Read], size: Callable[[], int]) -> Iterator[list[Read]]:
    """Runs of ``size()`` good samples each, the last of fewer, with the bad ones among them."""
    batch: list[Read] = []
    good = 0
    for read in samples:
        batch.append(read)
        good += read.bad is None
        if good == size():
            yield batch
            batch, good = [], 0
    if batch:
        yield batch


def _parts(batch: Sequence[Read], runner: Runner) -> Iterator[tuple[Sequence[Read], Observed]]:
    """``batch`` as the model takes it, all at once or one by one: samples, with the bad ones around them, and what they gave."""
    left = batch
    good = [read.arrays for read in batch if read.bad is None]
    for arrays, rows in runner.run(good) if good else [({}, 0)]:
        ends = [index + 1 for index, read in enumerate(left) if read.bad is None]
        end = len(left) if rows == len(ends) else ends[rows - 1]
        yield left[:end], arrays
        left = left[end:]


def _count(state: Collected, names: Sequence[str], arrays: Observed, scratch: Scratch) -> Collected:
    """``state`` after the samples ``names``, whose observed tensors are ``arrays``; its statistics are updated in place."""
    for name, array in arrays.items():
        # Some tensors are not split by samples; the first sample of the micro-batch then stands for all.
        per_sample = len(array) // len(names) if array.ndim and len(array) % len(names) == 0 else 0
        state.statistics[name].update(
            array, scratch, partial(_row_name, names, per_sample), samples=len(names)
        )
    return replace(state, samples=state.samples + len(names))


def _row_name(names: Sequence[str], rows_per_sample: int, row: int) -> str:
    return names[row // rows_per_sample if rows_per_sample else 0]


class Runner:
    """The model with the observed tensors as outputs, and the number of samples it is given at once."""

    def __init__(
        self,
        model_bytes: bytes,
        names: Sequence[str],
        inputs: Sequence[str],
        provider: Provider = "cpu",
        threads: int = 0,
    ) -> None:
        model, self.feed = _observed_model(model_bytes, names, inputs)
        self.fixed_batch = self.feed.batch
        self.observed_inputs = [name for name in names if name in inputs]
        self.outputs = [name for name in names if name not in inputs]
        self.session = (
            open_session(model, threads=threads, low_memory=True, provider=provider) if self.outputs else None
        )
        # The first run has one sample and tells how much memory the observed tensors take.
        self.batch = self.fixed_batch or 1
        self.measured = self.fixed_batch is not None

    def run(self, samples: Sequence[Mapping[str, NDArray[Any]]]) -> Iterator[tuple[Observed, int]]:
        """Yield (observed tensors, number of samples in them), in order: one pair, or one per sample if need be."""
        rows = len(samples)
        feed = self.feed.stacked(samples, self.fixed_batch or rows)
        try:
            results = self._results(feed)
        except InputError:
            if rows == 1 or self.fixed_batch is not None:
                raise
            # Exporters often declare an open batch and then reshape to a batch of 1.
            self.fixed_batch = self.batch = 1
            for sample in samples:
                yield from self.run([sample])
            return
        yield self._observed(feed, results, rows), rows

    def _results(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        if self.session is None:
            return []
        return run_session(
            self.session,
            self.outputs,
            feed,
            problem="the FP32 model does not run",
            rule="calibration runs the model on every picture",
            fix="check that the model runs in onnxruntime on a picture of its input shape",
        )

    def _observed(
        self, feed: Mapping[str, NDArray[Any]], results: Sequence[NDArray[Any]], rows: int
    ) -> Observed:
        padding = (self.fixed_batch or rows) - rows
        arrays: Observed = {
            name: _checked(feed[name], name)[: None if name in self.feed.whole else rows]
            for name in self.observed_inputs
        }
        for name, array in zip(self.outputs, results, strict=True):
            arrays[name] = _without_padding(_checked(array, name), rows, padding)
        if not self.measured:
            size = sum(array.nbytes for array in arrays.values())
            fed = sum(array.nbytes for array in feed.values())
            self.batch = max(1, MICRO_BATCH_BYTES // max(size, INNER_TO_INPUT * fed))
            self.measured = True
        return arrays


def _without_padding(array: NDArray[np.float32], rows: int, padding: int) -> NDArray[np.float32]:
    """Drop the rows that belong to the repeated last sample; a tensor not split by samples is kept whole."""
    if not padding or not array.ndim or len(array) % (rows + padding):
        return array
    return array[: len(array) // (rows + padding) * rows]


def _checked(array: object, name: str) -> NDArray[np.float32]:
    if isinstance(array, np.ndarray) and array.dtype == np.float32:
        return array
    raise InputError(
        f"tensor `{name}` is {getattr(array, 'dtype', type(array).__name__)}",
        rule="only float32 tensors have a range to quantize",
        fix="leave it out, or export the model in float32",
    )


def _observed_model(model_bytes: bytes, names: Sequence[str], fed: Sequence[str]) -> tuple[bytes, Feed]:
    """The model with exactly ``names`` (but those in ``fed``) as outputs, and how it is fed.

    onnxruntime keeps graph outputs through its fusions, and drops the nodes that none of them needs.
    """
    model = onnx.ModelProto.FromString(model_bytes)
    graph = model.graph
    inputs = {value.name: value.type.tensor_type for value in graph.input}
    produced = {name for node in graph.node for name in node.output}
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    for name in names:
        if name not in produced and name not in fed:
            raise InputError(
                f"the model has no tensor `{name}` to observe",
                rule="observed tensors are node outputs or the input",
                fix="check the name against the model",
            )
    for name in fed:
        if name not in inputs:
            raise InputError(
                f"the model has no input `{name}`",
                rule=f"its inputs are {', '.join(inputs) or 'none'}",
                fix="check the name",
            )
    outputs = [known.get(name) or onnx.ValueInfoProto(name=name) for name in names if name not in fed]
    del graph.output[:]
    graph.output.extend(outputs)
    return model.SerializeToString(), Feed.of(graph, fed)
