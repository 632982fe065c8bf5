"""Calibration statistics kept in a file, so that another algorithm, bit width or exclude list runs no inference again.

A file belongs to a key: the hash of all that the statistics depend on. It holds whichever tensors were observed under that
key, so the tensors themselves are not part of it: fewer are served from the file, more are added to it. While a
calibration runs, a second file holds its statistics so far; one that was killed continues there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.contents import Fingerprint
from ptq_core.calibration.statistics import BINS, TensorStatistics
from ptq_core.errors import InputError
from ptq_core.files import atomic_path
from ptq_core.inputs import MOST_CACHE_BYTES, is_lack, load_arrays
from ptq_core.options.preprocess import PreprocessOptions

FORMAT_VERSION = 3
"""Raised with every change of what is stored or of how statistics are made; older files are then not found."""

REALS = ("minimum", "maximum", "sum_minimum", "sum_maximum", "sum_abs_max")
COUNTS = ("count", "zero_count", "exponent", "samples")
"""The fields of ``TensorStatistics`` in a file, beside name and histogram, by their type."""


@dataclass(frozen=True)
class CachedCalibration:
    """What one file holds; ``used`` samples were counted, ``skipped`` are (path, reason) of the bad ones among them.

    ``micro_batch`` is 0 if the calibration was complete. Otherwise the first used + len(skipped) samples of the source are
    done, and that many are to be given to the model at once from there on.
    """

    statistics: dict[str, TensorStatistics]
    used: int
    skipped: list[tuple[Path, str]]
    micro_batch: int = 0


def cache_key(
    model_bytes: bytes,
    inputs: Mapping[str, Sequence[int]],
    preprocess: PreprocessOptions,
    pictures: Sequence[tuple[str, Fingerprint]],
    skip_bad_images: bool,
    content_key: str | None = None,
) -> str:
    """SHA-256 in hex over the model, the preprocessing, and name, size and content of every picture in order.

    ``content_key`` stands for the samples of a generator; ``pictures`` is then empty.
    """
    digest = hashlib.sha256()
    settings: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "bins": BINS,
        "inputs": [[name, list(shape[1:])] for name, shape in inputs.items()],
        "preprocess": asdict(preprocess),
        "skip_bad_images": skip_bad_images,
        "model": hashlib.sha256(model_bytes).hexdigest(),
        "content_key": content_key,
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for name, fingerprint in pictures:
        digest.update(json.dumps([name, *fingerprint]).encode())
    return digest.hexdigest()


def cache_path(cache_dir: Path, key: str, *, partial: bool = False) -> Path:
    """The file that ``key`` belongs to: that of the complete calibration, or of one under way."""
    return cache_dir / f"calibration-{key[:32]}{'.partial' if partial else ''}.npz"


def save_cache(cache_dir: Path, key: str, calibration: CachedCalibration) -> Path:
    """Write ``calibration`` atomically; raises InputError or DeviceError if ``cache_dir`` cannot be written to.

    A complete one is compressed and replaces the partial one; a partial one is written as fast as possible.
    """
    tensors = list(calibration.statistics.values())
    header = {
        "key": key,
        "used": calibration.used,
        "skipped": [[str(path), reason] for path, reason in calibration.skipped],
        "micro_batch": calibration.micro_batch,
        "names": [t.name for t in tensors],
    }
    arrays: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "reals": np.array([[getattr(t, f) for f in REALS] for t in tensors], np.float64).reshape(
            -1, len(REALS)
        ),
        "counts": np.array([[getattr(t, f) for f in COUNTS] for t in tensors], np.int64).reshape(
            -1, len(COUNTS)
        ),
        "histograms": np.array([t.histogram for t in tensors], np.int64).reshape(-1, 2 * BINS),
    }
    arrays["checksum"] = _checksum(arrays)
    partial = calibration.micro_batch > 0
    path = cache_path(cache_dir, key, partial=partial)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        (np.savez if partial else np.savez_compressed)(file, **cast(dict[str, Any], arrays))
    if not partial:
        discard_partial(cache_dir, key)
    return path


def discard_partial(cache_dir: Path, key: str) -> None:
    """Remove the partial file of ``key``, if there is one."""
    cache_path(cache_dir, key, partial=True).unlink(missing_ok=True)


def load_cache(
    cache_dir: Path, key: str, *, partial: bool = False
) -> tuple[CachedCalibration | None, str | None]:
    """(contents of the file of ``key``, None); (None, None) if there is none; (None, warning) if it cannot be trusted."""
    path = cache_path(cache_dir, key, partial=partial)
    if not path.exists():
        return None, None
    try:
        header, content = _open(path)
        if header["key"] != key:
            raise ValueError("it was written for other data")
        if (header["micro_batch"] > 0) != partial:
            raise ValueError("it holds another stage of the calibration than its name says")
        return _unpack(header, content), None
    except Exception as error:  # zipfile, zlib, NumPy and json each raise their own for a damaged file
        if is_lack(error):
            raise
        return None, f"calibration cache {path} is corrupt or foreign ({_reason(error)}); it is rebuilt"


def read_cache(path: Path) -> CachedCalibration:
    """The contents of the file ``path``, whatever key it belongs to; raises InputError if it is no such file."""
    try:
        return _unpack(*_open(path))
    except Exception as error:
        if is_lack(error):
            raise
        raise InputError(
            f"{path} is no file of the calibration cache, or a damaged one: {_reason(error)}",
            rule="such files are written by `ptq quantize` into cache_dir",
            fix="check the path",
        ) from error


def _reason(error: Exception) -> str:
    words = error.problem if isinstance(error, InputError) else str(error)
    return " ".join(words.split()) or type(error).__name__


def _open(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(header, arrays) of a file whose checksum holds."""
    content = load_arrays(path, MOST_CACHE_BYTES)
    if not isinstance(content, dict):
        raise ValueError("it holds one array")
    checksum = content.pop("checksum")
    if not np.array_equal(checksum, _checksum(content)):
        raise ValueError("checksum does not match")
    return json.loads(content["header"].tobytes()), content


def _unpack(header: Mapping[str, Any], content: Mapping[str, NDArray[Any]]) -> CachedCalibration:
    """Raise ValueError or KeyError for anything that ``save_cache`` would not have written."""
    names = header["names"]
    reals, counts, histograms = content["reals"], content["counts"], content["histograms"]
    shapes = [(len(names), len(REALS)), (len(names), len(COUNTS)), (len(names), 2 * BINS)]
    if [reals.shape, counts.shape, histograms.shape] != shapes or histograms.dtype != np.int64:
        raise ValueError("its arrays do not fit together")
    statistics = {
        name: TensorStatistics(
            name,
            **dict(zip(REALS, reals[i].tolist(), strict=True)),
            **dict(zip(COUNTS, counts[i].tolist(), strict=True)),
            histogram=histograms[i].copy(),
        )
        for i, name in enumerate(names)
    }
    skipped = [(Path(path), str(reason)) for path, reason in header["skipped"]]
    return CachedCalibration(statistics, int(header["used"]), skipped, int(header["micro_batch"]))


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return np.frombuffer(digest.digest(), np.uint8)
