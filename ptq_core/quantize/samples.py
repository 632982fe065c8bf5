"""The calibration pictures as samples, for refinements that run the model again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.readers import find_pictures
from ptq_core.config import QuantizeConfig


@dataclass(frozen=True)
class PictureSamples:
    """The pictures that calibration takes, decoded anew in each iteration: float32 of ``shape`` (without the batch)."""

    config: QuantizeConfig
    shape: tuple[int, ...]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        config = self.config
        requested = None if config.batch_nums is None else config.batch_size * config.batch_nums
        paths = [p.path for p in find_pictures(config.image_dir, config.image_list)][:requested]
        skipped: list[tuple[Path, str]] | None = [] if config.skip_bad_images else None
        with closing(load_pictures(paths, config.preprocess, self.shape, skipped=skipped)) as pictures:
            for _, sample in pictures:
                yield sample
