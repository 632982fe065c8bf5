"""Habits that all commands share: - or _ in flag names, booleans with or without a value, comma lists, sizes in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ptq_core.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "token_normalize_func": lambda token: token.replace("_", "-"),
}
"""For every command: `--model_dir` is `--model-dir`."""


def boolean_option(name: str, help_text: str, *, default: bool | None = False) -> Callable[[F], F]:
    """A flag that can be given alone or with a value: ``--flag``, ``--flag=true``, ``--flag=false``."""
    return click.option(
        name,
        type=bool,
        is_flag=False,
        flag_value=True,
        default=default,
        show_default=default is not None,
        help=help_text,
        metavar="[true|false]",
    )


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """``1,3,224,224`` as a tuple; raises InputError for anything else."""
    if text is None:
        return None
    parts = [part.strip() for part in text.strip("[]").split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(
            f"input shape `{text}`",
            rule="a shape is whole numbers separated by commas",
            fix="e.g. 1,3,224,224",
        )
    return tuple(int(part) for part in parts)


def size_text(size_bytes: int) -> str:
    """Bytes in words: ``412 B``, ``3.1 KB``, ``4.2 MB`` (powers of 1000, as file managers and phones count)."""
    value, unit = float(size_bytes), "B"
    for larger in ("KB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"
