"""What is shown as it is, and what as an escape; JSON reads back the same."""

from __future__ import annotations

import json
import unicodedata

import pytest

from ptq_core.errors import InputError
from ptq_core.printable import printable, printable_json

ESCAPES = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b[2J": r"\x1b[2J",
    "\x9b2J": r"\x9b2J",
    "a\rb": r"a\rb",
    "a\nverified": r"a\nverified",
    "a\tb\x0b\x0c\x08": r"a\tb\x0b\x0c\x08",
    "\x00\x7f\x85": r"\x00\x7f\x85",
    "\u202egnp.\u2066": r"\u202egnp.\u2066",
    "a\u200b\u200d\ufeff\u00adb": r"a\u200b\u200d\ufeff\xadb",
    "a\u2028b\u2029": r"a\u2028b\u2029",
    "\udc80": r"\udc80",
    "\U000e0041\ue000": r"\U000e0041\ue000",
    "\u3164\u2800\ufe0f": r"\u3164\u2800\ufe0f",
}
AS_THEY_ARE = ("", "conv1/weight:0", "C:\\net\\x", "größe 网络 сеть شبكة", "\u3000 \xa0", "×→±“”", "e\u0301")


@pytest.mark.parametrize(("text", "shown"), ESCAPES.items())
def test_what_is_not_seen_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_what_is_seen_stays(text: str) -> None:
    assert printable(text) == text


def test_no_character_of_unicode_that_a_terminal_obeys_stays() -> None:
    shown = printable("".join(map(chr, range(0x110000))))
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@pytest.mark.parametrize("text", [*ESCAPES, *AS_THEY_ARE])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_reads_back_the_same(text: str, indent: int | None) -> None:
    written = printable_json({text: [text, 1]}, indent=indent)
    assert json.loads(written) == {text: [text, 1]}
    assert printable(written.replace("\n", "")) == written.replace("\n", "")


def test_an_error_is_its_own_lines_and_no_others() -> None:
    error = InputError("`a\nb`", rule="c\r", fix="d\x1b", details=("e\nf", "g"))
    assert str(error).split("\n") == [r"`a\nb`", r"  e\nf", "  g", r"  rule: c\r", r"  next: d\x1b"]
    assert error.problem == "`a\nb`"
    assert error.reason == "`a\nb` e\nf; g"
