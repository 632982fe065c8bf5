"""A device's outputs beside this machine's: when they are the same, close, different, or cannot be judged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from ptq_core.bench.reference import Reference
from ptq_core.bench.report import Precision
from ptq_core.bench.subjects import Subject
from ptq_core.errors import InputError
from ptq_core.flatfile.operators.attributes import Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import DIV
from ptq_core.flatfile.operators.gather_nd import GATHER_ND
from ptq_core.flatfile.program import Op
from ptq_core.flatfile.program import Program as FlatProgram
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.runtime import RUNTIME_DIR_VARIABLE, Program, runtime_binary
from tests.digits import make_digits_models

pytestmark = pytest.mark.needs("runtime")

Models = tuple[Path, Path]


def reference(model: Path, precision: Precision, scratch: Path) -> tuple[Reference, np.ndarray]:
    """The reference of ``model``, and the outputs that it expects."""
    made = Reference(Subject(precision, model, model, ""), scratch)
    files = made.prepare()
    assert files is not None
    with Program(model) as program:
        inputs = [
            np.fromfile(file, info.dtype).reshape(info.shape)
            for file, info in zip(files, program.inputs, strict=True)
        ]
        (output,) = program.run(*inputs)
    return made, output


def test_floats_may_differ_by_rounding(digits_models: Models, tmp_path: Path) -> None:
    made, output = reference(digits_models[0], "fp32", tmp_path)
    assert made.compare(output.tobytes()) == "identical"
    assert made.compare(np.nextafter(output, np.float32(np.inf)).tobytes()) == "close"
    for wrong in (output * np.float32(1.5) + 1, np.full_like(output, np.nan), output[..., ::-1]):
        assert made.compare(wrong.tobytes()) == "different"
    assert made.compare(output.tobytes()[:-4]) == "different"
    assert made.compare(b"") == "different"


def test_integers_may_not_differ_at_all(digits_models: Models, tmp_path: Path) -> None:
    made, output = reference(digits_models[1], "int8", tmp_path)
    assert made.compare(output.tobytes()) == "identical"
    assert made.compare(np.nextafter(output, np.float32(np.inf)).tobytes()) == "different"


def test_floats_before_integers_cannot_be_judged(digits: Path, tmp_path: Path) -> None:
    """An error of a float operator may turn a rounding to int8, and no bound is known of what follows."""
    model = make_digits_models(digits, tmp_path, full=False)[1]
    made, output = reference(model, "int8", tmp_path)
    assert made.compare(output.tobytes()) == "identical"
    assert made.compare((output + 1).tobytes()) == "unclear"


def test_models_with_the_same_inputs_get_the_same(digits_models: Models, tmp_path: Path) -> None:
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    files = [
        reference(path, precision, tmp_path)[0].prepare()
        for path, precision in zip(digits_models, precisions, strict=True)
    ]
    assert files[0] is not None
    assert files[1] is not None
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_without_a_runtime_here_nothing_is_compared(
    digits_models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path))
    assert Reference(Subject("int8", digits_models[1], digits_models[1], ""), tmp_path).prepare() is None


def of_indices(rows: int) -> FlatProgram:
    """x, 5 of the ``rows`` of a table, and what they are when they are divided by another input."""
    program = FlatProgram(targets=("arm64",), producer="ptq test", arena_size=256)
    values = np.arange(2, 2 + 3 * rows, dtype=np.int32).reshape(rows, 3)
    indices, divisor, picked, divided = (
        program.add(Tensor(name, DType.I32, dims, None, None, 64 * place))
        for place, (name, dims) in enumerate(
            [("indices", (5, 1)), ("divisor", (3,)), ("picked", (5, 3)), ("divided", (5, 3))]
        )
    )
    table = program.add(Tensor("table", DType.I32, values.shape, None, values))
    program.ops = [
        Op(GATHER_ND, "gather", (table, indices), (picked,), NoAttributes()),
        Op(DIV, "div", (picked, divisor), (divided,), Clamp()),
    ]
    program.inputs, program.outputs = [indices, divisor], [divided]
    return program


@pytest.mark.parametrize("rows", [2, 10, 300])
def test_integers_fit_what_the_model_takes_them_for(tmp_path: Path, rows: int) -> None:
    """Here and in benchmark_bin, which gives up where nothing fits."""
    flat = tmp_path / "table.nb"
    flat.write_bytes(write_program(of_indices(rows)))
    _, output = reference(flat, "fp32", tmp_path)
    assert output.any()
    command = [str(runtime_binary("host")), "--repeats=1", "--warmup=0", "--result_filename=", str(flat)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_where_nothing_fits_it_is_said(tmp_path: Path) -> None:
    flat = tmp_path / "table.nb"
    program = of_indices(1)  # the only index is 0, and 0 is no divisor
    flat.write_bytes(write_program(program))
    with pytest.raises(InputError, match=r"an index does not exist|a divisor is 0"):
        reference(flat, "fp32", tmp_path)
