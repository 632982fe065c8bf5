"""Samples that are arrays already: from Python generators and from `.npy`/`.npz` files, checked against the model's inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.preprocess import BadPictureError
from ptq_core.errors import InputError
from ptq_core.inputs import is_lack, load_arrays
from ptq_core.options.calibration import CalibrationOptions

Arrays = dict[str, NDArray[Any]]
"""One sample: an array per model input, by name, each of the input's shape without the batch, if it has one."""

Sample = Mapping[str, Any] | Sequence[Any] | NDArray[Any]
"""What a generator may yield: arrays by input name, a tuple or list of arrays in the inputs' order, or the one array."""

Shapes = Mapping[str, Sequence[int]]
"""Input name → its shape, the batch (of any size) first but for those of `whole_inputs`; in the model's order."""

Skipped = tuple[Path, str]
"""A bad file that was passed over, and why."""

ARRAY_SUFFIXES = (".npy", ".npz")
"""File name endings of samples that are preprocessed already."""

MOST_SAMPLE_BYTES = 64 << 20
"""Of a sample, where the model does not ask for more."""


def whole_inputs(inputs: Shapes) -> frozenset[str]:
    """Those of ``inputs`` without a batch: the first dimension is not that of the first input, or there is none.

    A state [2, 1, 128] beside a signal [1, 576], a rate []: a sample has their whole array.
    """
    batch = next((shape[0] for shape in inputs.values() if len(shape)), 1)
    return frozenset(name for name, shape in inputs.items() if not len(shape) or shape[0] != batch)


@dataclass(frozen=True)
class Read:
    """What reading one sample gave: its ``arrays``, or in ``bad`` why there are none. ``name`` is for errors."""

    name: str
    arrays: Arrays
    bad: Skipped | None = None


@dataclass(frozen=True)
class GeneratorSamples:
    """Samples of a Python generator, at most as many as `batch_size` and `batch_nums` ask for.

    ``generator`` is a function that returns an iterator, as PaddlePaddle's, or any iterable; only what can be started
    anew can be iterated twice. It yields single samples (Sample), or with ``batched`` whole batches: the same forms with
    the batch as every array's first dimension. `batch_nums` then counts its batches, whatever their size.
    """

    generator: Callable[[], Iterable[Any]] | Iterable[Any]
    inputs: Shapes
    options: CalibrationOptions
    batched: bool = False

    def __iter__(self) -> Iterator[Arrays]:
        """Raises InputError for a sample or batch that does not fit ``inputs``."""
        yielded = iter(self.generator() if callable(self.generator) else self.generator)
        nums, size = self.options.batch_nums, self.options.batch_size
        if not self.batched:
            for index, sample in enumerate(islice(yielded, None if nums is None else nums * size)):
                yield as_arrays(sample, self.inputs, f"sample {index}")
            return
        for index, batch in enumerate(islice(yielded, nums)):
            arrays = as_arrays(batch, self.inputs, f"batch {index}", batched=True)
            whole = whole_inputs(self.inputs)
            rows = next((len(array) for name, array in arrays.items() if name not in whole), 1)
            for row in range(rows):
                yield {name: array if name in whole else array[row] for name, array in arrays.items()}


def as_arrays(sample: Sample, inputs: Shapes, name: str, *, batched: bool = False) -> Arrays:
    """``sample`` as new arrays by input name; with ``batched`` they have a batch, of one size, as first dimension.

    They are copies: a generator may fill the same buffers again while its earlier samples are still in use.

    Raises InputError, calling the sample ``name``, for inputs that are missing, unknown or of another shape.
    """
    try:
        arrays = {key: np.array(value) for key, value in _by_name(sample, inputs, name, batched).items()}
    except ValueError as error:
        raise InputError(
            f"{name} is not an array: {error}", rule="a sample is made of arrays", fix="correct the generator"
        ) from error
    whole = whole_inputs(inputs)
    for key, array in arrays.items():
        with_batch = batched and key not in whole
        made = array.shape[1:] if with_batch else array.shape
        wanted = tuple(inputs[key] if key in whole else inputs[key][1:])
        if made != wanted or array.ndim != len(wanted) + with_batch:
            batch = " with the batch first" if with_batch else ", without the batch dimension"
            batch = "" if key in whole else batch
            raise InputError(
                f"{name} has {list(array.shape)} for the input `{key}`",
                rule=f"the model takes {list(wanted)}{batch}",
                fix="yield single samples" if made[1:] == wanted else "preprocess it to the model's shape",
            )
    sizes = {len(array) for key, array in arrays.items() if key not in whole} if batched else {1}
    if len(sizes) > 1 or 0 in sizes:
        raise InputError(
            f"{name} holds {' and '.join(map(str, sorted(sizes)))} samples",
            rule="all inputs of a batch have the same number of samples, at least one",
            fix="correct the generator",
        )
    return arrays


def read_arrays(path: Path, inputs: Shapes, content: bytes | None = None) -> Arrays:
    """One sample from a `.npy` file (a model of one input) or a `.npz` file (arrays by input name), used as it is.

    ``content`` is what ``path`` holds, if the caller has read it.
    Raises BadPictureError if the file cannot be read, InputError if its arrays do not fit ``inputs``.
    """
    return as_arrays(load_sample(path, _most_bytes(inputs), content), inputs, str(path))


def load_sample(
    path: Path, limit: int = MOST_SAMPLE_BYTES, content: bytes | None = None
) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """The array of a `.npy` file, those of a `.npz` by name; raises BadPictureError if it cannot be read."""
    try:
        return load_arrays(path, limit, content)
    except Exception as error:  # zipfile, zlib and NumPy each raise their own for a damaged file
        if is_lack(error):
            raise
        words = error.problem if isinstance(error, InputError) else str(error)
        reason = " ".join(words.split()) or type(error).__name__
        raise BadPictureError(
            f"cannot read sample {path}: {reason}",
            rule="a .npy or .npz file holds plain arrays, as numpy.save and numpy.savez write them",
            fix="write it again or remove it, or set skip_bad_images: true",
        ) from error


def _most_bytes(inputs: Shapes) -> int:
    """Of the file of a sample: values of 16 bytes, or what a sample of another size may have, so that its shape is named."""
    whole = whole_inputs(inputs)
    values = (math.prod(shape if name in whole else shape[1:]) for name, shape in inputs.items())
    return max(MOST_SAMPLE_BYTES, 16 * sum(values))


def _by_name(sample: Sample, inputs: Shapes, name: str, batched: bool) -> Mapping[str, Any]:
    names = list(inputs)
    if isinstance(sample, Mapping):
        if set(sample) == set(names):
            return {key: sample[key] for key in names}
        given = f"the inputs {', '.join(map(str, sample)) or 'none'}"
    elif len(names) == 1 and _is_the_array(sample, inputs[names[0]], batched):
        return {names[0]: sample}
    elif isinstance(sample, Sequence) and len(sample) == len(names):
        return dict(zip(names, sample, strict=True))
    else:
        given = "one array" if isinstance(sample, np.ndarray) else f"{len(sample)} arrays"
    raise InputError(
        f"{name} has {given}",
        rule=f"the model's inputs are {', '.join(names)}",
        fix="give each input one array: by name (a dict, or a .npz file), or all in this order",
    )


def _is_the_array(sample: Any, shape: Sequence[int], batched: bool) -> bool:
    """Whether ``sample`` is the one input's array, maybe as nested lists, rather than a list that holds it."""
    if isinstance(sample, np.ndarray):
        return True
    try:
        made = np.shape(sample)
    except ValueError:  # a ragged list
        return False
    return made[int(batched) :] == tuple(shape[1:]) and len(made) == len(shape) - (not batched)
