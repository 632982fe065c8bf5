"""`make attack`: spends minutes on attacks, then on the soak, prints their tables and writes them into docs/reliability.md.

    python -m tests.attack --minutes 60 --soak-minutes 10                 # what `make attack` does
    python -m tests.attack --only yaml cache --minutes 5                  # no page is written
    python -m tests.attack --only yaml --number 17                        # one try again; its folder is kept

Exit codes: 0 clean, 2 wrong argument, 3 the runtime is missing, 4 something failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date

from benchmarks.exit_codes import MISSED, MISSING, PASSED
from benchmarks.markdown_table import markdown_table
from benchmarks.performance_doc import replace_table
from ptq_core.version import VERSION
from tests.attack.attacks import ATTACKS
from tests.attack.campaign import Campaign, Tally, run_attacks
from tests.needs import ROOT, reason

PAGE = ROOT / "docs" / "reliability.md"
WORK = ROOT / "build" / "attack"
SEED = 15
MOST_SHOWN = 12
"""Failures of an attack that the page names."""


def attack_table(tallies: Mapping[str, Tally], minutes: float, seed: int) -> str:
    """The table of the page, with the failures below it."""
    rows = [
        [
            ATTACKS[name].what,
            str(tally.tries),
            *(str(tally.ends[code]) for code in (0, 2, 3)),
            str(sum(count for code, count in tally.ends.items() if code not in (0, 2, 3))),
            str(len(tally.failures)),
        ]
        for name, tally in tallies.items()
    ]
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(1, 7)]
    header = ["attack", "tries", "0", "2", "3", "other", "failures"]
    failures = [
        f"- {name} {number}: `{wrong[:80].replace('`', '')}`"
        for name, tally in tallies.items()
        for number, wrong in tally.failures[:MOST_SHOWN]
    ]
    head = f"Version {VERSION}, {date.today().isoformat()}, {minutes:.0f} minutes, seed {seed}:"
    return "\n".join(
        [head, "", markdown_table(header, [*rows, ["all", *sums]]), *([""] if failures else []), *failures]
    )


def soak_table(minutes: float, contexts: int) -> tuple[str, bool]:
    """The table of the page, and whether nothing was wrong. In a process of its own, whose memory is measured."""
    command = [
        sys.executable, "-m", "tests.attack.soak", str(WORK / "run" / "world" / "in" / "q.nb"),
        "--seconds", str(60 * minutes), "--contexts", str(contexts),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    record = json.loads(done.stdout or '{"wrong": ["it ended without a word"]}')
    rows = [
        [f"{tenth}/10", f"{memory / 1e6:.1f} MB", str(threads), str(files)]
        for tenth, (memory, threads, files) in enumerate(
            zip(record.get("memory", ()), record.get("threads", ()), record.get("files", ()), strict=True), 1
        )
    ]
    head = (
        f"{record.get('seconds', 0) / 60:.0f} minutes, {record.get('contexts', 0)} contexts, {record.get('forks', 0)} forks, "
        f"{len(record['wrong'])} failures:"
    )
    failures = [f"- {wrong}" for wrong in record["wrong"][:MOST_SHOWN]]
    table = markdown_table(["time", "resident memory", "threads", "open files"], rows)
    return "\n".join([head, "", table, *([""] if failures else []), *failures]), done.returncode == 0


def write(table: str, name: str) -> None:
    """Put ``table`` into the page."""
    PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), name, table), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="of attacks; 0: none")
    parser.add_argument("--soak-minutes", type=float, default=0.0, help="of the soak; 0: none")
    parser.add_argument("--contexts", type=int, default=10_000, help="that the soak makes at least")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--only", nargs="+", choices=sorted(ATTACKS), metavar="ATTACK", help=", ".join(ATTACKS)
    )
    parser.add_argument("--number", type=int, help="only this try of --only")
    parsed = parser.parse_args(arguments)
    missing = reason("runtime")
    if missing is not None:
        print(f"attack: needs {missing}", file=sys.stderr)
        return MISSING
    names = parsed.only or list(ATTACKS)
    clean = True
    with Campaign(WORK / "run", parsed.seed, WORK / "failed") as campaign:
        if parsed.number is not None:
            wrong = [each for name in names for each in campaign.attempt(name, parsed.number, Tally())]
            print("\n".join(wrong) or "clean")
            return MISSED if wrong else PASSED
        if parsed.minutes:
            tallies = run_attacks(campaign, names, time.monotonic() + 60 * parsed.minutes)
            clean = not any(tally.failures for tally in tallies.values())
            table = attack_table(tallies, parsed.minutes, parsed.seed)
            print(table)
            if parsed.only is None:
                write(table, "attack")
    if parsed.soak_minutes:
        table, flat = soak_table(parsed.soak_minutes, parsed.contexts)
        print(table)
        write(table, "soak")
        clean &= flat
    return PASSED if clean else MISSED


if __name__ == "__main__":
    sys.exit(main())
