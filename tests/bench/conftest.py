"""A runtime folder whose `benchmark_bin` is the misbehaving stand-in, and two files that pass for models."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.digits import make_digits_models
from tests.standin.fixtures import adb_server as adb_server
from tests.standin.fixtures import plug as plug

Fake = Callable[..., None]


@pytest.fixture
def fake_benchmark_bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Installs the stand-in; call it with a mode and samples per model (ms) to change what it does."""
    binary = tmp_path / "runtime" / "host" / "benchmark_bin"
    binary.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "fake_benchmark_bin.py", binary)
    text = binary.read_text(encoding="utf-8").split("\n", 1)[1]
    binary.write_text(f"#!{sys.executable} -S\n{text}", encoding="utf-8")
    binary.chmod(0o755)
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(tmp_path / "runtime"))

    def configure(mode: str = "", samples_ms: list[list[float]] | None = None) -> None:
        monkeypatch.setenv("FAKE_MODE", mode)
        if samples_ms is not None:
            monkeypatch.setenv("FAKE_SAMPLES", json.dumps(samples_ms))

    configure()
    return configure


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """An FP32 and an INT8 "model" of 4000 and 1000 bytes."""
    paths = tmp_path / "net_fp32.nb", tmp_path / "net_int8.nb"
    for path, size in zip(paths, (4000, 1000), strict=True):
        path.write_bytes(bytes(size))
    return paths


@pytest.fixture(scope="session")
def digits_models(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The embedded demo's network as FP32 and INT8 flat files; of the second all but the logits is integers."""
    return make_digits_models(digits, tmp_path_factory.mktemp("digits"), full=True)
