"""Records read back from JSON: round trip, and what is said about a file that is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytest

from ptq_core.bench.saved import load_record
from ptq_core.errors import InputError


@dataclass(frozen=True)
class Part:
    kind: Literal["a", "b"]
    times_ms: tuple[float, ...]
    limit: int | None


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...]
    path: Path | None = None
    done: bool = True
    zones_c: dict[str, float] | None = None


WHOLE = Whole("x", (Part("a", (1.0, 2.5), None), Part("b", (), 3)), Path("there"), False, {"cpu": 41.5})


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document, default=str), encoding="utf-8")
    return path


def read(path: Path) -> Whole:
    return load_record(Whole, path, schema=7, written_by="`ptq test`")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"schema": 7, **asdict(WHOLE), "of_a_later_version": 1})
    assert read(path) == WHOLE


def test_a_missing_key_takes_the_default_and_whole_numbers_are_floats(tmp_path: Path) -> None:
    part = {"kind": "a", "times_ms": [1], "limit": 2}
    whole = read(write(tmp_path / "a.json", {"schema": 7, "name": "x", "parts": [part]}))
    assert whole == Whole("x", (Part("a", (1.0,), 2),))
    assert isinstance(whole.parts[0].times_ms[0], float)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "it has no `schema`"),
        ({}, "it has no `schema`"),
        ({"schema": 6}, "its `schema` is 6, not 7"),
        ({"schema": 7}, "`name` is missing"),
        ({"schema": 7, "name": 3}, "`name` is 3"),
        ({"schema": 7, "name": "x", "parts": {}}, "`parts` is {}"),
        ({"schema": 7, "name": "x", "parts": ["a"]}, "`parts[0]` is 'a'"),
        ({"schema": 7, "name": "x", "parts": [{"kind": "c"}]}, "`parts[0].kind` is 'c'"),
        ({"schema": 7, "name": "x", "parts": [{"kind": []}]}, "`parts[0].kind` is []"),
        ({"schema": 7, "name": "x", "parts": [{"kind": "a", "times_ms": [1, "2"]}]}, "times_ms[1]` is '2'"),
        ({"schema": 7, "name": "x", "parts": [{"kind": "a", "times_ms": [float("nan")]}]}, "is nan"),
        ({"schema": 7, "name": "x", "parts": [{"kind": "a", "times_ms": [True]}]}, "times_ms[0]` is True"),
        ({"schema": 7, "name": "x", "parts": [], "done": 1}, "`done` is 1"),
        ({"schema": 7, "name": "x", "parts": [], "zones_c": {"cpu": "hot"}}, "`zones_c.cpu` is 'hot'"),
        ({"schema": 7, "name": "x", "parts": [{"kind": "a", "times_ms": [], "limit": 1.5}]}, "limit` is 1.5"),
    ],
)
def test_the_first_wrong_field_is_named(tmp_path: Path, document: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path / "a.json", document))
    assert said in caught.value.problem
    assert str(tmp_path / "a.json") in caught.value.problem


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "gone.json")
    for content in (b"res.txt", b"\xff\xfe", b""):
        (tmp_path / "b.json").write_bytes(content)
        with pytest.raises(InputError, match="is not JSON"):
            read(tmp_path / "b.json")
