"""Milliseconds that each algorithm takes per tensor: python -m tests.calibration.bench_observers

Every number is the best of 5 for the slowest of the tensors; the aim is at most 10 ms.
"""

from __future__ import annotations

import time

import numpy as np

from ptq_core.calibration.observers import OBSERVERS, Quantizer
from ptq_core.calibration.statistics import Scratch, TensorStatistics

BITS = (1, 2, 4, 8, 9, 12, 16)


def tensors() -> list[TensorStatistics]:
    """A symmetric, a heavy-tailed non-negative and a lopsided tensor of 200,000 values."""
    random = np.random.default_rng(0)
    x = random.standard_normal(200_000)
    result = []
    for values in (x, np.maximum(random.standard_t(3, x.size), 0), 3 * x / (1 + np.exp(-3 * x))):
        statistics = TensorStatistics("t")
        statistics.update(values.astype(np.float32), Scratch())
        result.append(statistics)
    return result


def milliseconds(algo: str, statistics: TensorStatistics, quantizer: Quantizer) -> float:
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        OBSERVERS[algo](statistics, quantizer)
        best = min(best, time.perf_counter() - start)
    return float(best) * 1e3


def main() -> None:
    observed = tensors()
    print(f"{'algo':8} {'':10}" + "".join(f"{bits:>5} bit" for bits in BITS))
    for algo in OBSERVERS:
        for symmetric in (True, False):
            row = [max(milliseconds(algo, t, Quantizer(bits, symmetric)) for t in observed) for bits in BITS]
            print(
                f"{algo:8} {'symmetric' if symmetric else 'asymmetric':10}"
                + "".join(f"{ms:9.2f}" for ms in row)
            )


if __name__ == "__main__":
    main()
