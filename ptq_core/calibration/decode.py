"""Decode pictures ahead of their use, in a few threads, in order, with a bounded number in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.preprocess import BadPictureError, read_picture
from ptq_core.config import PreprocessConfig
from ptq_core.errors import InputError

AHEAD_PER_WORKER = 3
"""Pictures decoded or being decoded per thread; more would only hold memory."""


def load_pictures(
    paths: Sequence[Path],
    preprocess: PreprocessConfig,
    sample_shape: tuple[int, ...],
    *,
    skipped: list[tuple[Path, str]] | None = None,
    workers: int | None = None,
) -> Generator[tuple[Path, NDArray[np.float32]], None, None]:
    """Yield (path, float32 array of ``sample_shape``) for every picture, in the order of ``paths``.

    A picture that cannot be decoded raises InputError, or with a list ``skipped`` is left out and added to it as
    (path, reason); when none is left, that is an InputError too. ``workers`` defaults to half of the cores, at most 4:
    the other half runs the model, and every thread keeps memory of its own for the largest picture it met.
    """
    workers = workers or max(1, min(4, (os.cpu_count() or 1) // 2))
    remaining = iter(paths)
    pending: deque[tuple[Path, Future[NDArray[np.float32]]]] = deque()
    good = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        while True:
            while len(pending) < workers * AHEAD_PER_WORKER and (path := next(remaining, None)) is not None:
                pending.append((path, pool.submit(read_picture, path, preprocess, sample_shape)))
            if not pending:
                break
            path, future = pending.popleft()
            try:
                sample = future.result()
            except BadPictureError as error:
                if skipped is None:
                    raise
                skipped.append((path, error.problem))
                continue
            good += 1
            yield path, sample
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if not good:
        raise InputError(
            f"none of the {len(paths)} pictures can be decoded (first: {paths[0] if paths else 'none given'})",
            rule="at least one picture must be good, also with skip_bad_images",
            fix="check the files; they may be empty or of another format",
        )
