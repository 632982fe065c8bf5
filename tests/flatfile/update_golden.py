"""Rewrite the golden files of the flat format: `python -m tests.flatfile.update_golden`, then review the diff."""

from __future__ import annotations

from pathlib import Path

from ptq_core.flatfile.dump import dump_program
from ptq_core.flatfile.writer import write_program
from tests.flatfile.programs import compressed_program, every_kind, tiny_program

GOLDEN = Path(__file__).parent / "golden"
PROGRAMS = {"tiny": tiny_program, "every_kind": every_kind, "compressed": compressed_program}


def main() -> None:
    """Write NAME.nb and NAME.txt (its dump) for every program."""
    GOLDEN.mkdir(exist_ok=True)
    for name, make in PROGRAMS.items():
        program = make()
        (GOLDEN / f"{name}.nb").write_bytes(write_program(program))
        (GOLDEN / f"{name}.txt").write_text(dump_program(program), encoding="utf-8")


if __name__ == "__main__":
    main()
