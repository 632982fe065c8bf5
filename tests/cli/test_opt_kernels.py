"""`ptq opt --display-kernels` and `--record-tailoring-info`: what is chosen is what runs, and a runtime of only that."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptq_cli import main
from ptq_core import kernels, tailoring
from ptq_core.errors import DeviceError
from ptq_core.flatfile.reader import load_program
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program, cpu_features, runtime_binary
from tests.flatfile.update_golden import GOLDEN
from tests.models import mobile_block, save
from tests.needs import ROOT, not_here

LEVELS = {
    "arm64": ["scalar", "neon", "fp16", "dotprod", "i8mm"],
    "armv7": ["scalar", "neon"],
    "x86_64": ["scalar", "avx2", "avxvnni", "avx512vnni", "amx"],
}
THIS = next(name for name, tool in kernels.TOOLS.items() if tool.machine == os.uname().machine)


def opt(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main.run(["opt", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def flat(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kernels") / "digits.nb"
    optimize(digits / "model" / "model.onnx", out, targets=("host",))
    return out


def test_the_choice_is_what_runs(flat: Path) -> None:
    chosen = [choice.kernel for choice in kernels.choices(THIS, None, flat)]
    with Program(flat) as program:
        assert chosen == [op.kernel for op in program.ops]


def test_every_level_of_this_machine(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that this CPU lacks; where it can run, the forced choice is the same."""
    assert kernels.levels(THIS) == LEVELS[THIS]
    for level in LEVELS[THIS]:
        chosen = kernels.choices(THIS, level, flat)
        assert len(chosen) == len(load_program(flat).ops)
        if level in cpu_features().split():
            monkeypatch.setenv("PTQ_CPU", level)
            with Program(flat) as program:
                assert [choice.kernel for choice in chosen] == [op.kernel for op in program.ops]
            monkeypatch.delenv("PTQ_CPU")


def test_reasons() -> None:
    if THIS != "x86_64":
        not_here("reasons of x86 kernels")
    gemm = next(
        choice
        for choice in kernels.choices("x86_64", "avx2", GOLDEN / "every_kind.nb")
        if choice.kernel.startswith("gemm_f32")
    )
    assert gemm.kernel == "gemm_f32_6x16__avx2"
    assert dict(gemm.others) == {
        "gemm_f32_12x32__avx512vnni": "needs avx512vnni",
        "gemm_f32_4x8__scalar": "behind it in the list, best first",
    }


def test_display(digits: Path, flat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = opt(
        capsys, "--model-dir", digits / "model", "--display_kernels", "--valid-targets", "host"
    )
    assert (code, err) == (0, "")
    assert out.startswith(f"{THIS}, this machine:\n")
    for choice in kernels.choices(THIS, None, flat):
        assert choice.kernel in out
    assert "why not another" in out
    same = opt(capsys, "--optimized-nb-model-path", flat, "--display-kernels=true", "--valid-targets", "host")
    assert same == (0, out, "")
    code, out, _ = opt(capsys, "--display-kernels", "--valid-targets", "host")
    assert code == 0
    for name, needs in kernels.kernel_list(THIS):
        assert f"{name} " in out
        assert name.endswith("__scalar") == (needs == "-")


@pytest.mark.needs("qemu", "phones")
@pytest.mark.parametrize("target", ["arm64", "armv7"])
def test_arm(target: str, flat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any CPU of a phone, told by its own runtime."""
    assert kernels.levels(target) == LEVELS[target]
    code, out, err = opt(
        capsys, "--optimized-nb-model-path", flat, "--display-kernels", "--valid-targets", target
    )
    assert (code, err) == (0, "")
    assert f"{target}, neon (Cortex-A53, A72, A73):" in out
    assert "gemm_f32_12x8__neon" in out if target == "arm64" else "gemm_f32_4x8__armv7" in out
    needed = tailoring.record(flat)
    assert {"conv2d", "softmax"} <= needed.ops


def test_without_the_tool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(tmp_path))
    code, _, err = opt(capsys, "--display-kernels", "--valid-targets", "arm64")
    assert code == 3
    assert "no show_bin for arm64-v8a" in err or "no show_bin for host" in err
    assert "make runtime" in err
    other = next(name for name in kernels.TOOLS if name != THIS)
    (tmp_path / kernels.TOOLS[other].abi).mkdir()
    (tmp_path / kernels.TOOLS[other].abi / "show_bin").touch()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DeviceError, match="qemu") as caught:
        kernels.levels(other)
    assert "qemu-user-static" in caught.value.fix


def test_tailoring_file(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one model, and of a set the union."""
    monkeypatch.chdir(tmp_path)
    host = ["--valid-targets", "host", "--record-tailoring-info"]
    assert opt(capsys, "--model-dir", digits / "model", "--optimize-out", "d", *host)[0] == 0
    lines = Path("d.tailor").read_text(encoding="utf-8").splitlines()
    assert "d" in lines[0]
    assert {"op conv2d", "op softmax", "kernel gemm_f32_4x8__scalar"} <= set(lines)
    assert lines[1:] == sorted(lines[1:], key=lambda line: (line.startswith("kernel"), line))
    save(mobile_block(), Path("set/block"))
    Path("set/digits.onnx").write_bytes((digits / "model" / "model.onnx").read_bytes())
    assert opt(capsys, "--model-set-dir", "set", "--optimize-out", "out", *host)[0] == 0
    union = Path("out/model_set.tailor").read_text(encoding="utf-8").splitlines()
    assert set(lines[1:]) <= set(union)
    assert "op conv2d_add" in union or "op add" in union
    code, _, err = opt(
        capsys,
        *("--model-dir", digits / "model", "--optimize-out", "p", "--optimize-out-type", "protobuf", *host),
    )
    assert code == 2
    assert "leave one of the two out" in err
    assert not Path("p.onnx").exists()


def build(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "runtime" / "build_runtime.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_runtime_of_one_model(flat: Path, tmp_path: Path) -> None:
    """It computes the same, is less than half as large, and names what it lacks."""
    tailor = flat.with_name("test_digits.tailor")
    tailoring.write_tailoring(tailor, tailoring.record(flat), ["digits"])
    done = build("--tailor", tailor, "--install-dir", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    small, whole = tmp_path / "host" / "benchmark_bin", runtime_binary("host")
    assert small.stat().st_size < whole.stat().st_size / 2
    outputs: list[np.ndarray] = []
    for binary in (small, whole):
        out = tmp_path / f"{len(outputs)}.bin"
        command: list[str | Path] = [
            binary,
            "--repeats=1",
            "--result_filename=",
            f"--dump_output={out}",
            flat,
        ]
        subprocess.run(command, check=True, capture_output=True)
        outputs.append(np.frombuffer(out.read_bytes(), np.float32))
    by_small, by_whole = outputs
    np.testing.assert_array_equal(by_small, by_whole)
    refused = subprocess.run(
        [small, "--result_filename=", GOLDEN / "every_kind.nb"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "(add) is not in this runtime, which was tailored to other models" in refused.stderr
    library = ctypes.CDLL(str(tmp_path / "host" / "libptq.so"))
    handle = ctypes.c_void_p()
    unsupported = 4
    assert library.ptq_program_load(os.fsencode(flat), ctypes.byref(handle)) == 0
    assert (
        library.ptq_program_load(os.fsencode(GOLDEN / "every_kind.nb"), ctypes.byref(handle)) == unsupported
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no operator"),
        ("op conv9d\n", "no operators conv9d"),
        ("op conv2d\nkernel gemm_f32_9x9__neon\n", "no list has the kernels gemm_f32_9x9__neon"),
        ("op conv2d extra\n", "is not `op NAME` or `kernel NAME`"),
        (None, "cannot read"),
    ],
)
def test_wrong_tailoring_files(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "test_wrong.tailor"
    if text is not None:
        path.write_text(text)
    done = build("--tailor", path, "--install-dir", tmp_path, "--build-dir", tmp_path / "build")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "host").exists()
