"""Read samples ahead of their use, in a few threads, in order, with a bounded number in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.contents import Contents
from ptq_core.calibration.preprocess import BadPictureError, read_picture
from ptq_core.calibration.samples import ARRAY_SUFFIXES, Arrays, Read, Shapes, read_arrays
from ptq_core.errors import InputError
from ptq_core.options.preprocess import PreprocessOptions

AHEAD_PER_WORKER = 3
"""Pictures decoded or being decoded per thread; more would only hold memory."""


def load_pictures(
    paths: Sequence[Path],
    preprocess: PreprocessOptions,
    sample_shape: tuple[int, ...],
    *,
    workers: int | None = None,
) -> Generator[tuple[Path, NDArray[np.float32]], None, None]:
    """As ``load_samples`` for a model of one input: yield (path, float32 array of ``sample_shape``)."""
    samples = load_samples(paths, preprocess, {"": (1, *sample_shape)}, workers=workers)
    with closing(samples):
        for read, path in zip(samples, paths, strict=True):
            yield path, read.arrays[""].astype(np.float32, copy=False)


def load_samples(
    paths: Sequence[Path],
    preprocess: PreprocessOptions,
    inputs: Shapes,
    *,
    skip_bad: bool = False,
    workers: int | None = None,
    may_be_none: bool = False,
    reduced: bool = False,
    contents: Contents | None = None,
) -> Generator[Read, None, None]:
    """Yield what reading each picture or array file gave, in the order of ``paths``.

    A file that cannot be decoded raises InputError; with ``skip_bad`` it is a bad sample, and an InputError is raised at the
    end only if no other was good, unless there ``may_be_none``. ``workers`` defaults to half
    of the cores, at most 4: the other half runs the model, and every thread keeps memory of its own for the largest
    picture it met. ``reduced`` decodes large JPEGs at a reduced scale (see preprocess.py). With ``contents`` a file that no
    longer holds what it held then raises InputError.
    """
    workers = workers or max(1, min(4, (os.cpu_count() or 1) // 2))
    remaining = iter(paths)
    pending: deque[tuple[Path, Future[Arrays]]] = deque()
    good = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        while True:
            while len(pending) < workers * AHEAD_PER_WORKER and (path := next(remaining, None)) is not None:
                pending.append((path, pool.submit(_read, path, preprocess, inputs, reduced, contents)))
            if not pending:
                break
            path, future = pending.popleft()
            try:
                sample = future.result()
            except BadPictureError as error:
                if not skip_bad:
                    raise
                yield Read(f"picture {path}", {}, (path, error.problem))
                continue
            good += 1
            yield Read(f"picture {path}", sample)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if not good and not may_be_none:
        raise InputError(
            f"none of the {len(paths)} pictures can be decoded (first: {paths[0] if paths else 'none given'})",
            rule="at least one picture must be good, also with skip_bad_images",
            fix="check the files; they may be empty or of another format",
        )


def _read(
    path: Path, preprocess: PreprocessOptions, inputs: Shapes, reduced: bool, contents: Contents | None
) -> Arrays:
    content = None if contents is None else contents.read(path)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return read_arrays(path, inputs, content)
    if len(inputs) > 1:
        raise InputError(
            f"{path} is one picture, but the model has the inputs {', '.join(inputs)}",
            rule="a picture is a sample for a model of one input",
            fix="give .npz files with an array for each input, or a Python generator",
        )
    name, shape = next(iter(inputs.items()))
    return {name: read_picture(path, preprocess, tuple(shape[1:]), reduced=reduced, content=content)}
