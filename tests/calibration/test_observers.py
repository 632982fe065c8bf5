"""Every algorithm x bits x distribution against plain references; degenerate tensors; the table and the configuration."""

from __future__ import annotations

import itertools
import math
import typing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ptq_core.calibration import Range, find_range
from ptq_core.calibration.observers import OBSERVERS, Quantizer, hist, least_error
from ptq_core.calibration.statistics import Scratch, TensorStatistics
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.numerics import qparams

RANDOM = np.random.default_rng(5)
SAMPLES, PER_SAMPLE = 10, 1200
BITS = (1, 2, 4, 8, 12, 16)

Array = NDArray[np.float64]


def swish(x: Array) -> Array:
    result: Array = x / (1 + np.exp(-x))
    return result


TENSORS: dict[str, Array] = {
    "gaussian": RANDOM.standard_normal((SAMPLES, PER_SAMPLE)),
    "laplace": RANDOM.laplace(size=(SAMPLES, PER_SAMPLE)),
    "relu of student t": np.maximum(RANDOM.standard_t(3, (SAMPLES, PER_SAMPLE)), 0),
    "relu6": np.clip(RANDOM.standard_normal((SAMPLES, PER_SAMPLE)) * 4, 0, 6),
    "uniform": RANDOM.uniform(-1, 1, (SAMPLES, PER_SAMPLE)),
    "offset": RANDOM.uniform(1, 2, (SAMPLES, PER_SAMPLE)),
    "negative": -RANDOM.exponential(1.0, (SAMPLES, PER_SAMPLE)),
    "swish": swish(RANDOM.standard_normal((SAMPLES, PER_SAMPLE)) * 3),
    "skewed": RANDOM.gumbel(0, 1, (SAMPLES, PER_SAMPLE)) * 1e-3,
    "growing": RANDOM.standard_normal((SAMPLES, PER_SAMPLE)) * np.arange(1, SAMPLES + 1)[:, np.newaxis],
}
TENSORS = {name: x.astype(np.float32).astype(np.float64) for name, x in TENSORS.items()}


def observe(values: Array) -> TensorStatistics:
    statistics = TensorStatistics("t")
    statistics.update(values.astype(np.float32), Scratch(), samples=len(values))
    return statistics


STATISTICS = {name: observe(values) for name, values in TENSORS.items()}


def config(algo: typing.Any, bits: int, symmetric: bool = True, percent: float = 0.999) -> QuantizeConfig:
    return QuantizeConfig(
        model_dir=Path(),
        save_model_path=Path(),
        algo=algo,
        activation_bits=bits,
        activation_symmetric=symmetric,
        hist_percent=percent,
    )


def fake_quantize(x: Array, low: float, high: float, bits: int, symmetric: bool) -> Array:
    """Round to the grid of docs/numerics.md, in float64."""
    if symmetric:
        top = max(1, 2 ** (bits - 1) - 1)
        scale, first, last = high / top, -top - (bits > 1), top
    else:
        scale = (high - low) / (2**bits - 1)
        first = round(low / scale)
        last = first + 2**bits - 1
    result: Array = np.clip(np.rint(x / scale), first, last) * scale
    return result


def error(x: Array, found: Range, bits: int, symmetric: bool, power: int) -> float:
    difference = x - fake_quantize(x, found.low, found.high, bits, symmetric)
    return float(np.mean(np.abs(difference) ** power))


def best_of_many(x: Array, bits: int, symmetric: bool, power: int) -> float:
    """The least error of a plain search over ranges, the full one among them."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    shares = np.linspace(1, 0.02, 99)
    if symmetric:
        full = max(-low, high)
        ranges = [Range(-share * full, share * full) for share in shares]
    elif low == 0 or high == 0:
        ranges = [Range(share * low, share * high) for share in shares]
    else:
        ranges = [Range(a * low, b * high) for a, b in itertools.product(shares[::6], shares[::6])]
    return min(error(x, found, bits, symmetric, power) for found in ranges)


@pytest.mark.parametrize("algo", OBSERVERS)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", TENSORS)
def test_every_range_is_within_what_was_seen(name: str, bits: int, algo: str) -> None:
    x, statistics = TENSORS[name], STATISTICS[name]
    found = find_range(statistics, config(algo, bits))
    assert found.low == -found.high
    assert 0 < found.high <= np.abs(x).max()
    found = find_range(statistics, config(algo, bits, symmetric=False))
    assert min(x.min(), 0) <= found.low <= 0 <= found.high <= max(x.max(), 0)
    assert found.low < found.high


@pytest.mark.parametrize("algo", ["abs_max", "direct", "min_max"])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", TENSORS)
def test_abs_max_and_min_max_are_exact(name: str, bits: int, algo: str) -> None:
    x = TENSORS[name]
    full = max(abs(v) for v in x.ravel().tolist())
    assert find_range(STATISTICS[name], config(algo, bits)) == Range(-full, full)
    asymmetric = find_range(STATISTICS[name], config(algo, bits, symmetric=False))
    assert asymmetric == Range(min(x.min(), 0), max(x.max(), 0))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", TENSORS)
def test_avg_is_the_mean_over_the_samples(name: str, bits: int) -> None:
    rows = TENSORS[name].tolist()
    mean = math.fsum(max(abs(v) for v in row) for row in rows) / len(rows)
    assert find_range(STATISTICS[name], config("avg", bits)).high == pytest.approx(mean, rel=1e-12)
    found = find_range(STATISTICS[name], config("avg", bits, symmetric=False))
    assert found.low == pytest.approx(min(math.fsum(map(min, rows)) / len(rows), 0), rel=1e-12)
    assert found.high == pytest.approx(max(math.fsum(map(max, rows)) / len(rows), 0), rel=1e-12)


@pytest.mark.parametrize("percent", [1.0, 0.999, 0.9, 0.3])
@pytest.mark.parametrize("name", TENSORS)
def test_hist_is_the_quantile_within_one_bin(name: str, percent: float) -> None:
    statistics = STATISTICS[name]
    values = [v for v in TENSORS[name].ravel().tolist() if v]

    def ordered(numbers: list[float], share: float) -> float:
        return sorted(numbers)[math.ceil(share * len(numbers) - 1e-9) - 1]

    width = statistics.bin_width * (1 + 1e-9)
    found = find_range(statistics, config("hist", 8, percent=percent))
    assert found.high == pytest.approx(ordered([abs(v) for v in values], percent), abs=width, rel=0)
    found = find_range(statistics, config("hist", 8, symmetric=False, percent=percent))
    keep = percent if min(values) > 0 or max(values) < 0 else (1 + percent) / 2
    assert found.high == pytest.approx(max(ordered(values, keep), 0.0), abs=width, rel=0)
    assert found.low == pytest.approx(-max(ordered([-v for v in values], keep), 0.0), abs=width, rel=0)


def test_hist_is_linear_inside_a_bin() -> None:
    counts = np.array([4, 0, 4], np.int64)
    for share, expected in ((0.25, 0.5), (0.5, 1.0), (0.625, 2.25), (1.0, 3.0)):
        assert hist.quantile(counts, share, 1.0) == expected
        assert hist.quantile(counts, share, 0.5, origin=2) == (expected - 2) * 0.5
    assert hist.quantile(np.zeros(4, np.int64), 0.5, 1.0) == 0.0


@pytest.mark.parametrize(("algo", "power"), [("mse", 2), ("emd", 1)])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", TENSORS)
def test_search_is_as_good_as_a_plain_one(
    name: str, bits: int, symmetric: bool, algo: str, power: int
) -> None:
    x = TENSORS[name]
    found = find_range(STATISTICS[name], config(algo, bits, symmetric))
    best = best_of_many(x, bits, symmetric, power)
    assert error(x, found, bits, symmetric, power) <= 1.03 * best


def test_the_comparison_notices_a_bad_range() -> None:
    x = TENSORS["laplace"]
    best = best_of_many(x, 8, True, 2)
    full = STATISTICS["laplace"].abs_max
    for share in (0.3, 0.5):
        assert error(x, Range(-share * full, share * full), 8, True, 2) > 1.03 * best


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", TENSORS)
def test_integrated_error_is_that_of_the_values(name: str, bits: int, symmetric: bool, power: int) -> None:
    """For ranges narrower than, as wide as, and wider than the tensor."""
    x, statistics = TENSORS[name], STATISTICS[name]
    density = least_error.Density.of(statistics)
    for share in (0.1, 0.7, 1.0):
        full = share * statistics.abs_max
        found = Range(-full, full)
        total = density.errors(Quantizer(bits, symmetric), np.array([-full]), np.array([full]), power)
        expected = error(x, found, bits, symmetric, power)
        assert float(total[0]) / x.size == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", range(1, 17))
def test_grids_are_those_of_the_numerics(bits: int, symmetric: bool) -> None:
    ranges = [(-1.3, 1.3)] if symmetric else [(-1.3, 0.4), (0.0, 5.1), (-2.0, 0.0), (-0.1, 3.0)]
    lows, highs = np.array(ranges).T
    for index, row in enumerate(
        zip(*least_error.grids(Quantizer(bits, symmetric), lows, highs), strict=True)
    ):
        scale, zero_point = qparams.affine_params(*ranges[index], bits, symmetric=symmetric)
        q_min, q_max = qparams.integer_range(bits, symmetric=symmetric)
        assert row[0] == pytest.approx(float(scale), rel=1e-6)
        assert row[1:] == (q_min - zero_point, q_max - zero_point)


def test_earth_movers_distance_is_the_mean_absolute_error() -> None:
    """The claim in emd.py: sorted against sorted, x and Q(x) are matched in pairs."""
    x = TENSORS["laplace"].ravel()
    y = fake_quantize(x, -2, 2, 3, True)
    assert np.mean(np.abs(np.sort(x) - np.sort(y))) == pytest.approx(np.mean(np.abs(x - y)))


def test_all_batches_count_not_the_best_one() -> None:
    """One quiet sample among loud ones must not decide (the ancestor's mse and emd took the best single batch)."""
    loud = RANDOM.uniform(-8, 8, (9, 1000))
    statistics = observe(np.concatenate([RANDOM.uniform(-0.1, 0.1, (1, 1000)), loud]))
    for algo in ("mse", "emd"):
        assert find_range(statistics, config(algo, 8)).high > 7.8


@pytest.mark.parametrize("algo", OBSERVERS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_degenerate_tensors(algo: str, bits: int, symmetric: bool) -> None:
    def found(*values: float) -> Range:
        return find_range(observe(np.array([values * 10])), config(algo, bits, symmetric, percent=1.0))

    assert found(0.0) == Range(0, 0)
    assert found(-0.0, 0.0) == Range(0, 0)
    assert found(3.0) == (Range(-3, 3) if symmetric else Range(0, 3))
    assert found(-3.0) == (Range(-3, 3) if symmetric else Range(-3, 0))
    assert found(0.25, 0.0) == (Range(-0.25, 0.25) if symmetric else Range(0, 0.25))
    tiny, huge = float(np.float32(1e-44)), float(np.float32(3e38))
    assert found(tiny).high == tiny
    assert found(huge).high == huge
    with pytest.raises(InputError, match="`t` was never observed"):
        find_range(TensorStatistics("t"), config(algo, bits, symmetric))


@pytest.mark.parametrize(("low", "high"), [(1, 2), (-2, -1), (-math.inf, 0), (0, math.nan)])
def test_ranges_that_cannot_be(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="not a finite range around zero"):
        Range(low, high)


def test_every_algo_of_the_configuration_has_an_observer() -> None:
    algos = set(typing.get_args(typing.get_type_hints(QuantizeConfig)["algo"]))
    assert algos == {*OBSERVERS, "weight_only"}  # which observes nothing
