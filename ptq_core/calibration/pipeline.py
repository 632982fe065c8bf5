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
from ptq_core.calibration.decode import load_samples
from ptq_core.calibration.readers import find_pictures
from ptq_core.calibration.samples import Arrays, Sample, Shapes, as_arrays
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.config import QuantizeConfig
from ptq_core.errors import PtqError

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
    config: QuantizeConfig,
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
    source = _Source(config, inputs, samples)
    names = list(dict.fromkeys(tensor_names))
    warnings: list[str] = []
    known = CachedCalibration({}, 0, [])
    cache: _Cache | None = None
    if config.is_use_cache_file and (samples is None or content_key is not None):
        key = cache_key(
            model_bytes, inputs, config.preprocess, source.paths, config.skip_bad_images, content_key
        )
        cache = _Cache(config, key)
        known = cache.load(warnings) or known
    elif config.is_use_cache_file:
        warnings.append(NOT_CACHED)

    missing = [name for name in names if name not in known.statistics]
    from_cache = bool(known.statistics) and not missing
    resumed = 0
    if not from_cache:
        start = cache.load_partial(missing, warnings) if cache is not None else None
        resumed = start.used if start is not None else 0
        fresh = _collect(model_bytes, missing, config, source, start, cache, on_batch)
        known = replace(fresh, statistics={**known.statistics, **fresh.statistics})
        if cache is not None:
            cache.save(known)

    if source.requested is not None and len(source.paths) < source.requested:
        warnings.append(
            f"only {len(source.paths)} of {source.requested} pictures (batch_size x batch_nums) are there"
        )
    warnings += [f"skipped: {reason}" for _, reason in known.skipped]
    return CalibrationResult(
        {name: known.statistics[name] for name in names},
        pictures=known.used,
        requested=source.requested,
        skipped=known.skipped,
        from_cache=from_cache,
        resumed=resumed,
        warnings=warnings,
    )


class _Source:
    """The samples in order: ``paths`` to read, or a generator's."""

    def __init__(self, config: QuantizeConfig, inputs: Shapes, generated: Iterable[Sample] | None) -> None:
        self.config, self.inputs, self.generated = config, inputs, generated
        self.requested: int | None = None
        self.paths: list[Path] = []
        self.total: int | None = None
        if generated is None:
            if config.batch_nums is not None:
                self.requested = config.batch_size * config.batch_nums
            found = find_pictures(config.image_dir, config.image_list)
            self.paths = [picture.path for picture in found][: self.requested]
            self.total = len(self.paths)

    def read(self, begin: int, skipped: list[tuple[Path, str]]) -> Generator[tuple[str, Arrays], None, None]:
        """(name for errors, sample) from the ``begin``-th on; bad files are added to ``skipped`` or an InputError."""
        if self.generated is not None:
            for index, sample in enumerate(islice(self.generated, begin, None), start=begin):
                yield f"sample {index}", as_arrays(sample, self.inputs, f"sample {index}")
            return
        config = self.config
        bad = skipped if config.skip_bad_images else None
        paths = self.paths[begin:]
        # What an interrupted run left to do may be nothing, or bad pictures only.
        loading = load_samples(
            paths, config.preprocess, self.inputs, skipped=bad, may_be_none=begin > 0, reduced=True
        )
        with closing(loading) as loaded:
            for path, arrays in loaded:
                yield f"picture {path}", arrays


class _Cache:
    """The files of one key, and when the partial one is due."""

    def __init__(self, config: QuantizeConfig, key: str) -> None:
        self.folder, self.batch_size, self.key = config.cache_dir, config.batch_size, key
        self.saved_at, self.saved_samples = time.monotonic(), 0

    def load(self, warnings: list[str]) -> CachedCalibration | None:
        return self._load(False, warnings)

    def load_partial(self, names: Sequence[str], warnings: list[str]) -> CachedCalibration | None:
        """What an interrupted run left, if it observed all of ``names``."""
        partial = self._load(True, warnings)
        if partial is None or not partial.statistics.keys() >= set(names):
            return None
        self.saved_samples = partial.used
        return replace(partial, statistics={name: partial.statistics[name] for name in names})

    def _load(self, partial: bool, warnings: list[str]) -> CachedCalibration | None:
        cached, warning = load_cache(self.folder, self.key, partial=partial)
        warnings += [warning] if warning else []
        return cached

    def save(self, calibration: CachedCalibration) -> None:
        save_cache(self.folder, self.key, calibration)

    def save_if_due(self, state: Collected, skipped: list[tuple[Path, str]]) -> None:
        now = time.monotonic()
        if state.samples - self.saved_samples < self.batch_size or now - self.saved_at < SAVE_SECONDS:
            return
        self.save(CachedCalibration(state.statistics, state.samples, skipped, state.micro_batch))
        self.saved_at, self.saved_samples = now, state.samples

    def discard_partial(self) -> None:
        discard_partial(self.folder, self.key)


def _collect(
    model_bytes: bytes,
    names: Sequence[str],
    config: QuantizeConfig,
    source: _Source,
    start: CachedCalibration | None,
    cache: _Cache | None,
    on_batch: Callable[[int], None] | None,
) -> CachedCalibration:
    first = start.used if start is not None else 0
    skipped = list(start.skipped) if start is not None else []
    read: list[tuple[str, int]] = []  # of every good sample: its name, and how many bad ones came before it
    pictures = source.read(first + len(skipped), skipped)

    def samples() -> Iterator[Arrays]:
        for name, sample in pictures:
            read.append((name, len(skipped)))
            yield sample

    def after_batch(state: Collected) -> None:
        if cache is not None:
            cache.save_if_due(state, skipped[: read[state.samples - 1 - first][1]])
        if on_batch is not None:
            on_batch(state.samples)

    try:
        with closing(pictures):  # stops the decoding threads when the model or a tensor is refused
            statistics = collect_statistics(
                model_bytes,
                names,
                samples(),
                list(source.inputs),
                resume=_resume(start),
                on_batch=after_batch,
                total=source.total,
                sample_name=lambda index: read[index - first][0],
                provider=config.executor,
            )
    except PtqError:  # the same would happen again, or with other samples, which have another key
        if cache is not None:
            cache.discard_partial()
        raise
    return CachedCalibration(statistics, first + len(read), skipped)


def _resume(start: CachedCalibration | None) -> Collected | None:
    return None if start is None else Collected(start.statistics, start.used, start.micro_batch)
