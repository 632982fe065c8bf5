"""Why a flat file is refused: the field, its value, the rule. Both readers name the same field (docs/flat_format.md)."""

from __future__ import annotations

from ptq_core.errors import InputError

NAME_BYTES = 60
"""So much of a name is shown in a field."""


class FlatFileError(InputError):
    """``field`` is where the file breaks a rule, in the words of the C++ reader: `tensor 3 'conv/out' dtype`."""

    def __init__(self, field: str, problem: str, rule: str) -> None:
        super().__init__(
            f"not a usable flat file: {field}: {problem}",
            rule=rule,
            fix="write the file again with `ptq opt`, or copy it again if it was transferred",
        )
        self.field = field


def shown(name: str) -> str:
    """The beginning of ``name``, in quotes."""
    return f"'{name.encode()[:NAME_BYTES].decode('utf-8', 'ignore')}'"
