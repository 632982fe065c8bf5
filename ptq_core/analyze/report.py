"""What an analysis found, as records; dB are signal to noise against FP32, inf where nothing differs."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_SAMPLES = 16
"""Calibration pictures that models are compared on, spread evenly."""


@dataclass(frozen=True)
class InputRange:
    """An activation that an operator reads, rounded to [``low``, ``high``]; errors over all that calibration saw.

    ``clipped_share`` of its values lies outside. ``rounding_db`` is of rounding alone, ``total_db`` with clipping; None where
    nothing is known of the tensor's values (its range is another's, or its operator's own).
    """

    name: str
    low: float
    high: float
    clipped_share: float | None
    rounding_db: float | None
    total_db: float | None


@dataclass(frozen=True)
class Operator:
    """An int8 operator; ``index`` is its place among them in graph order, from 0.

    ``weights_db``: its weights, None without. ``output_db``: its output in the quantized model, with all noise from before.
    ``alone_db``: the model's worst output where it alone is int8; ``without_db``: where it alone is float. None where there is
    nothing to compare. ``macs_share`` and ``latency_share`` are of the whole model, None where unknown. ``rank`` counts from 1.
    """

    index: int
    name: str
    op_type: str
    weights_db: float | None
    inputs: tuple[InputRange, ...]
    output_db: float
    alone_db: float | None
    without_db: float | None
    gain_db: float | None
    macs_share: float | None
    latency_share: float | None
    rank: int

    @property
    def worst_input(self) -> InputRange | None:
        """The input with most noise, of those whose values are known."""
        known = [each for each in self.inputs if each.total_db is not None]
        return min(known, key=lambda each: each.total_db or 0.0, default=None)


@dataclass(frozen=True)
class OutputFigure:
    """An output of the model and its SQNR; None where FP32 has only zeros there."""

    name: str
    sqnr_db: float | None


@dataclass(frozen=True)
class Budget:
    """What can be had for at most ``most_share`` of the MACs in float: ``skip_nodes`` is ready for the configuration.

    ``added`` are those of it that the configuration had not yet; they are ``macs_share`` of the MACs. ``sqnr_db`` is measured:
    the worst output of the model that `ptq quantize` makes with this list.
    """

    most_share: float
    skip_nodes: tuple[str, ...]
    added: tuple[str, ...]
    macs_share: float
    sqnr_db: float | None
    outputs: tuple[OutputFigure, ...]


@dataclass(frozen=True)
class Histogram:
    """Counts of a tensor's values in bins of equal width from ``start`` on, and the range that it is rounded to."""

    name: str
    readers: tuple[str, ...]
    start: float
    width: float
    counts: tuple[int, ...]
    low: float
    high: float
    minimum: float
    maximum: float
    clipped_share: float
    total_db: float


@dataclass(frozen=True)
class Analysis:
    """A whole analysis. ``sqnr_db`` is of the worst output with everything int8 that the configuration makes so."""

    model: str
    algo: str
    pictures: int
    samples: int
    sqnr_db: float | None
    outputs: tuple[OutputFigure, ...]
    operators: tuple[Operator, ...]
    float_operators: int
    budgets: tuple[Budget, ...]
    histograms: tuple[Histogram, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def ranked(self) -> tuple[Operator, ...]:
        """The operators, those that cost most first."""
        return tuple(sorted(self.operators, key=lambda operator: operator.rank))
