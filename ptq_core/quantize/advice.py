"""What points at a wrong input or a costly setting, and what a user of the model should know; none of it is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration import CalibrationResult
from ptq_core.calibration.samples import Arrays
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize.samples import FewSamples
from ptq_core.quantize.selection import WEIGHT_ONLY
from ptq_core.reports import LossReport

FEW_PICTURES = 8
"""Below this the ranges hang on single pictures; 100 to 500 are usual."""

FEW_BITS = 3
"""Up to here a layer has seven levels or fewer: without training most networks are lost."""

LARGEST_PIXEL = 255.0

LARGEST_FACTOR = 0.05
"""A std below this is no deviation of pixels from 0 to 1 either (0.2 to 0.5), but what others multiply by."""

LARGEST_STD = 512.0
"""From here on, 255 / std is below 0.5."""

NARROW = 1.02 / LARGEST_PIXEL
"""No value of pixels that were divided by 255 twice is beyond it."""

WIDE_LEAST, WIDE_LARGEST = (-6.0, 0.0), (300.0, 2000.0)
"""Between these lie the least and the largest value of pixels of 0-255 that got mean and std of 0-1: -2.1 and 1111 by ImageNet's.
Other large arrays of three channels (depths, slices of a scan, 16-bit pictures) lie elsewhere."""

LEAST_COMPARED = 4
"""Of fewer pictures the best classes say nothing."""

LOST_DB = 15.0
"""SQNR of an output below which much is lost: the noise is 18 % of the signal's amplitude."""

X86_HINT = (
    "onnxruntime: on an x86 CPU without VNNI (AVX2 only) its int8 sums saturate unless the session option "
    "session.x64quantprecision (or, slower, session.qdqisint8allowed) is 1; our runtime and `ptq eval` need nothing; "
    "`deploy: onnxruntime-x86` writes a model that needs nothing there, and is faster"
)


@dataclass(frozen=True)
class Observed:
    """What advice is made of.

    Options, calibration, statistics of the picture input if it was observed, the loss if it was measured, and the samples
    that it was measured on.
    """

    options: QuantizeOptions
    preprocess: PreprocessOptions
    result: CalibrationResult
    input: TensorStatistics | None
    loss: LossReport | None = None
    few: FewSamples = field(default_factory=FewSamples)

    @property
    def arrays(self) -> bool:
        """Whether samples are used as they are: `preprocess` means nothing then."""
        return bool(self.few.samples) and not self.few.decoded

    @property
    def reach(self) -> float:
        """The largest magnitude of a preprocessed pixel: observed, else what `mean` and `std` allow."""
        if self.input is not None and self.input.count:
            return self.input.abs_max
        return max(
            max(mean, LARGEST_PIXEL - mean) / std
            for mean, std in zip(self.preprocess.mean, self.preprocess.std, strict=True)
        )


Rule = Callable[[Observed], str]
"""A sentence with what was seen, what is expected and the next step; "" where the rule does not hold."""


def warnings(seen: Observed) -> tuple[str, ...]:
    """The sentences of all RULES that hold, in their order."""
    return tuple(filter(None, (rule(seen) for rule in RULES)))


def hints(options: QuantizeOptions) -> tuple[str, ...]:
    """What a user of the written model should know, whatever was seen."""
    in_integers = options.algo != WEIGHT_ONLY and max(options.weight_bits, options.activation_bits) <= 8
    return (X86_HINT,) if in_integers and options.deploy == "ptq" else ()


def _units(seen: Observed) -> str:
    """Pixels are 0 … 255; a deviation below 1 and a mean of at most 1 are those of pixels from 0 to 1."""
    preprocess = seen.preprocess
    if seen.arrays or min(preprocess.std) >= 1 or max(preprocess.mean) > 1:
        return ""
    if seen.reach <= LARGEST_PIXEL or _is_factor(seen):
        return ""
    std, mean = (",".join(f"{v:g}" for v in values) for values in (preprocess.std, preprocess.mean))
    return (
        f"the input reaches {seen.reach:.4g}: mean {mean} and std {std} look like numbers for pixels of 0-1,"
        " here pixels are 0-255; multiply both by 255"
    )


def _is_factor(seen: Observed) -> bool:
    return max(seen.preprocess.std) < LARGEST_FACTOR and seen.reach > LARGEST_PIXEL


def _factor(seen: Observed) -> str:
    """1/255, 1/127.5 or 1/58.4 = 0.017: other tools multiply by it."""
    if seen.arrays or not _is_factor(seen):
        return ""
    std = seen.preprocess.std
    return (
        f"the input reaches {seen.reach:.4g}: std {_listed(std)} looks like a factor, but pixels of 0-255 are divided by std;"
        f" give 1 / factor: {_listed([1 / value for value in std])}"
    )


def _idle_mean(seen: Observed) -> str:
    """Less than one of 255 levels: the mean of pixels from 0 to 1, beside a std of pixels from 0 to 255."""
    mean, std = seen.preprocess.mean, seen.preprocess.std
    if not seen.few.decoded or not any(mean) or max(map(abs, mean)) > 1 or min(std) < 1:
        return ""
    return (
        f"mean {_listed(mean)} moves pixels of 0-255 by less than one level: it looks like a number for pixels of 0-1;"
        f" multiply it by 255: {_listed([255 * value for value in mean])}"
    )


def _mean_outside(seen: Observed) -> str:
    mean = seen.preprocess.mean
    if not seen.few.decoded or (max(mean) <= LARGEST_PIXEL and min(mean) >= -1):
        return ""
    return f"mean {_listed(mean)} is no pixel's value: x' = (x - mean) / std with pixels of 0-255; give their mean"


def _flat(seen: Observed) -> str:
    std = seen.preprocess.std
    if not seen.few.decoded or min(std) <= LARGEST_STD:
        return ""
    return (
        f"std {_listed(std)} leaves inputs a contrast of {LARGEST_PIXEL / min(std):.2g} at most; no network is trained on that:"
        " pixels are 0-255, their std is 1 to 255"
    )


def _wide_arrays(seen: Observed) -> str:
    """What a generator makes of pixels of 0-255 by mean and std of 0-1."""
    for name, least, largest in _colour_arrays(seen):
        if WIDE_LEAST[0] < least < WIDE_LEAST[1] and WIDE_LARGEST[0] < largest < WIDE_LARGEST[1]:
            return (
                f"input {name} has three colours and values from {least:.3g} to {largest:.4g}: were arrays of 0-255 given the"
                " mean and std of pixels of 0-1? Check what makes them"
            )
    return ""


def _narrow_arrays(seen: Observed) -> str:
    for name, least, largest in _colour_arrays(seen):
        if least >= 0 and 0 < largest < NARROW:
            return (
                f"input {name} has three colours and no value beyond {largest:.2g}: were pixels divided by 255 twice?"
                " Check what makes the arrays"
            )
    return ""


def _one_colour(seen: Observed) -> str:
    pictures = _pictures(seen)
    flat = [sample for sample in pictures if all(array.min() == array.max() for array in sample.values())]
    if 2 * len(flat) <= len(pictures) or _constant_pictures(seen):
        return ""
    first = ", ".join(f"{float(array.flat[0]):g}" for array in flat[0].values())
    return (
        f"{len(flat)} of {len(pictures)} pictures looked at have one value everywhere ({first} in the first):"
        " calibrate on typical pictures"
    )


def _same_pictures(seen: Observed) -> str:
    pictures = _pictures(seen)
    if len(pictures) < 2 or all(array.min() == array.max() for array in pictures[0].values()):
        return ""
    if any(
        not np.array_equal(array, pictures[0][name])
        for sample in pictures[1:]
        for name, array in sample.items()
    ):
        return ""
    return f"the {len(pictures)} pictures looked at are all the same: calibrate on different ones"


def _pictures(seen: Observed) -> list[Arrays]:
    """The samples, if they have an array of floats of three dimensions, without scalars: switches and lengths.

    They are judged as a whole: a mask or a first state may well be constant and always the same.
    """
    first = seen.few.samples[0] if seen.few.samples else {}
    if not any(_is_picture(array) for array in first.values()):
        return []
    return [{name: array for name, array in sample.items() if array.size > 1} for sample in seen.few.samples]


def _colour_arrays(seen: Observed) -> Iterator[tuple[str, float, float]]:
    """(input, least, largest value) of three colours, where `preprocess` did not make the samples."""
    for name, first in seen.few.samples[0].items() if seen.arrays else ():
        if _is_picture(first) and 3 in (first.shape[0], first.shape[2]):
            arrays = [sample[name] for sample in seen.few.samples]
            yield name, min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)


def _is_picture(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.size > 1 and array.dtype.kind == "f"


def _listed(values: Iterable[float]) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def _few_pictures(seen: Observed) -> str:
    if seen.options.algo == WEIGHT_ONLY or seen.result.pictures >= FEW_PICTURES:
        return ""
    count = seen.result.pictures
    return (
        f"calibrated on {count} picture{'s' if count != 1 else ''} only: ranges hang on single pictures; take 100 to 500 that are"
        " like those of later use"
    )


def _constant_pictures(seen: Observed) -> str:
    if seen.input is None or not seen.input.count or seen.input.minimum < seen.input.maximum:
        return ""
    return (
        f"all values of all pictures are {seen.input.minimum:g} after preprocessing: nothing can be calibrated on that;"
        " check the pictures, mean and std"
    )


def _few_bits(seen: Observed) -> str:
    options = seen.options
    few = [
        f"{name} is {bits}"
        for name, bits in (("weight_bits", options.weight_bits), ("activation_bits", options.activation_bits))
        if bits <= FEW_BITS and not (name == "activation_bits" and options.algo == WEIGHT_ONLY)
    ]
    if not few:
        return ""
    return f"{' and '.join(few)}: so few levels lose most networks without training; measure with `ptq eval`, or take 4 and more"


def _lost(seen: Observed) -> str:
    outputs = seen.loss.outputs if seen.loss is not None else ()
    lost = {
        each.name: each.sqnr_db for each in outputs if each.sqnr_db is not None and each.sqnr_db < LOST_DB
    }
    if not lost:
        return ""
    worst = min(lost, key=lost.__getitem__)
    more = f" ({len(lost) - 1} more outputs too)" if len(lost) > 1 else ""
    return (
        f"output {worst} has {lost[worst]:.1f} dB against FP32, below {LOST_DB:g}{more}: much accuracy is likely lost;"
        f" {_next_steps(seen)}"
    )


def _other_class(seen: Observed) -> str:
    """The best class of half of the pictures and more, though the noise is small; other [N, C] may be coordinates."""
    if seen.loss is None or seen.loss.pictures < LEAST_COMPARED or _lost(seen):
        return ""
    pictures = seen.loss.pictures
    for output in seen.loss.outputs:
        equal = output.best_class_equal
        if output.probabilities and equal is not None and 2 * equal <= pictures:
            return (
                f"output {output.name} has another best class than FP32's in {pictures - equal} of {pictures} pictures;"
                f" {_next_steps(seen)}"
            )
    return ""


def _next_steps(seen: Observed) -> str:
    """What the configuration leaves to be tried."""
    options, steps = seen.options, []
    if options.algo == WEIGHT_ONLY:
        steps.append("more weight_bits")
    elif options.round_type != "adaround" or not options.bias_correction:
        steps.append("the recipe `-c accurate`")
    else:
        steps.append("another algo")
    costly = seen.loss.operators[:3] if seen.loss is not None else ()
    if costly:
        steps.append(
            f"skip_nodes of the operators that cost most ({', '.join(each.name for each in costly)})"
        )
    return f"try {', then '.join(steps)}, and measure with `ptq eval`"


RULES: tuple[Rule, ...] = (
    _units,
    _factor,
    _idle_mean,
    _mean_outside,
    _flat,
    _wide_arrays,
    _narrow_arrays,
    _few_pictures,
    _constant_pictures,
    _one_colour,
    _same_pictures,
    _few_bits,
    _lost,
    _other_class,
)
