"""Lists for skip_nodes: what fits a budget, what is best, what is kept as it turns out when it is written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ptq_core.analyze.budgets import SHARES, Candidate, Trial, as_written, best_lists
from ptq_core.analyze.outputs import OutputNoise
from ptq_core.numerics.metrics import Noise

ADDITIVE = {"a": 0.3, "b": 0.2, "c": 0.1, "d": 1e-6, "e": 0.0}
"""Operator → noise / signal that it adds."""

REST = 0.05
"""What no list removes."""

PRICES = {"a": 0.06, "b": 0.015, "c": 0.008, "d": 0.0001, "e": 0.0}


def noise(ratio: float) -> OutputNoise:
    found = OutputNoise(["y"])
    found.by_output["y"] = Noise(1.0, ratio)
    return found


def measure(lists: Sequence[tuple[str, ...]]) -> list[OutputNoise]:
    return [noise(REST + sum(ADDITIVE.values()) - sum(ADDITIVE[name] for name in names)) for names in lists]


def test_the_best_of_each_budget_is_found_and_nothing_that_does_not_help() -> None:
    candidates = [Candidate(name, PRICES[name], ADDITIVE[name], ADDITIVE[name]) for name in ADDITIVE]
    trials = best_lists(candidates, measure, REST + sum(ADDITIVE.values()))
    assert [set(trial.names) for trial in trials] == [{"c"}, {"b"}, {"b", "c"}, {"a", "b", "c"}]
    for share, trial in zip(SHARES, trials, strict=True):
        assert trial.macs_share == pytest.approx(sum(PRICES[name] for name in trial.names))
        assert trial.macs_share <= share


def test_no_list_where_none_is_better() -> None:
    candidates = [Candidate(name, PRICES[name], 0.1, 0.1) for name in PRICES]
    trials = best_lists(candidates, lambda lists: [noise(0.5) for _ in lists], 0.4)
    assert [trial.names for trial in trials] == [()] * len(SHARES)


def test_guesses_of_one_kind_may_be_wrong() -> None:
    """What wins alone in float misleads here; what costs alone in int8 does not."""
    candidates = [Candidate("good", 0.009, 0.3, 0.0), Candidate("bad", 0.009, 0.0, 0.5)]
    trials = best_lists(candidates, lambda lists: [noise(0.1 if "good" in x else 0.6) for x in lists], 0.5)
    assert trials[0].names == ("good",)


def test_a_list_that_is_worse_when_written_is_not_kept() -> None:
    trials = [
        Trial(("a",), 0.01, 0.3),
        Trial(("b",), 0.02, 0.2),
        Trial(("b",), 0.02, 0.2),
        Trial(("c",), 0.1, 0.1),
    ]
    asked = []

    def written(names: tuple[str, ...]) -> OutputNoise:
        asked.append(names)
        return noise({"a": 0.25, "b": 0.35, "c": 0.1}["".join(names)])

    kept = as_written(trials, written, noise(0.4))
    assert [trial.names for trial, _ in kept] == [("a",), ("a",), ("a",), ("c",)]
    assert [found.worst_ratio for _, found in kept] == [0.25, 0.25, 0.25, 0.1]
    assert asked == [("a",), ("b",), ("c",)]
