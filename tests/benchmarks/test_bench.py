"""The scripts that measure speed: the models they measure, what they read out of machine code, when they say PASS and MISS."""

from __future__ import annotations

import io
import os
import platform
import subprocess
import sys
from pathlib import Path

import build_runtime
import numpy as np
import onnx
import pytest

from benchmarks import arm_code, arm_count, bench_arm, bench_latency, make_models, performance_doc, start_up
from benchmarks.networks import Builder
from benchmarks.peers import OURS, PEERS, Peer, PeerError
from ptq_core.graph.session import open_session
from ptq_core.runtime import runtime_folder
from tests.needs import NOT_HERE, ROOT

OBJDUMP = """
0000000000010000 <ptq::(anonymous namespace)::Block<8>(ptq::Tile const&)>:
   10000: d2800000     \tmov\tx0, #0x0 // =0
   10004: 4e82e020     \tsdot\tv0.4s, v1.16b, v2.16b
   10008: 4e82e021     \tsdot\tv1.4s, v1.16b, v2.16b
   1000c: f1000400     \tsubs\tx0, x0, #0x1
   10010: 54ffffa1     \tb.ne\t0x10004 <ptq::(anonymous namespace)::Block<8>(ptq::Tile const&)+0x4>
   10014: 4e82e020     \tsdot\tv0.4s, v1.16b, v2.16b
   10018: b5ffffe1     \tcbnz\tx1, 0x10014 <ptq::(anonymous namespace)::Block<8>(ptq::Tile const&)+0x14>
   1001c: b5ffff22     \tcbnz\tx2, 0x10000 <ptq::(anonymous namespace)::Block<8>(ptq::Tile const&)>
   10020: 54000040     \tb.eq\t0x10028 <ptq::(anonymous namespace)::Block<8>(ptq::Tile const&)+0x28>
   10028: d65f03c0     \tret

0000000000010030 <ptq::gemm_i8_8x8__dotprod(ptq::Tile const&)>:
   10030: 97fffff4     \tbl\t0x10000 <ptq::(anonymous namespace)::Block<8>(ptq::Tile const&)>
   10034: d65f03c0     \tret
"""
TEXT = {0x4E82E020: "sdot v0.4s, v1.16b, v2.16b", 0x4E82E021: "sdot v1.4s, v1.16b, v2.16b"}


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> list[arm_code.Function]:
    """Of OBJDUMP; instructions that are not in TEXT decode to nop, so that LLVM is not needed."""
    monkeypatch.setattr(arm_code, "decode", lambda words: [TEXT.get(word, "nop") for word in words])
    return arm_code.parse_disassembly(OBJDUMP)


# The counts of torchvision's and the papers' models.
@pytest.mark.parametrize(
    ("name", "million_macs"),
    [
        ("mobilenet_v1", 569),
        ("mobilenet_v2", 301),
        ("mobilenet_v3_large", 217),
        ("resnet50", 4089),
        ("shufflenet_v2", 145),
        ("deit_tiny_like", 1254),
    ],
)
def test_models_have_the_published_size(name: str, million_macs: int) -> None:
    b = Builder(np.random.default_rng(0))
    b.channels["input"] = 3
    outputs = make_models.MODELS[name](b, "input")
    model = make_models.to_model(name, b, outputs, make_models.SIZES.get(name, make_models.SIZE))
    onnx.checker.check_model(model, full_check=True)
    assert round(make_models.count_macs(model) / 1e6) == million_macs


@pytest.mark.parametrize(
    ("name", "million_weights"),
    [("deit_tiny_like", 5.7), ("mobilevit_xs_like", 2.3), ("svtr_tiny_like", 4.2)],
)
def test_transformers_have_the_published_weights(name: str, million_weights: float) -> None:
    b = Builder(np.random.default_rng(0))
    b.channels["input"] = 3
    outputs = make_models.MODELS[name](b, "input")
    size = make_models.SIZES.get(name, make_models.SIZE)
    onnx.checker.check_model(make_models.to_model(name, b, outputs, size), full_check=True)
    masks = sum(array.size for role, array in b.constants.items() if role.startswith("mask"))
    weights = sum(array.size for array in b.constants.values()) - masks
    assert round(weights / 1e6, 1) == million_weights


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large"])
def test_activations_neither_explode_nor_die(name: str) -> None:
    model = make_models.make_model(name)
    values = [node.output[0] for node in model.graph.node if node.op_type in ("BatchNormalization", "Add")]
    logits = model.graph.output[0].name
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(value) for value in values)
    session = open_session(model.SerializeToString(), threads=1)
    inputs = [make_models.to_input(picture[None]) for picture in make_models.pictures(9, 2)]
    first, second = (session.run([logits, *values], {"input": x}) for x in inputs)
    for value, array in zip(values, first[1:], strict=True):
        assert 0.2 < array.std() < 5, value
    assert np.corrcoef(first[0].ravel(), second[0].ravel())[0, 1] < 0.99


def test_a_model_is_the_same_every_time() -> None:
    assert make_models.make_model("mobilenet_v1") == make_models.make_model("mobilenet_v1")


def test_a_model_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        make_models.main(["mobilenet_v9"])
    assert "no model mobilenet_v9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("instruction", "macs"),
    [
        ("sdot v0.4s, v1.16b, v2.4b[0]", 16),
        ("usdot v0.2s, v1.8b, v2.8b", 8),
        ("smmla v0.4s, v1.16b, v2.16b", 32),
        ("fmla v0.4s, v1.4s, v2.s[1]", 4),
        ("fmla v0.8h, v1.8h, v2.h[1]", 8),
        ("smull v0.8h, v1.8b, v2.8b", 8),
        ("smlal2 v0.8h, v1.16b, v2.16b", 8),
        ("smlal v0.4s, v1.4h, v2.h[3]", 4),
        ("umlal2 v0.4s, v1.8h, v2.8h", 4),
        ("mla v0.8h, v1.8h, v2.8h", 8),
        ("fmadd s0, s1, s2, s3", 1),
        ("madd w0, w1, w2, w3", 1),
        ("madd x0, x1, x2, x3", 0),
        ("fmul v0.4s, v1.4s, v2.4s", 0),
        ("sadalp v0.4s, v1.8h", 0),
        ("add v0.4s, v1.4s, v2.4s", 0),
        ("smax v0.16b, v1.16b, v2.16b", 0),
        ("ldr q0, [x0]", 0),
    ],
)
def test_multiply_accumulates(instruction: str, macs: int) -> None:
    assert arm_code.macs_of(instruction) == macs


def test_only_innermost_loops_are_found(functions: list[arm_code.Function]) -> None:
    assert functions[0].loops() == [(1, 4), (5, 6)]
    assert functions[1].loops() == []


def test_the_main_loop_has_the_most_macs_and_may_be_in_a_callee(functions: list[arm_code.Function]) -> None:
    (name, loop), *others = bench_arm.find_loops(functions, "")
    assert name == "gemm_i8_8x8__dotprod"
    assert loop is not None
    assert (loop.macs, loop.address, loop.kind, len(loop.code)) == (32, 0x10004, "dot", 4)
    assert others == []


def test_a_gemm_kernel_without_a_loop_is_not_passed_over(functions: list[arm_code.Function]) -> None:
    found = bench_arm.find_loops([functions[1]], "")
    assert found == [("gemm_i8_8x8__dotprod", None)]


@pytest.mark.parametrize(
    ("demangled", "short"),
    [
        ("ptq::gemm_i8_8x8__dotprod(ptq::Tile const&)", "gemm_i8_8x8__dotprod"),
        ("void ptq::(anonymous namespace)::Run<8>(int)", "Run<8>"),
        ("void ptq::(anonymous namespace)::Run<ptq::GemmI8>::Rows<12ul>(int)", "Run<GemmI8>::Rows<12>"),
        ("memcpy", "memcpy"),
    ],
)
def test_names_without_their_parameters(demangled: str, short: str) -> None:
    assert arm_code.short_name(demangled) == short


def test_files_older_than_their_sources_are_made_again(tmp_path: Path) -> None:
    file, source = tmp_path / "file", tmp_path / "source"
    source.touch()
    assert not make_models.is_current(file, [source])
    file.touch()
    os.utime(source, (1, 1))
    assert make_models.is_current(file, [source])
    os.utime(file, (0, 0))
    assert not make_models.is_current(file, [source])


def test_counted_blocks_are_per_inference_and_sorted() -> None:
    blocks = arm_count.parse_blocks("10 4 d65f03c0\n20 6 d65f03c0 d503201f\n", repeats=2)
    assert [(b.address, b.executions, b.instructions) for b in blocks] == [(0x20, 3, 6), (0x10, 2, 2)]


def test_building_the_counted_program_says_nothing_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "import sys; print('building'); sys.exit('-C' not in sys.argv)"
    monkeypatch.setattr(build_runtime, "configure", lambda *_: None)
    monkeypatch.setattr(build_runtime, "find_python_tool", lambda _: str(tmp_path / "ninja"))
    (tmp_path / "ninja").write_text(f"#!{sys.executable}\n{said}\n")
    (tmp_path / "ninja").chmod(0o755)
    assert arm_count.build_benchmark(tmp_path) == tmp_path / "cmake" / "benchmark_bin"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("instruction", "kind"),
    [
        ("sdot v0.4s, v1.16b, v2.4b[0]", "mul-acc"),
        ("fmla v0.4s, v1.4s, v2.s[1]", "mul-acc"),
        ("smull2 v0.8h, v1.16b, v2.16b", "mul-acc"),
        ("smlal v0.4s, v1.4h, v2.h[3]", "mul-acc"),
        ("sadalp v0.4s, v1.8h", "widen-add"),
        ("fmul v0.4s, v1.4s, v2.4s", "float"),
        ("ldp q0, q1, [x0]", "load"),
        ("st1 { v0.s }[1], [x0]", "store"),
        ("b.ne #-36", "branch"),
        ("bic x0, x1, x2", "integer"),
        ("sqxtn v0.4h, v1.4s", "simd"),
        ("add x0, x1, x2", "integer"),
    ],
)
def test_classes_of_instructions(instruction: str, kind: str) -> None:
    assert arm_count.classify(instruction) == kind


@pytest.mark.parametrize(
    ("pairs", "word"),
    [
        ([(55.0, 55.0), (24.0, 24.0)], "PASS"),
        ([(55.1, 55.0), (20.0, 24.0)], "MISS"),
        ([(50.0, 55.0), (24.1, 24.0)], "MISS"),
        ([(None, 55.0)], "MISS"),
        ([(100.0, None), (1.0, 2.0)], "PASS"),
        ([(100.0, None)], ""),
    ],
)
def test_verdict(pairs: list[tuple[float | None, float | None]], word: str) -> None:
    assert bench_arm.verdict(pairs) == word


def test_rows_of_the_table_and_beside_it() -> None:
    assert len(bench_arm.choose_rows(None, None, None)) == 8
    (row,) = bench_arm.choose_rows("mobilenet_v1", "int8", "cortex-a76")
    assert (row.most_instructions, row.most_cycles) == (55, 24)
    (row,) = bench_arm.choose_rows("resnet50", "int8", None)
    assert (row.cpu, row.most_cycles) == ("cortex-a76", None)


def test_missing_tools_are_named_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.bench_arm"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert done.stderr == "bench_arm.py: missing apt packages: llvm-19 qemu-user\n"


@pytest.mark.needs("runtime")
def test_counted_runs_leave_no_results(digits: Path, tmp_path: Path) -> None:
    opt = [sys.executable, "-m", "ptq_cli", "opt", "--model-dir", str(digits / "model")]
    subprocess.run(
        [*opt, "--optimize-out", str(tmp_path / "m"), "--valid-targets", "host"], check=True, cwd=ROOT
    )
    command: list[str | Path] = [
        runtime_folder("host") / "benchmark_bin",
        "--count-markers",
        "--repeats=2",
        tmp_path / "m.nb",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["m.nb"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason=f"{NOT_HERE}AMX is x86's")
def test_amx_is_refused_and_nothing_else() -> None:
    program = (
        "import ctypes, errno; from benchmarks import bench_latency; bench_latency.forbid_amx();"
        "libc = ctypes.CDLL(None, use_errno=True);"
        "assert libc.syscall(158, 0x1023, 18) == -1 and ctypes.get_errno() == errno.EPERM;"
        "assert libc.syscall(158, 0x1021, ctypes.byref(ctypes.c_uint64())) == 0 or ctypes.get_errno() != errno.EPERM;"
        "print(open('/proc/self/status').read().count('Seccomp:\\t2'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


INT8 = bench_latency.Row("mobilenet_v1", "int8", False)
FP32 = bench_latency.Row("mobilenet_v1", "fp32", False)


def case(peer: Peer, row: bench_latency.Row, *samples_ms: float) -> bench_latency.Case:
    process = subprocess.Popen(["true"], text=True)
    return bench_latency.Case(peer, row, process, io.StringIO(), samples_ms=list(samples_ms))


@pytest.mark.parametrize(
    ("row", "ours_ms", "tail"),
    [
        (INT8, 0.9, ["0.90", "0.90", "PASS"]),
        (INT8, 0.91, ["0.91", "0.90", "MISS"]),
        (FP32, 1.0, ["1.00", "1.00", "PASS"]),
        (FP32, 1.01, ["1.01", "1.00", "MISS"]),
    ],
)
def test_ours_is_compared_with_the_fastest_peer(
    row: bench_latency.Row, ours_ms: float, tail: list[str]
) -> None:
    slow, fast, absent = (Peer(name, "os", "", OURS.load) for name in ("slow", "fast", "absent"))
    cases = [case(slow, row, 5, 4), case(OURS, row, 3, ours_ms, 9), case(fast, row, 1, 2)]
    cells = bench_latency.cells_of(row, cases, [slow, fast, absent])
    assert cells[2:] == ["4.00", "1.00", "–", *tail]
    medians = bench_latency.medians_of(row, cases, [slow, fast, absent])
    assert medians == [row.title, "3.00", "4.50", "1.50", "–"]


@pytest.mark.parametrize(
    ("int8_ms", "tail"), [(4, ["2.50", "2.50", "PASS"]), (4.1, ["2.44", "2.50", "MISS"])]
)
def test_int8_is_compared_with_our_fp32(int8_ms: float, tail: list[str]) -> None:
    cases = [case(OURS, FP32, 10, 11), case(OURS, INT8, 6, int8_ms)]
    assert bench_latency.speed_ups([FP32, INT8], cases) == [["mobilenet_v1 int8", *tail]]


def test_a_runtime_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"ptq ended with 1:(.|\n)*none\.nb"):
        bench_latency.start(OURS, INT8, tmp_path / "none.nb", min(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("ours", "peer", "word"),
    [((1, 0.01), (1, 0.3), "PASS"), ((1, 0.1), (1, 0.3), "MISS"), ((1, 0), (1, 0.4), "MISS")],
)
def test_outputs_are_held_against_a_reference(
    ours: tuple[float, float], peer: tuple[float, float], word: str
) -> None:
    rival = Peer("rival", "os", "", OURS.load)
    cases = [case(OURS, INT8), case(rival, INT8)]
    for of, output in zip(cases, (ours, peer), strict=True):
        of.output = np.array(output, np.float32)
    cells = bench_latency.outputs_of(INT8, cases, [rival], np.array([1, 0], np.float32))
    assert cells[-1] == word
    assert bench_latency.cosine(np.ones(2), np.ones(3)) == 0


def test_without_a_peer_there_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = Peer("Absent", "no_such_package", "", OURS.load)
    monkeypatch.setattr(bench_latency, "PEERS", (*PEERS[:1], absent))
    assert bench_latency.main([]) == 3
    assert "not installed: Absent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("load_ms", "peak_mb", "word"), [(15, 12, "PASS"), (15.1, 11, "MISS"), (9, 12.1, "MISS")]
)
def test_start_up_is_held_against_its_bounds(load_ms: float, peak_mb: float, word: str) -> None:
    assert start_up.cells_of(start_up.START_UPS[0], load_ms, peak_mb)[-1] == word


@pytest.mark.parametrize(
    ("program", "code"), [("pass", 0), ("raise SystemExit(4)", 0), ("1 / 0", 3), (None, 3)]
)
def test_a_crash_is_no_table(monkeypatch: pytest.MonkeyPatch, program: str | None, code: int) -> None:
    command = ("/nonexistent/program",) if program is None else (sys.executable, "-c", program)
    monkeypatch.setitem(performance_doc.COMMANDS, "latency", command)
    if code == 0:
        assert performance_doc.run("latency") == ""
        return
    with pytest.raises(SystemExit) as error:
        performance_doc.run("latency")
    assert error.value.code == code


def test_tables_of_the_performance_page_are_replaced_one_by_one() -> None:
    page = performance_doc.PAGE.read_text(encoding="utf-8")
    for name in performance_doc.COMMANDS:
        page = performance_doc.replace_table(page, name, f"| {name} \\1 |")
    assert page.count(" \\1 |") == len(performance_doc.COMMANDS)
    assert page == performance_doc.replace_table(page, "layers", "| layers \\1 |")
    with pytest.raises(ValueError, match="exactly once"):
        performance_doc.replace_table(page, "nothing", "")
