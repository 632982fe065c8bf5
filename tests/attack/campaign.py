"""Tries of attacks, one after the other, each in a folder of its own; what failed is kept."""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.attack.attacks import ATTACKS, Try
from tests.attack.judge import Files, all_files, judge
from tests.attack.nest import Nest, Order
from tests.attack.world import COMMANDS, environment, make_world

AGED_S = 100.0
"""How much older what a killed command left is made before the next one: it waits for that age to clean up."""


@dataclass
class Tally:
    """Of one attack: exit codes of its tries, and (number of the try, what was wrong)."""

    ends: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    @property
    def tries(self) -> int:
        """Their number."""
        return sum(self.ends.values())


class Campaign:
    """A context manager. ``folder`` is emptied; ``seed`` and the number of a try say all that is done in it."""

    def __init__(self, folder: Path, seed: int, keep: Path) -> None:
        self._root, self._seed, self._keep = folder.resolve(), seed, keep
        self._nest = Nest()
        self._results: dict[str, Files] = {}

    def __enter__(self) -> Campaign:
        shutil.rmtree(self._root, ignore_errors=True)
        make_world(self._root / "world" / "in", self._nest)
        return self

    def __exit__(self, *_: object) -> None:
        self._nest.__exit__(None, None, None)

    def prepared(self, name: str, number: int) -> tuple[Try, Path]:
        """The try ``number`` of the attack ``name``, in its folder, before anything has run."""
        random = np.random.default_rng([self._seed, zlib.crc32(name.encode()), number])
        folder = self._fresh("try")
        if random.integers(2):  # something of an earlier run
            shutil.copytree(folder / "q", folder / "out" / "q")
            shutil.copy(folder / "m.nb", folder / "out" / "m.nb")
        return ATTACKS[name].prepare(folder, random), folder

    def attempt(self, name: str, number: int, tally: Tally) -> list[str]:
        """Prepare and run; returns what was wrong, and keeps the folder then."""
        one, folder = self.prepared(name, number)
        code, wrong = self._judged(one, folder)
        tally.ends[code] += 1
        if wrong:
            tally.failures.append((number, f"{one.name}: {'; '.join(wrong)}"))
            kept = self._keep / f"{name}-{number}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder.parent, kept, symlinks=True, ignore=_no_pipes)
            words = "\n".join([*one.order.words, *wrong])
            (kept / "words").write_text(words, encoding="utf-8", errors="surrogateescape")
        return wrong

    def _fresh(self, name: str) -> Path:
        folder = self._root / name / "in"
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(self._root / "world" / "in", folder, symlinks=True)
        (folder / "out").mkdir()
        return folder

    def _judged(self, one: Try, folder: Path) -> tuple[int, list[str]]:
        before = all_files(folder / "out")
        end = self._nest.run(one.order)
        code = end.code
        silent = one.order.stderr != "file"
        wrong = judge(
            end, folder, codes=one.codes, makes=one.makes, before=before, killed=one.again, silent=silent
        )
        if not one.again:
            return code, wrong
        for left in folder.rglob("*ptq-tmp-*"):
            if left.is_dir():
                _age(left)
        words, makes = COMMANDS[one.name]
        end = self._nest.run(Order(words, str(folder), environment(folder)))
        again = judge(end, folder, codes={0}, makes=makes, before=before)
        again += [
            f"{name} is another"
            for name, data in self._right(one.name).items()
            if all_files(folder / "out").get(name) != data
        ]
        return code, wrong + [f"then: {words}" for words in again]

    def _right(self, name: str) -> Files:
        """What the command ``name`` makes of the world, but records, which hold the time that it took."""
        if name not in self._results:
            folder = self._fresh("right")
            self._nest.run(Order(COMMANDS[name][0], str(folder), environment(folder)))
            self._results[name] = {
                made: data for made, data in all_files(folder / "out").items() if not made.endswith(".json")
            }
        return self._results[name]


def _no_pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_fifo()]


def _age(folder: Path) -> None:
    old = time.time() - AGED_S
    os.utime(folder, (old, old))


def run_attacks(
    campaign: Campaign, names: Sequence[str], until: float, most_tries: int | None = None
) -> dict[str, Tally]:
    """Tries of ``names`` by turns until the time ``until`` (monotonic), or ``most_tries`` of each."""
    tallies = {name: Tally() for name in names}
    number = 0
    while number != most_tries:
        for name, tally in tallies.items():
            if time.monotonic() > until:
                return tallies
            for wrong in campaign.attempt(name, number, tally):
                print(f"{name} {number}: {wrong}", flush=True)
        number += 1
    return tallies
