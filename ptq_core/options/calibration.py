"""What calibration can be told: which samples it sees, and how a range is made of what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptq_core.options.keys import Options, bad_value, key
from ptq_core.options.preprocess import PreprocessOptions


@dataclass(frozen=True)
class CalibrationOptions(Options):
    """The samples, and where the model runs on them. Paths are relative to the current directory."""

    image_dir: Path | None = key("folder of calibration pictures", None)
    image_list: Path | None = key("file with one picture per line: name, and maybe a label", None)
    preprocess: PreprocessOptions = key("how a picture becomes an input", PreprocessOptions())
    executor: Literal["cpu", "cuda"] = key("onnxruntime provider of the calibration", "cpu")
    batch_size: int = key("pictures per batch", 10)
    batch_nums: int | None = key("batches to use [default: all]", None)
    is_use_cache_file: bool = key("keep calibration statistics in cache_dir and reuse them", False)
    cache_dir: Path = key("folder of the calibration cache", Path("temp_post_training"))
    skip_bad_images: bool = key("leave out pictures that cannot be decoded instead of stopping", False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "batch_nums"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise bad_value(name, getattr(self, name), "at least 1")
        super().__post_init__()

    @property
    def requested(self) -> int | None:
        """How many samples are asked for; None: all."""
        return None if self.batch_nums is None else self.batch_size * self.batch_nums


@dataclass(frozen=True)
class RangeOptions(Options):
    """How the range of an activation is found."""

    algo: Literal["KL", "abs_max", "direct", "min_max", "avg", "hist", "mse", "emd", "weight_only"] = key(
        "threshold algorithm of the activations; weight_only needs no pictures", "KL"
    )
    hist_percent: float = key("share of the values that algo hist keeps", 0.99999)
    activation_bits: int = key("bits of the activations, 1-16", 8)
    activation_symmetric: bool = key("zero point 0; false fits range and zero point to each tensor", True)

    def __post_init__(self) -> None:
        if not 1 <= self.activation_bits <= 16:
            raise bad_value("activation_bits", self.activation_bits, "a whole number from 1 to 16")
        if not 0 < self.hist_percent <= 1:
            raise bad_value("hist_percent", self.hist_percent, "a share above 0, up to 1")
        super().__post_init__()
