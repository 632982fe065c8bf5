"""The ctypes binding against the real libptq.so, on programs written by hand; skipped where it is not built."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.errors import DeviceError, InputError
from ptq_core.flatfile.operators.attributes import Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.compare import COMPARE, Compare, Comparison
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Op
from ptq_core.flatfile.program import Program as FlatProgram
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.runtime import OpInfo, Program, TensorInfo, cpu_features, runtime_binary

needs_runtime = pytest.mark.needs("runtime")

SHAPE = (2, 3)
QUARTER = QuantParams(np.array([0.25], np.float32), zero_point=-3)
X = np.array([[-9.0, -0.125, 0.1], [0.375, 1.0, 99.0]], np.float32)
X_INT8 = np.array(
    [[-39, -3, -3], [-1, 1, 127]], np.int8
)  # ties to even: -0.5 → 0, 1.5 → 2; then + zero point


def flat_file() -> bytes:
    """x, z → add [0, 6] → quantize → q; and q → dequantize → y. Outputs: y, q."""
    program = FlatProgram(targets=("arm64", "armv7", "x86_64", "x86"), arena_size=5 * 64)
    x, z, total, y = (
        program.add(Tensor(name, DType.F32, SHAPE, offset=64 * place))
        for place, name in enumerate(("x", "z", "total", "y"))
    )
    q = program.add(Tensor("q", DType.I8, SHAPE, QUARTER, offset=64 * 4))
    program.ops = [
        Op(ADD, "body/add", (x, z), (total,), Clamp()),
        Op(QUANTIZE, "body/quantize", (total,), (q,), NoAttributes()),
        Op(DEQUANTIZE, "body/dequantize", (q,), (y,), NoAttributes()),
    ]
    program.inputs, program.outputs = [x, z], [y, q]
    return write_program(program)


@pytest.fixture
def program() -> Iterator[Program]:
    with Program(flat_file()) as opened:
        yield opened


@needs_runtime
def test_a_program_describes_itself(program: Program) -> None:
    f32, i8 = np.dtype(np.float32), np.dtype(np.int8)
    assert program.inputs == (TensorInfo("x", f32, SHAPE, 0.0, 0), TensorInfo("z", f32, SHAPE, 0.0, 0))
    assert program.outputs == (TensorInfo("y", f32, SHAPE, 0.0, 0), TensorInfo("q", i8, SHAPE, 0.25, -3))
    assert [(op.name, op.kind) for op in program.ops] == [
        ("body/add", "add"),
        ("body/quantize", "quantize"),
        ("body/dequantize", "dequantize"),
    ]
    assert all(isinstance(op, OpInfo) and op.kernel for op in program.ops)
    assert program.arena_bytes >= 5 * 64
    assert cpu_features()


@needs_runtime
@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_are_the_callers_own(program: Program, threads: int) -> None:
    y, q = program.run(X, np.zeros(SHAPE, np.float32), threads=threads)
    again = program.run(-X, np.zeros(SHAPE, np.float32), threads=threads)
    np.testing.assert_array_equal(q, X_INT8)
    np.testing.assert_array_equal(y, (X_INT8.astype(np.float32) + 3) * np.float32(0.25))
    assert not np.array_equal(again[1], q)


@needs_runtime
def test_a_view_is_read_in_its_own_order(program: Program) -> None:
    transposed = np.ascontiguousarray(X.T).T
    assert not transposed.flags.c_contiguous
    np.testing.assert_array_equal(program.run(transposed, np.zeros_like(X))[1], X_INT8)


@needs_runtime
def test_a_file_runs_like_its_bytes(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "model with ünicode.nb"
    path.write_bytes(flat_file())
    with Program(path) as opened:
        for a, b in zip(opened.run(X, X), program.run(X, X), strict=True):
            np.testing.assert_array_equal(a, b)


@needs_runtime
def test_every_operator_is_observed(program: Program) -> None:
    zeros = np.zeros(SHAPE, np.float32)
    seen = program.run_observed(X, zeros)
    assert list(seen) == ["total", "q", "y"]
    np.testing.assert_array_equal(seen["total"][1], X)
    assert seen["q"][0] == program.outputs[1]
    np.testing.assert_array_equal(seen["q"][1], X_INT8)
    calls: list[tuple[int, str, float]] = []
    program.observe(lambda op, info, _values, microseconds: calls.append((op, info.name, microseconds)))
    program.run(X, zeros)
    program.observe(None)
    program.run(X, zeros)
    assert [call[:2] for call in calls] == [(0, "total"), (1, "q"), (2, "y")]
    assert all(call[2] >= 0 for call in calls)


@needs_runtime
def test_what_an_observer_raises_reaches_the_caller(program: Program) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("mine")

    program.observe(broken)
    with pytest.raises(KeyError, match="mine"):
        program.run(X, X)
    program.observe(None)
    assert len(program.run(X, X)) == 2


@needs_runtime
@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ((X,), "1 arrays for the program"),
        ((X, X.astype(np.float64)), "input `z` of the program got float64 [2, 3]"),
        ((X.T, X), "input `x` of the program got float32 [3, 2]"),
    ],
)
def test_arrays_that_do_not_fit_are_named(program: Program, arrays: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        program.run(*arrays)
    assert said in caught.value.problem


@needs_runtime
@pytest.mark.parametrize("threads", [0, 65, -1])
def test_threads_out_of_range_are_refused(program: Program, threads: int) -> None:
    with pytest.raises(InputError, match=f"{threads} threads"):
        program.run(X, X, threads=threads)


@needs_runtime
def test_any_byte_but_0_is_a_true_bool() -> None:
    made = FlatProgram(targets=("arm64", "armv7", "x86_64", "x86"), arena_size=3 * 64)
    a, b, y = (
        made.add(Tensor(name, DType.BOOL, (4,), offset=64 * place))
        for place, name in enumerate(("a", "b", "y"))
    )
    made.ops = [Op(COMPARE, "equal", (a, b), (y,), Compare(comparison=Comparison.EQUAL))]
    made.inputs, made.outputs = [a, b], [y]
    given = (np.array(bytes_, np.uint8).view(np.bool_) for bytes_ in ([2, 0, 255, 0], [1, 0, 1, 7]))
    with Program(write_program(made)) as program:
        (equal,) = program.run(*given)
    assert equal.view(np.uint8).tolist() == [1, 1, 1, 0]


LARGE = (64, 64, 16)


@pytest.fixture
def large() -> Iterator[Program]:
    """One addition that is worth threads, open and with two threads at work."""
    made = FlatProgram(targets=("arm64", "armv7", "x86_64", "x86"), arena_size=3 * 4 * 64 * 64 * 16)
    x, z, total = (
        made.add(Tensor(name, DType.F32, LARGE, offset=4 * 64 * 64 * 16 * place))
        for place, name in enumerate(("x", "z", "total"))
    )
    made.ops, made.inputs, made.outputs = [Op(ADD, "add", (x, z), (total,), Clamp())], [x, z], [total]
    with Program(write_program(made)) as opened:
        opened.run(*ones_and_twos(), threads=2)
        yield opened


def ones_and_twos() -> tuple[np.ndarray[Any, Any], ...]:
    return np.ones(LARGE, np.float32), np.full(LARGE, 2, np.float32)


def runs_and_closes(program: Program, threads: int) -> bool:
    """Whether ``program`` gives the right sums; then it is closed."""
    (total,) = program.run(*ones_and_twos(), threads=threads)
    program.close()
    return bool((total == 3).all())


@needs_runtime
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_forked_child_runs_and_closes(large: Program, threads: int) -> None:
    with multiprocessing.get_context("fork").Pool(1, forked, (large, threads)) as pool:
        assert pool.apply_async(in_child).get(timeout=30)
    assert runs_and_closes(large, threads)  # the parent goes on


inherited: list[Any] = []


def forked(*what: Any) -> None:
    """The child's copies, by fork and not by pickle."""
    inherited[:] = what


def in_child() -> bool:
    return runs_and_closes(*inherited)


@needs_runtime
def test_a_forked_child_that_only_closes_ends(large: Program) -> None:
    child = multiprocessing.get_context("fork").Process(target=large.close)
    child.start()
    child.join(30)
    assert child.exitcode == 0


@needs_runtime
def test_a_closed_program_says_so() -> None:
    opened = Program(flat_file())
    opened.run(X, X)
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="was closed"):
        opened.run(X, X)


@needs_runtime
def test_bad_files_are_input_errors(tmp_path: Path) -> None:
    good = flat_file()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for data in (b"", b"\x89PNG\r\n", good[:-1], good[:100], bytes(flipped)):
        with pytest.raises(InputError):
            Program(data)
        path = tmp_path / "bad.nb"
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"bad\.nb"):
            Program(path)
    with pytest.raises(InputError, match=r"gone\.nb"):
        Program(tmp_path / "gone.nb")


@needs_runtime
def test_an_unknown_instruction_set_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTQ_CPU", "z80")
    with pytest.raises(InputError, match="PTQ_CPU=z80"):
        Program(flat_file())


@needs_runtime
def test_programs_are_given_back() -> None:
    resource = pytest.importorskip("resource")
    data = flat_file()

    def cycle(times: int) -> int:
        for _ in range(times):
            with Program(data) as opened:
                opened.run(X, X)
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    before = cycle(100)
    assert cycle(1000) - before < 2048  # KiB; a leak of one program each would be far more


def test_a_runtime_that_is_not_built_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(DeviceError) as caught:
        Program(b"")
    assert (caught.value.exit_code, "make runtime" in caught.value.fix) == (3, True)
    with pytest.raises(DeviceError, match="arm64-v8a"):
        runtime_binary("arm64-v8a")
    (tmp_path / "arm64-v8a").mkdir()
    (tmp_path / "arm64-v8a" / "benchmark_bin").touch()
    assert runtime_binary("arm64-v8a") == tmp_path / "arm64-v8a" / "benchmark_bin"


def test_a_broken_library_is_a_device_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "libptq.so").write_bytes(b"no library")
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(DeviceError, match="cannot load"):
        Program(b"")
