"""The whole of calibration for one configuration: find samples, look in the cache, collect, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from ptq_core.calibration.cache import (
    CachedCalibration,
    cache_key,
    discard_partial,
    load_cache,
    save_cache,
)
from ptq_core.calibration.collect import Collected, collect_statistics
from ptq_core.calibration.contents import Contents
from ptq_core.calibration.decode import load_samples
from ptq_core.calibration.readers import find_pictures
from ptq_core.calibration.samples import Read, Sample, Shapes, as_arrays
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.errors import PtqError
from ptq_core.options.calibration import CalibrationOptions

SAVE_SECONDS = 1.0
"""Statistics under way are not saved more often than this: saving 28 tensors takes 5 ms, in which no inference starts."""

NOT_CACHED = "is_use_cache_file has no effect: samples from a generator can only be cached under a content key of the caller's"


@dataclass(frozen=True)
class CalibrationResult:
    """Statistics of every tensor asked for, in that order, and where they come from.

    ``pictures`` is how many samples were counted, ``requested`` how many `batch_size` and `batch_nums` asked for (None: all);
    ``skipped`` names the bad ones as (path, reason); ``from_cache`` is True if no inference ran; ``resumed`` is how many
    samples an interrupted run had counted; ``warnings`` are sentences for the user.
    """

    statistics: dict[str, TensorStatistics]
    pictures: int
    requested: int | None = None
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    from_cache: bool = False
    resumed: int = 0
    warnings: list[str] = field(default_factory=list)


def calibrate(
    model_bytes: bytes,
    tensor_names: Sequence[str],
    options: CalibrationOptions,
    inputs: Shapes,
    *,
    samples: Iterable[Sample] | None = None,
    content_key: str | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> CalibrationResult:
    """Run the FP32 model ``model_bytes`` on the samples of ``config`` and observe ``tensor_names``.

    ``inputs`` are the model's inputs to feed, in its order, and their shapes, the batch (of any size) first. The first
    batch_size · batch_nums pictures or array files are taken, or all if there are fewer; bad ones among them are not
    replaced by later ones.

    ``samples`` are used instead of files, all of them (``GeneratorSamples`` takes as many as `batch_nums` asks for).
    They have no content to make a cache key of, so `is_use_cache_file` then holds only with a ``content_key``: any text
    that differs whenever the samples do. An interrupted run is continued by passing over the first of ``samples``,
    which must come in the same order again.

    ``on_batch`` is called with the number of samples counted so far. While `is_use_cache_file` is on, that state is saved
    after every `batch_size` samples, but not more often than every SAVE_SECONDS. Raises InputError for samples, list files
    or a model that cannot be used, and for NaN or infinity in a tensor; DeviceError if `executor` is not available.
    """
    source = _source(options, inputs, samples)
    names = list(dict.fromkeys(tensor_names))
    cache = _cache(model_bytes, options, source, content_key)
    notes = [NOT_CACHED] if options.is_use_cache_file and cache is None else []
    known, note = (None, None) if cache is None else cache.load()
    notes += [note] if note else []
    known = known or CachedCalibration({}, 0, [])

    missing = [name for name in names if name not in known.statistics]
    from_cache = bool(known.statistics) and not missing
    start = None
    if not from_cache:
        start, note = (None, None) if cache is None else cache.load_partial(missing)
        notes += [note] if note else []
        fresh = _collect(model_bytes, missing, source, start, cache, on_batch)
        known = replace(fresh, statistics={**known.statistics, **fresh.statistics})
        if cache is not None:
            cache.save(known)

    if source.requested is not None and len(source.paths) < source.requested:
        notes.append(
            f"only {len(source.paths)} of {source.requested} pictures (batch_size x batch_nums) are there"
        )
    notes += [f"skipped: {reason}" for _, reason in known.skipped]
    return CalibrationResult(
        {name: known.statistics[name] for name in names},
        pictures=known.used,
        requested=source.requested,
        skipped=known.skipped,
        from_cache=from_cache,
        resumed=0 if start is None else start.used,
        warnings=notes,
    )


@dataclass(frozen=True)
class _Source:
    """The samples in order: those of ``paths``, or ``generated`` ones. ``requested`` is how many were asked for, None: all."""

    options: CalibrationOptions
    inputs: Shapes
    generated: Iterable[Sample] | None
    paths: Sequence[Path] = ()
    requested: int | None = None
    contents: Contents | None = None
    """Of ``paths``, where they are part of a cache's key."""

    @property
    def total(self) -> int | None:
        """How many samples there are at most, None where only the generator knows."""
        return None if self.generated is not None else len(self.paths)

    def read(self, begin: int) -> Generator[Read, None, None]:
        """From the ``begin``-th sample on. Raises InputError for a bad one, unless `skip_bad_images`."""
        if self.generated is not None:
            for index, sample in enumerate(islice(self.generated, begin, None), start=begin):
                yield Read(f"sample {index}", as_arrays(sample, self.inputs, f"sample {index}"))
            return
        loading = load_samples(
            self.paths[begin:],
            self.options.preprocess,
            self.inputs,
            skip_bad=self.options.skip_bad_images,
            may_be_none=begin > 0,  # what an interrupted run left to do may be nothing, or bad pictures only
            reduced=True,
            contents=self.contents,
        )
        with closing(loading) as reads:
            yield from reads


def _source(options: CalibrationOptions, inputs: Shapes, generated: Iterable[Sample] | None) -> _Source:
    if generated is not None:
        return _Source(options, inputs, generated)
    found = find_pictures(options.image_dir, options.image_list)
    paths = [picture.path for picture in found][: options.requested]
    contents = Contents.of(paths) if options.is_use_cache_file else None
    return _Source(options, inputs, None, paths, options.requested, contents)


@dataclass(frozen=True)
class _Cache:
    """The files of one key; statistics under way are saved after every ``batch_size`` samples."""

    folder: Path
    key: str
    batch_size: int

    def load(self) -> tuple[CachedCalibration | None, str | None]:
        """What a complete run left, and a warning."""
        return load_cache(self.folder, self.key, partial=False)

    def load_partial(self, names: Sequence[str]) -> tuple[CachedCalibration | None, str | None]:
        """What an interrupted run left, if it observed all of ``names``, and a warning."""
        partial, warning = load_cache(self.folder, self.key, partial=True)
        if partial is None or not partial.statistics.keys() >= set(names):
            return None, warning
        return replace(partial, statistics={name: partial.statistics[name] for name in names}), warning

    def save(self, calibration: CachedCalibration) -> None:
        """Replace the file."""
        save_cache(self.folder, self.key, calibration)

    def saving(self, states: Iterable[Collected], samples: int) -> Iterator[Collected]:
        """``states`` as they pass, each saved if it is due; ``samples`` were counted before them."""
        saved_at = time.monotonic()
        for state in states:
            now = time.monotonic()
            if state.samples - samples >= self.batch_size and now - saved_at >= SAVE_SECONDS:
                self.save(_cached(state, state.micro_batch))
                saved_at, samples = now, state.samples
            yield state


def _cache(
    model_bytes: bytes, options: CalibrationOptions, source: _Source, content_key: str | None
) -> _Cache | None:
    """None where nothing is cached: it is not asked for, or the samples have no content that a key can be made of."""
    if not options.is_use_cache_file or (source.generated is not None and content_key is None):
        return None
    known = {} if source.contents is None else source.contents.fingerprints
    pictures = [(path.name, known[path]) for path in source.paths]
    key = cache_key(
        model_bytes, source.inputs, options.preprocess, pictures, options.skip_bad_images, content_key
    )
    return _Cache(options.cache_dir, key, options.batch_size)


def _collect(
    model_bytes: bytes,
    names: Sequence[str],
    source: _Source,
    start: CachedCalibration | None,
    cache: _Cache | None,
    on_batch: Callable[[int], None] | None,
) -> CachedCalibration:
    """Statistics of ``names`` over all samples of ``source``, from ``start`` on."""
    state = None if start is None else _collected(start)
    begin = 0 if start is None else start.used + len(start.skipped)
    try:
        with (  # closing stops the decoding threads when the model or a tensor is refused
            closing(source.read(begin)) as reads,
            closing(
                collect_statistics(
                    model_bytes,
                    names,
                    reads,
                    list(source.inputs),
                    resume=state,
                    total=source.total,
                    provider=source.options.executor,
                )
            ) as states,
        ):
            counted = 0 if start is None else start.used
            for state in states if cache is None else cache.saving(states, counted):
                if on_batch is not None and state.samples > counted:  # not where only bad ones were left
                    on_batch(state.samples)
                counted = state.samples
    except PtqError:  # the same would happen again, or with other samples, which have another key
        if cache is not None:
            discard_partial(cache.folder, cache.key)
        raise
    assert state is not None, "without samples an error was raised"
    return _cached(state, micro_batch=0)


def _cached(state: Collected, micro_batch: int) -> CachedCalibration:
    return CachedCalibration(state.statistics, state.samples, list(state.skipped), micro_batch)


def _collected(start: CachedCalibration) -> Collected:
    return Collected(start.statistics, start.used, start.micro_batch, tuple(start.skipped))
