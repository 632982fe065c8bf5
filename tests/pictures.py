"""Pictures for tests that only need some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def save_pictures(folder: Path, count: int) -> None:
    """Write ``count`` seeded RGB pictures of 16 x 16, 0.png and so on, into ``folder``, which is made."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(count):
        pixels = random.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
