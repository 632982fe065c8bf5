"""How a picture becomes a model input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ptq_core.errors import InputError
from ptq_core.options.keys import Options, bad_value, key

MOST_SIDE = 16384
"""Pixels of a side: a square of them has 0.8 GB."""


@dataclass(frozen=True)
class PreprocessOptions(Options):
    """How a picture becomes a model input. `mean` and `std` are in 0–255 units: x' = (x − mean) / std."""

    resize: tuple[int, ...] | None = key("stretch to [height, width]", None)
    resize_short: int | None = key("scale the shorter side to this many pixels", None)
    center_crop: tuple[int, ...] | None = key("cut [height, width] (or one number) from the centre", None)
    mean: tuple[float, ...] = key("per channel, in 0-255 units", (0.0, 0.0, 0.0))
    std: tuple[float, ...] = key("per channel, in 0-255 units", (1.0, 1.0, 1.0))
    channel_order: Literal["RGB", "BGR", "GRAY"] = key("order of the channels", "RGB")
    layout: Literal["NCHW", "NHWC"] = key("order of the axes", "NCHW")

    def __post_init__(self) -> None:
        channels = 1 if self.channel_order == "GRAY" else 3
        for name in ("mean", "std"):
            values: tuple[float, ...] = getattr(self, name)
            if len(values) == 1:
                object.__setattr__(self, name, values * channels)
            elif (
                self.channel_order == "GRAY"
                and values == PreprocessOptions.__dataclass_fields__[name].default
            ):
                object.__setattr__(self, name, values[:1])
            elif len(values) != channels:
                raise bad_value(
                    f"preprocess.{name}", list(values), f"{channels} number(s) for {self.channel_order}"
                )
        if not all(math.isfinite(value) for value in self.mean):
            raise bad_value("preprocess.mean", list(self.mean), "finite numbers")
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise bad_value(
                "preprocess.std", list(self.std), "finite numbers above zero: pixels are divided by it"
            )
        if self.resize is not None and self.resize_short is not None:
            raise InputError(
                "preprocess has both `resize` and `resize_short`",
                rule="`resize` stretches to a size, `resize_short` keeps the proportions; only one can hold",
                fix="remove one of them",
            )
        for name in ("resize", "center_crop"):
            size: tuple[int, ...] | None = getattr(self, name)
            if size is None:
                continue
            if len(size) not in (1, 2) or not all(1 <= value <= MOST_SIDE for value in size):
                raise bad_value(
                    f"preprocess.{name}", list(size), f"[height, width], both from 1 to {MOST_SIDE}"
                )
            object.__setattr__(self, name, (size[0], size[-1]))
        if self.resize_short is not None and not 1 <= self.resize_short <= MOST_SIDE:
            raise bad_value("preprocess.resize_short", self.resize_short, f"from 1 to {MOST_SIDE}")
        super().__post_init__()
