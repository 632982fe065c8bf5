"""What points at a wrong input or a costly setting, and what a user of the model should know; none of it is an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptq_core.calibration import CalibrationResult
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.config import QuantizeConfig
from ptq_core.quantize.selection import WEIGHT_ONLY
from ptq_core.reports import LossReport

FEW_PICTURES = 8
"""Below this the ranges hang on single pictures; 100 to 500 are usual."""

FEW_BITS = 3
"""Up to here a layer has seven levels or fewer: without training most networks are lost."""

LARGEST_PIXEL = 255.0

LEAST_COMPARED = 4
"""Of fewer pictures the best classes say nothing."""

LOST_DB = 15.0
"""SQNR of an output below which much is lost: the noise is 18 % of the signal's amplitude."""

X86_HINT = (
    "onnxruntime: on an x86 CPU without VNNI (AVX2 only) its int8 sums saturate unless the session option "
    "session.x64quantprecision (or, slower, session.qdqisint8allowed) is 1; our runtime and `ptq eval` need nothing"
)


@dataclass(frozen=True)
class Observed:
    """What advice is made of: configuration, calibration, statistics of the picture input if it was observed, and the loss."""

    config: QuantizeConfig
    result: CalibrationResult
    input: TensorStatistics | None
    loss: LossReport | None = None

    @property
    def reach(self) -> float:
        """The largest magnitude of a preprocessed pixel: observed, else what `mean` and `std` allow."""
        if self.input is not None and self.input.count:
            return self.input.abs_max
        preprocess = self.config.preprocess
        return max(
            max(mean, LARGEST_PIXEL - mean) / std
            for mean, std in zip(preprocess.mean, preprocess.std, strict=True)
        )


Rule = Callable[[Observed], str]
"""A sentence with what was seen, what is expected and the next step; "" where the rule does not hold."""


def warnings(
    config: QuantizeConfig, result: CalibrationResult, input_name: str, loss: LossReport | None = None
) -> tuple[str, ...]:
    """The sentences of all RULES that hold, in their order."""
    seen = Observed(config, result, result.statistics.get(input_name), loss)
    return tuple(filter(None, (rule(seen) for rule in RULES)))


def hints(config: QuantizeConfig) -> tuple[str, ...]:
    """What a user of the written model should know, whatever was seen."""
    in_integers = config.algo != WEIGHT_ONLY and max(config.weight_bits, config.activation_bits) <= 8
    return (X86_HINT,) if in_integers else ()


def _units(seen: Observed) -> str:
    """Pixels are 0 … 255; a deviation below 1 and a mean of at most 1 are those of pixels from 0 to 1."""
    preprocess = seen.config.preprocess
    if min(preprocess.std) >= 1 or max(preprocess.mean) > 1 or seen.reach <= LARGEST_PIXEL:
        return ""
    std, mean = (",".join(f"{v:g}" for v in values) for values in (preprocess.std, preprocess.mean))
    return (
        f"the input reaches {seen.reach:.4g}: mean {mean} and std {std} look like numbers for pixels of 0-1,"
        " here pixels are 0-255; multiply both by 255"
    )


def _few_pictures(seen: Observed) -> str:
    if seen.config.algo == WEIGHT_ONLY or seen.result.pictures >= FEW_PICTURES:
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
    config = seen.config
    few = [
        f"{name} is {bits}"
        for name, bits in (("weight_bits", config.weight_bits), ("activation_bits", config.activation_bits))
        if bits <= FEW_BITS and not (name == "activation_bits" and config.algo == WEIGHT_ONLY)
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
    """The best class of half of the pictures and more, though the noise is small beside what all classes share."""
    for output in seen.loss.outputs if seen.loss is not None else ():
        pictures, equal = seen.loss.pictures if seen.loss is not None else 0, output.best_class_equal
        if equal is not None and pictures >= LEAST_COMPARED and 2 * equal <= pictures and not _lost(seen):
            return (
                f"output {output.name} has another best class than FP32's in {pictures - equal} of {pictures} pictures;"
                f" {_next_steps(seen)}"
            )
    return ""


def _next_steps(seen: Observed) -> str:
    """What the configuration leaves to be tried."""
    config, steps = seen.config, []
    if config.algo == WEIGHT_ONLY:
        steps.append("more weight_bits")
    elif config.round_type != "adaround" or not config.bias_correction:
        steps.append("configs/recipes/accurate.yaml")
    else:
        steps.append("another algo")
    costly = seen.loss.operators[:3] if seen.loss is not None else ()
    if costly:
        steps.append(
            f"skip_nodes of the operators that cost most ({', '.join(each.name for each in costly)})"
        )
    return f"try {', then '.join(steps)}, and measure with `ptq eval`"


RULES: tuple[Rule, ...] = (_units, _few_pictures, _constant_pictures, _few_bits, _lost, _other_class)
