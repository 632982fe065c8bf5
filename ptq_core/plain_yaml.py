"""YAML from a stranger: strict, and bounded before anything is made of it.

An alias repeats a part in a few bytes, and a part that is made of aliases multiplies; brackets nest as deep as they are
many. So parts are counted while they are read, those behind an alias as often as it stands, and the depth with them.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_PARTS = 100_000
"""Values, keys and lists of a document: the longest of ours, a list of a network's operators, has some thousands."""

MOST_DEPTH = 32
MOST_DIGITS = 64
"""Characters of a number: Python writes a float64 with 24 at most."""


def load_yaml(text: str) -> Any:
    """The plain values that ``text`` describes; raises ValueError, its message in one line, for anything else."""
    try:
        return yaml.load(text, _StrictLoader)
    except (
        Exception
    ) as error:  # for a value that is not of its tag, PyYAML's constructors raise whatever they meet
        raise ValueError(" ".join(str(error).split())) from error


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and reads 1e-3 as a number as JSON and YAML 1.2 do."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._parts = 0
        self._parts_of: dict[int, int] = {}  # by the id of a node that is complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        if self._depth == MOST_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested more than {MOST_DEPTH} deep", mark)
        before = self._parts
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
            raise yaml.composer.ComposerError(None, None, f"a number of {len(node.value)} characters", mark)
        if is_alias and id(node) not in self._parts_of:
            raise yaml.composer.ComposerError(None, None, "an alias inside of what it stands for", mark)
        self._parts += self._parts_of[id(node)] if is_alias else 1
        self._parts_of.setdefault(id(node), self._parts - before)
        if self._parts > MOST_PARTS:
            raise yaml.composer.ComposerError(
                None, None, f"more than {MOST_PARTS} parts, aliases counted as what they repeat", mark
            )
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is not a plain word", key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key_node.value:.80}` stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
