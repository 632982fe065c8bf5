"""Calibration samples as plain arrays, for what runs the model again: refinements, and the measurement of the loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.decode import load_samples
from ptq_core.calibration.readers import find_pictures
from ptq_core.calibration.samples import ARRAY_SUFFIXES, Arrays, Sample, Shapes, as_arrays
from ptq_core.errors import InputError
from ptq_core.options.calibration import CalibrationOptions


@dataclass(frozen=True)
class PictureSamples:
    """The files that calibration takes, decoded in the same way anew in each iteration: float32 arrays of the one input."""

    options: CalibrationOptions
    inputs: Shapes

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        options = self.options
        paths = [p.path for p in find_pictures(options.image_dir, options.image_list)][: options.requested]
        loading = load_samples(
            paths, options.preprocess, self.inputs, skip_bad=options.skip_bad_images, reduced=True
        )
        with closing(loading) as loaded:
            for read in loaded:
                for array in read.arrays.values():  # one, or none of a bad picture
                    yield np.asarray(array, np.float32)


@dataclass(frozen=True)
class GivenSamples:
    """Samples that the caller has, as arrays of the model's one input; ``given`` must start anew in each iteration."""

    given: Iterable[Sample]
    inputs: Shapes

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Raises InputError for a sample of another shape."""
        for index, sample in enumerate(self.given):
            (array,) = as_arrays(sample, self.inputs, f"sample {index}").values()
            yield np.asarray(array, np.float32)


def refinement_samples(
    options: CalibrationOptions, inputs: Shapes, given: Iterable[Sample] | None
) -> PictureSamples | GivenSamples:
    """The samples that equalization, bias correction and AdaRound run the model on: ``given``, or the pictures of ``config``.

    Raises InputError if the model has more than one input, or if ``given`` can be iterated only once.
    """
    if len(inputs) != 1:
        raise InputError(
            f"the model has {len(inputs)} inputs ({', '.join(inputs)})",
            rule="equalize, bias_correction and adaround run models of one input",
            fix="switch them off for this model",
        )
    if given is None:
        return PictureSamples(options, inputs)
    check_restartable(given, "the samples")
    return GivenSamples(given, inputs)


class KeepFirst:
    """``given`` samples as they pass: copies of the first, and how many there were. A running generator yields each only once."""

    def __init__(self, given: Iterable[Sample], count: int) -> None:
        self._given, self._count = given, count
        self._kept: list[Sample] = []
        self._passed = 0

    def __iter__(self) -> Iterator[Sample]:
        self._kept, self._passed = [], 0
        for sample in self._given:
            if len(self._kept) < self._count:
                self._kept.append(copy.deepcopy(sample))
            self._passed += 1
            yield sample

    def first(self) -> tuple[list[Sample], int]:
        """The first ``count`` samples, taken now if none has passed, and how many there are, as far as known."""
        if not self._passed:
            for _ in islice(self, self._count):
                pass
        return self._kept, self._passed


@dataclass(frozen=True)
class FewSamples:
    """Some of the samples; ``decoded`` where `preprocess` made them of picture files: arrays are used as they are."""

    samples: list[Arrays] = field(default_factory=list)
    decoded: bool = False


def few_samples(
    options: CalibrationOptions, inputs: Shapes, given: KeepFirst | None, share: Callable[[int], int]
) -> FewSamples:
    """Of n samples ``share(n)``, the first of ``given``, else pictures spread evenly over those of ``config``.

    Bad pictures are left out; empty without any. Raises InputError for samples that do not fit ``inputs``.
    """
    if given is not None:
        first, passed = given.first()
        taken = first[: share(passed)]
        return FewSamples(
            [as_arrays(sample, inputs, f"sample {index}") for index, sample in enumerate(taken)]
        )
    if options.image_dir is None and options.image_list is None:
        return FewSamples()
    paths = [p.path for p in find_pictures(options.image_dir, options.image_list)][: options.requested]
    count = min(share(len(paths)), len(paths))
    spread = [paths[i * len(paths) // count] for i in range(count)]
    loading = load_samples(spread, options.preprocess, inputs, skip_bad=True, may_be_none=True, reduced=True)
    with closing(loading) as loaded:
        decoded = all(path.suffix.lower() not in ARRAY_SUFFIXES for path in spread)
        return FewSamples([read.arrays for read in loaded if read.bad is None], decoded)


def check_restartable(given: Callable[[], Iterable[Any]] | Iterable[Any], name: str) -> None:
    """Raise InputError if ``given``, called ``name`` by the user, can be iterated only once."""
    if not callable(given) and iter(given) is given:
        raise InputError(
            f"{name}: a generator that is already running",
            rule="equalize, bias_correction and adaround go through the samples again",
            fix="give the generator function itself",
        )
