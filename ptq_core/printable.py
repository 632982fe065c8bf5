"""Text from outside made harmless where people read it: names of models, files and phones stay data until then.

A name may hold what a terminal obeys (escape sequences, carriage returns), what begins another line, or what a reader does
not see (bidirectional overrides, characters without width, halves of surrogate pairs).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

BLANKS = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian selectors
    (0x2800, 0x2800),  # braille without dots
    (0x3164, 0x3164),  # Hangul fillers
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # Hangul filler
    (0xE0100, 0xE01EF),  # variation selectors
)
"""First and last of the characters that Unicode counts as letters, marks or signs, and that are drawn as nothing."""


class _Escapes(dict[int, int | str]):
    """A table for `str.translate` that fills itself: characters that are seen as they are, others as ``escape`` writes them."""

    def __init__(self, escape: Callable[[str], str]) -> None:
        super().__init__()
        self._escape = escape

    def __missing__(self, code: int) -> int | str:
        self[code] = code if _is_seen(chr(code)) else self._escape(chr(code))
        return self[code]


def _is_seen(char: str) -> bool:
    if any(first <= ord(char) <= last for first, last in BLANKS):
        return False
    return char.isprintable() or unicodedata.category(char) == "Zs"


_AS_TEXT = _Escapes(lambda char: char.encode("unicode_escape").decode())
_AS_JSON = _Escapes(lambda char: char if char == "\n" else json.dumps(char)[1:-1])


def printable(text: object) -> str:
    r"""``text`` on one line, what is not seen as an escape: ``\n``, ``\x1b``, ``\u202e``. Twice is the same as once."""
    return str(text).translate(_AS_TEXT)


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """``value`` as JSON, letters of all scripts as they are, what is not seen as JSON's escapes: it reads back the same."""
    return json.dumps(value, indent=indent, ensure_ascii=False).translate(_AS_JSON)
