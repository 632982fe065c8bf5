"""Which operators of two files compute the same piece of the network: what one file fuses, the other may do in two steps.

Names alone do not tell: a fused operator has the name of one of those that it stands for. So operators are matched by name
and kind, and what is left over is put beside its neighbours in the data flow:

- the same name and another kind (`conv2d_add` and `add`): one piece, with what is left over before it (the `conv2d`);
- left-over regions between the same neighbours (`unary`, `binary` and a `lookup` of both): one piece;
- anything else that only one file has must be done by an operator of the other: it joins the operator beside it.

What changes numbers' form and not the network (CONVERSIONS) may be in one file alone; it is a piece by itself, unless the other
file has one of its kind between the same neighbours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

from ptq_core.bench.protocol import OpTime
from ptq_core.flatfile.operators import kinds

CONVERSIONS = frozenset(
    row.name for row in kinds(lambda row: row.permutes or (row.converts and not row.clamps))
)
"""Kinds that a file has for its own sake."""

JOINS_WHAT_FOLLOWS = frozenset(row.name for row in kinds(lambda row: row.fills))
"""Kinds that are fused into the operator behind them; others are fused into that before them."""

Key = Hashable
"""Of a piece: equal keys in both files are one piece."""


def piece_keys(fp32: Sequence[OpTime], int8: Sequence[OpTime]) -> tuple[list[Key], list[Key]]:
    """The key of each operator's piece. Operators are in execution order; without their data flow (`OpTime.after`, which
    older reports lack) only those of one name and kind are matched."""
    files = _File(fp32), _File(int8)
    common = files[0].labels.keys() & files[1].labels.keys()
    for file in files:
        file.keys = {op: label for label, op in file.labels.items() if label in common}
    if all(file.has_flow for file in files):
        _match_names(files)
        _match_regions(files)
        for file in files:
            file.join_neighbours()
        _match_conversions(files)
    return tuple(  # type: ignore[return-value]
        [file.keys.get(op, (number, op)) for op in range(len(file.ops))] for number, file in enumerate(files)
    )


class _File:
    """One file's operators by their index, and the keys that they have so far."""

    def __init__(self, ops: Sequence[OpTime]) -> None:
        self.ops = ops
        self.before = [op.after for op in ops]
        self.behind: list[list[int]] = [[] for _ in ops]
        for index, op in enumerate(ops):
            for source in op.after:
                self.behind[source].append(index)
        seen: Counter[tuple[str, str]] = Counter()
        self.labels: dict[tuple[str, str, int], int] = {}
        for index, op in enumerate(ops):
            self.labels[op.name, op.kind, seen[op.name, op.kind]] = index
            seen[op.name, op.kind] += 1
        self.keys: dict[int, Key] = {}

    @property
    def has_flow(self) -> bool:
        return len(self.ops) < 2 or any(self.before)

    def left(self) -> list[int]:
        """The operators of the network that have no key."""
        return [
            index
            for index, op in enumerate(self.ops)
            if index not in self.keys and op.kind not in CONVERSIONS
        ]

    def nearest(self, op: int, steps: Sequence[Sequence[int]]) -> set[Key]:
        """Keys of the first operators with one in the direction of ``steps``; None for an end of the network."""
        found: set[Key] = set()
        seen, edge = {op}, [op]
        while edge:
            here = edge.pop()
            if not steps[here]:
                found.add(None)
            for other in steps[here]:
                if other in self.keys:
                    found.add(self.keys[other])
                elif other not in seen:
                    seen.add(other)
                    edge.append(other)
        return found

    def regions(self) -> Iterator[set[int]]:
        """What is left, as sets that hang together."""
        left = set(self.left())
        while left:
            region, edge = set(), {left.pop()}
            while edge:
                op = edge.pop()
                region.add(op)
                edge |= left & {*self.before[op], *self.behind[op]}
                left -= edge
            yield region

    def border(self, region: set[int]) -> tuple[frozenset[Key], frozenset[Key]]:
        """Keys of what the region reads, and of what reads it."""
        reads, read_by = (
            frozenset(key for op in region for key in self.nearest(op, steps))
            for steps in (self.before, self.behind)
        )
        return reads, read_by

    def join_neighbours(self) -> None:
        """Give what is left the key of the operator that it was fused with in the other file, where there is only one."""
        for op in self.left():
            follows = self.ops[op].kind in JOINS_WHAT_FOLLOWS
            keys = self.nearest(op, self.behind if follows else self.before)
            if len(keys) == 1 and None not in keys:
                self.keys[op] = keys.pop()


def _match_names(files: tuple[_File, _File]) -> None:
    """What has one name and another kind, with what is computed for it alone."""
    by_name: list[dict[str, list[int]]] = []
    for file in files:
        named: dict[str, list[int]] = defaultdict(list)
        for op in file.left():
            named[file.ops[op].name].append(op)
        by_name.append(named)
    names = by_name[0].keys() & by_name[1].keys()
    for file, named in zip(files, by_name, strict=True):
        file.keys |= {op: ("name", name) for name in names for op in named[name]}
        for op in reversed(file.left()):
            keys = file.nearest(op, file.behind)
            if len(keys) == 1 and keys <= {("name", name) for name in names}:
                file.keys[op] = keys.pop()


def _match_regions(files: tuple[_File, _File]) -> None:
    """What lies between the same neighbours."""
    by_border: list[dict[Key, set[int]]] = []
    for file in files:
        regions: dict[Key, set[int]] = defaultdict(set)
        for region in file.regions():
            regions[file.border(region)] |= region
        by_border.append(regions)
    for border in by_border[0].keys() & by_border[1].keys():
        for file, found in zip(files, by_border, strict=True):
            file.keys |= dict.fromkeys(found[border], ("between", border))


def _match_conversions(files: tuple[_File, _File]) -> None:
    """What converts in one way between the same neighbours, in both files once."""
    by_place: list[dict[Key, list[int]]] = []
    for file in files:
        placed: dict[Key, list[int]] = defaultdict(list)
        for op in file.keys.keys() ^ range(len(file.ops)):
            placed[file.ops[op].kind, file.border({op})].append(op)
        by_place.append(placed)
    for place in by_place[0].keys() & by_place[1].keys():
        found = [placed[place] for placed in by_place]
        if all(len(ops) == 1 for ops in found):
            for file, (op,) in zip(files, found, strict=True):
                file.keys[op] = ("at", place)
