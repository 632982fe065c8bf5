"""Which model a file holds, whatever it is called."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ptq_core.bench.subjects import make_subject
from ptq_core.flatfile.writer import write_program
from tests.flatfile.programs import tiny_program


@pytest.mark.parametrize(
    ("meta", "believed"),
    [({"sha256": "0a" * 32}, True), ({"sha256": "0a"}, False), ({"sha256": 7}, False), ({}, False)],
)
def test_a_flat_file_says_what_it_was_made_from(
    tmp_path: Path, meta: dict[str, object], believed: bool
) -> None:
    program, file = tiny_program(), tmp_path / "m.nb"
    program.meta = meta
    file.write_bytes(write_program(program))
    found = make_subject("fp32", file, tmp_path)
    assert found.sha256 == ("0a" * 32 if believed else hashlib.sha256(file.read_bytes()).hexdigest())
    tensors = [program.tensors[index] for index in program.inputs]
    assert found.inputs == tuple(f"{each.name} {'x'.join(map(str, each.dims))}" for each in tensors)
    assert found.inputs


def test_what_cannot_be_read_is_told_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "m.nb").write_bytes(b"no model")
    found = make_subject("int8", tmp_path / "m.nb", tmp_path)
    assert (found.sha256, found.inputs, found.flow) == (hashlib.sha256(b"no model").hexdigest(), (), ())


def test_the_flow_of_a_network(digits_models: tuple[Path, Path], tmp_path: Path) -> None:
    for precision, file in zip(("fp32", "int8"), digits_models, strict=True):
        flow = make_subject(precision, file, tmp_path).flow  # type: ignore[arg-type]
        assert flow[0] == ()
        assert flow[1:] == tuple((index,) for index in range(len(flow) - 1))  # a chain
