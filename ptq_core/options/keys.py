"""What options are made of: a key is a dataclass field with a help text and, unless it is required, a default.

The command line, the checks and the documentation come from these fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any

from ptq_core.errors import InputError, cut


def key(help_text: str, default: Any = MISSING, *, read: Callable[[Any], Any] | None = None) -> Any:
    """A key: a dataclass field with its help text; required when it has no default.

    ``read`` makes its value of what YAML, Python or the command line have, where the type alone does not say how; its flag
    may then be given several times.
    """
    metadata = {"help": help_text, "read": read}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """The end of every chain of checks: a subclass checks its own keys in `__post_init__`, then calls `super()`'s."""

    def __post_init__(self) -> None:
        """Nothing left to check."""


def bad_value(name: str, value: object, rule: str) -> InputError:
    """The error for the key ``name`` with a value that breaks ``rule``."""
    return InputError(
        f"`{name}` is {cut(repr(value))}", rule=f"`{name}` takes {rule}", fix="correct the value"
    )
