"""Signal-to-noise ratios, also of values that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from ptq_core.numerics.metrics import CHUNK, Noise, sqnr_db

INF, NAN = np.inf, np.nan

ROWS = {
    "a tenth of the amplitude": ([10.0, -10.0], [9.0, -9.0], 20.0),
    "equal": ([1.0, 2.0], [1.0, 2.0], INF),
    "nothing": ([], [], INF),
    "no signal": ([0.0, 0.0], [0.0, 1.0], -INF),
    "more noise than signal": ([1.0], [11.0], -20.0),
    "equal infinities": ([10.0, INF, -INF], [9.0, INF, -INF], 20.0),
    "equal nans": ([10.0, NAN], [9.0, NAN], 20.0),
    "another infinity": ([10.0, INF], [10.0, -INF], -INF),
    "a number for an infinity": ([10.0, INF], [10.0, 5.0], -INF),
    "an infinity for a number": ([10.0, 1.0], [10.0, INF], -INF),
    "a nan for a number": ([10.0, 1.0], [10.0, NAN], -INF),
    "squares beyond float32": ([1e30, 1e30], [0.9e30, 0.9e30], 20.0),
    "squares below float32": ([1e-30, 1e-30], [0.9e-30, 0.9e-30], 20.0),
}


@pytest.mark.parametrize("name", ROWS)
def test_sqnr(name: str) -> None:
    wanted, got, decibels = ROWS[name]
    result = sqnr_db(np.array(wanted, np.float32), np.array(got, np.float32))
    assert result == pytest.approx(decibels, abs=1e-4)


def test_it_adds_up_over_arrays_and_chunks() -> None:
    random = np.random.default_rng(0)
    wanted = random.standard_normal(3 * CHUNK + 5).astype(np.float32)
    got = wanted + np.float32(0.01) * random.standard_normal(wanted.size).astype(np.float32)
    parts = Noise()
    for part in np.array_split(np.arange(wanted.size), 7):
        parts.add(wanted[part], got[part])
    exact = wanted.astype(np.float64)
    assert parts.signal == pytest.approx((exact**2).sum())
    assert parts.noise == pytest.approx(((exact - got) ** 2).sum())
    assert parts.sqnr_db == pytest.approx(sqnr_db(wanted.reshape(-1, 1), got.reshape(-1, 1)))
