"""Scopes match whole path segments, and a scope that matches nothing is an error."""

from __future__ import annotations

import pytest

from ptq_core.errors import InputError
from ptq_core.graph.scopes import in_scope, matching_names, matching_patterns, reading_nodes


@pytest.mark.parametrize(
    ("name", "scope", "inside"),
    [
        ("skip_quant/pool", "skip_quant", True),
        ("/net/skip_quant/pool", "skip_quant", True),
        ("net/skip_quant_2/pool", "skip_quant", False),
        ("net/my_skip_quant/pool", "skip_quant", False),
        ("net/a/b/pool", "a/b", True),
        ("net/a/c/b/pool", "a/b", False),
        ("net/pool", "net/pool", True),
        ("net/pool", "/net/", True),
        ("pool", "", False),
    ],
)
def test_whole_segments(name: str, scope: str, inside: bool) -> None:
    assert in_scope(name, scope) is inside


def test_each_name_has_its_first_scope() -> None:
    assert matching_names(["a/x", "b/y", "c/z"], ["b", "a"]) == {"b/y": "b", "a/x": "a"}


def test_a_scope_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match=r"`skip_qant` matches no node[\s\S]*did you mean `skip_quant`"):
        matching_names(["skip_quant/pool", "conv"], ["skip_qant"])


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("a/*", ["a/x", "a/y[0]"]),
        ("*", ["a/x", "a/y[0]", "B"]),
        ("a/y[0]", ["a/y[0]"]),
        ("B", ["B"]),
        ("*x", ["a/x"]),
    ],
)
def test_patterns(pattern: str, fits: list[str]) -> None:
    assert list(matching_patterns(["a/x", "a/y[0]", "B"], [pattern])) == fits


def test_a_pattern_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match=r"fits no node[\s\S]*did you mean `stem/conv`"):
        matching_patterns(["stem/conv", "head"], ["stem/conf*"])


def test_readers_of_a_tensor() -> None:
    readers = {"x": ["a", "b"], "y": ["b", "c"]}
    assert reading_nodes(readers, ["y", "x"]) == {"b": "y", "c": "y", "a": "x"}
    with pytest.raises(InputError, match="no operator reads"):
        reading_nodes(readers, ["z"])
