"""Which operators to leave in float for a given share of the MACs: several lists are tried, all are measured.

What an operator adds to the noise at the outputs where it alone is int8 is nearly additive; what is won where it alone is
float holds only as long as the others stay. Both are guesses for a list, so both make lists, with and without their price in
MACs: operators are taken in that order while they fit. The first halves are measured too, and what is left without those that
add next to nothing: where one is as good, it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ptq_core.analyze.outputs import OutputNoise, db_of

SHARES = (0.01, 0.02, 0.05, 0.10)
"""The budgets: at most so much of the model's MACs in float."""

SLACK_DB = 0.2
"""A shorter list may be so much worse than the best."""

LEAST = 0.01
"""Operators that alone add less than this share of what all of a list add are left out of a shorter one."""


@dataclass(frozen=True)
class Candidate:
    """An operator that may be left in float. ``alone`` and ``gain`` are noise / signal at the worst output:
    what there is where it alone is int8, and by how much less where it alone is float."""

    name: str
    macs_share: float
    alone: float
    gain: float


@dataclass(frozen=True)
class Trial:
    """A list that was measured in simulation, in the order in which it was made."""

    names: tuple[str, ...]
    macs_share: float
    ratio: float


Measure = Callable[[Sequence[tuple[str, ...]]], list[OutputNoise]]
"""Lists of nodes to leave in float → the outputs' noise of each."""


def best_lists(candidates: Sequence[Candidate], measure: Measure, nothing: float) -> list[Trial]:
    """For each of SHARES the best list; empty where none is better than ``nothing``, the noise with all in int8.

    A larger budget has all lists of the smaller ones to choose from.
    """
    prices = {each.name: each.macs_share for each in candidates}
    lists = list(dict.fromkeys(names for share in SHARES for names in _lists(candidates, share)))
    trials = [Trial((), 0.0, nothing)] + [
        Trial(names, sum(prices[name] for name in names), noise.worst_ratio)
        for names, noise in zip(lists, measure(lists), strict=True)
    ]
    found = []
    for share in SHARES:
        fitting = [trial for trial in trials if trial.macs_share <= share]
        best = db_of(min(trial.ratio for trial in fitting))
        good = [trial for trial in fitting if db_of(trial.ratio) >= best - SLACK_DB]
        found.append(min(good, key=lambda trial: (len(trial.names), trial.macs_share)))
    return found


def as_written(
    trials: Sequence[Trial], measure: Callable[[tuple[str, ...]], OutputNoise], nothing: OutputNoise
) -> list[tuple[Trial, OutputNoise]]:
    """``trials`` with the noise of the models that are written with them, ``nothing`` of the one without a list.

    Rounding at ties differs between simulation and integers, so one may be worse than that of a smaller budget: which then stays.
    """
    kept = [(Trial((), 0.0, nothing.worst_ratio), nothing)]
    measured: dict[tuple[str, ...], OutputNoise] = {(): nothing}
    for trial in trials:
        if trial.names not in measured:
            measured[trial.names] = measure(trial.names)
        noise = measured[trial.names]
        kept.append((trial, noise) if noise.worst_ratio < kept[-1][1].worst_ratio else kept[-1])
    return kept[1:]


def _lists(candidates: Sequence[Candidate], share: float) -> Iterator[tuple[str, ...]]:
    for order in _ORDERS:
        chosen: list[Candidate] = []
        for each in sorted(candidates, key=order, reverse=True):
            if order(each) > 0 and sum(c.macs_share for c in chosen) + each.macs_share <= share:
                chosen.append(each)
        names = tuple(each.name for each in chosen)
        least = LEAST * sum(each.alone for each in chosen)
        costly = tuple(each.name for each in chosen if each.alone > least)
        yield from filter(None, (names, names[: len(names) // 2], costly))


_FREE = 1e-4
"""Operators of fewer MACs than this share are not cheaper still."""

_ORDERS: tuple[Callable[[Candidate], float], ...] = (
    lambda each: each.alone,
    lambda each: each.alone / max(each.macs_share, _FREE),
    lambda each: each.gain,
    lambda each: each.gain / max(each.macs_share, _FREE),
)
"""What operators are taken by, those of most first."""
