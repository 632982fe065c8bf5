"""The whole of calibration for one configuration: find pictures, look in the cache, collect, save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.cache import CachedCalibration, cache_key, load_cache, save_cache
from ptq_core.calibration.collect import collect_statistics
from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.readers import find_pictures
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.config import QuantizeConfig


@dataclass(frozen=True)
class CalibrationResult:
    """Statistics of every tensor asked for, in that order, and where they come from.

    ``pictures`` is how many were counted, ``requested`` how many `batch_size` and `batch_nums` asked for (None: all);
    ``skipped`` names the bad ones as (path, reason); ``from_cache`` is True if no inference ran; ``warnings`` are
    sentences for the user.
    """

    statistics: dict[str, TensorStatistics]
    pictures: int
    requested: int | None = None
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    from_cache: bool = False
    warnings: list[str] = field(default_factory=list)


def calibrate(
    model_bytes: bytes,
    tensor_names: Sequence[str],
    config: QuantizeConfig,
    input_name: str,
    input_shape: Sequence[int],
) -> CalibrationResult:
    """Run the FP32 model ``model_bytes`` on the pictures of ``config`` and observe ``tensor_names``.

    ``input_shape`` is the shape of ``input_name`` with the batch (of any size) first. The first batch_size · batch_nums
    pictures are taken, or all if there are fewer; bad ones among them are not replaced by later ones.
    Raises InputError for pictures, list files or a model that cannot be used, and for NaN or infinity in a tensor.
    """
    sample_shape = tuple(input_shape[1:])
    requested = None if config.batch_nums is None else config.batch_size * config.batch_nums
    paths = [picture.path for picture in find_pictures(config.image_dir, config.image_list)][:requested]
    names = list(dict.fromkeys(tensor_names))

    known = CachedCalibration({}, 0, [])
    warnings: list[str] = []
    key = ""
    if config.is_use_cache_file:
        key = cache_key(
            model_bytes, input_name, sample_shape, config.preprocess, paths, config.skip_bad_images
        )
        cached, warning = load_cache(config.cache_dir, key)
        known = cached or known
        warnings += [warning] if warning else []

    missing = [name for name in names if name not in known.statistics]
    from_cache = bool(known.statistics) and not missing
    if not from_cache:
        fresh = _collect(model_bytes, missing, config, input_name, sample_shape, paths)
        known = CachedCalibration({**known.statistics, **fresh.statistics}, fresh.used, fresh.skipped)
        if config.is_use_cache_file:
            save_cache(config.cache_dir, key, known)

    if requested is not None and len(paths) < requested:
        warnings.append(f"only {len(paths)} of {requested} pictures (batch_size x batch_nums) are there")
    warnings += [f"skipped: {reason}" for _, reason in known.skipped]
    return CalibrationResult(
        {name: known.statistics[name] for name in names},
        pictures=known.used,
        requested=requested,
        skipped=known.skipped,
        from_cache=from_cache,
        warnings=warnings,
    )


def _collect(
    model_bytes: bytes,
    names: Sequence[str],
    config: QuantizeConfig,
    input_name: str,
    sample_shape: tuple[int, ...],
    paths: Sequence[Path],
) -> CachedCalibration:
    used: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    pictures = load_pictures(
        paths, config.preprocess, sample_shape, skipped=skipped if config.skip_bad_images else None
    )

    def samples() -> Iterator[NDArray[np.float32]]:
        for path, sample in pictures:
            used.append(path)
            yield sample

    with closing(pictures):  # stops the decoding threads when the model or a tensor is refused
        statistics = collect_statistics(
            model_bytes,
            names,
            samples(),
            input_name,
            total=len(paths),
            sample_name=lambda index: f"picture {used[index]}",
        )
    return CachedCalibration(statistics, len(used), skipped)
