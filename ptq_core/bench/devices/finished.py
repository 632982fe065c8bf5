"""What is left of a program that ran on a device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finished:
    """Exit code (negative: killed by that signal) and what was printed, undecodable bytes replaced."""

    exit_code: int
    stdout: str
    stderr: str
