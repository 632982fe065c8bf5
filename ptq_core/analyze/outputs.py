"""How far the outputs of a changed model are from FP32's, output by output and as one figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptq_core.numerics.metrics import Noise

Values = Mapping[str, NDArray[Any]]


class OutputNoise:
    """Noise of each output over all samples, as ``count`` has it."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_output = {name: Noise() for name in names}
        self._floats: set[str] = set()

    def add(self, wanted: Values, got: Values) -> None:
        """Count one run of both models."""
        for name, noise in self.by_output.items():
            if wanted[name].dtype.kind == "f":
                self._floats.add(name)
            count(noise, wanted[name], got[name])

    @property
    def worst_db(self) -> float | None:
        """SQNR in dB of the worst output: inf where nothing differs; None where FP32 has only zeros, or nothing to compare."""
        return min((noise.sqnr_db for noise in self._judged()), default=None)

    @property
    def worst_ratio(self) -> float:
        """Noise / signal of the worst output; 0 where there is nothing to compare."""
        return max((noise.ratio for noise in self._judged()), default=0.0)

    def _judged(self) -> list[Noise]:
        """Floats where there are any: of sorted places nearly all differ at the least noise."""
        known = {name: noise for name, noise in self.by_output.items() if noise.signal > 0}
        return [known[name] for name in known if name in self._floats] or list(known.values())


def count(noise: Noise, wanted: NDArray[Any], got: NDArray[Any]) -> None:
    """Add to ``noise`` what one run of both models made of a value.

    Of what is no float, it is the share of values that differ: noise is their number, signal that of all.
    Where the value has another size than FP32's (boxes after a suppression), all of its signal counts as noise;
    where FP32 has nothing, all that there is instead.
    """
    if wanted.shape != got.shape or wanted.dtype != got.dtype:
        power = _power(wanted)
        noise.signal += power
        noise.noise += power or _power(got)
    elif wanted.dtype.kind == "f":
        noise.add(wanted, got)
    elif wanted.dtype.kind in "iub":
        noise.signal += wanted.size
        noise.noise += int((wanted != got).sum())


def _power(values: NDArray[Any]) -> float:
    if values.dtype.kind != "f":
        return float(values.size)
    finite = values[np.isfinite(values)].astype(np.float64)
    return float(np.dot(finite, finite))


def db_of(ratio: float) -> float:
    """Noise / signal in dB of signal to noise."""
    return -10 * math.log10(ratio) if ratio > 0 else math.inf
