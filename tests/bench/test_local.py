"""The real benchmark_bin on this machine, on the embedded demo; skipped where the runtime is not built."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptq_core.bench.pipeline import bench
from ptq_core.errors import InputError
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from ptq_core.optimize.pipeline import optimize

pytestmark = pytest.mark.needs("runtime")


@pytest.fixture
def flat(digits: Path, tmp_path: Path) -> Path:
    path = tmp_path / "digits fp32.nb"
    optimize(digits / "model" / "model.onnx", path, targets=("host",))
    program = read_program(path.read_bytes())
    program.meta = {}  # a file that does not say its precision is believed, so the same model can stand on both sides
    path.write_bytes(write_program(program))
    return path


def test_a_model_of_the_other_precision_is_refused(digits: Path) -> None:
    with pytest.raises(InputError, match=r"`int8=.*model\.onnx` holds an fp32 model"):
        bench(int8=digits / "model" / "model.onnx", repeats=1)


def test_an_onnx_model_and_a_flat_file_are_measured_in_turns(
    digits: Path, flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    json_path, result_path = tmp_path / "bench.json", tmp_path / "res.txt"
    report = bench(
        fp32=digits / "model" / "model.onnx",
        int8=flat,  # the same model: the outputs must be equal
        threads=(1, 2),
        warmup=2,
        repeats=20,
        profile=True,
        json_path=json_path,
        result_path=result_path,
    )
    cases = report.devices[0].cases
    assert [case.threads for case in cases] == [1, 2]
    assert json.loads(json_path.read_text(encoding="utf-8"))["schema"] == 2
    assert len(result_path.read_text(encoding="utf-8").splitlines()) == 4
    assert list(here.iterdir()) == []  # nothing that was not asked for
    for case in cases:
        first, second = case.models
        assert (first.name, second.name) == ("model.onnx", "digits fp32.nb")
        assert first.output_crc32 == second.output_crc32
        assert len(first.samples_ms) == 20
        assert [op.name for op in first.ops] == [op.name for op in second.ops]
        assert len(first.ops) > 1
        assert [op.after for op in first.ops] == [(), *((index,) for index in range(len(first.ops) - 1))]
        assert case.speed_up is not None
        assert case.speed_up.low <= case.speed_up.ratio <= case.speed_up.high
        assert case.peak_rss_bytes > first.arena_bytes > 0
    assert len({model.output_crc32 for case in cases for model in case.models}) == 1


def test_a_damaged_model_is_the_users_error(flat: Path) -> None:
    data = bytearray(flat.read_bytes())
    data[-1] ^= 1
    flat.write_bytes(data)
    with pytest.raises(InputError, match=r"digits fp32\.nb"):
        bench(int8=flat)
    flat.write_bytes(data[:200])
    with pytest.raises(InputError, match=r"digits fp32\.nb"):
        bench(int8=flat)


def test_peak_memory_is_not_that_of_this_process(flat: Path) -> None:
    ballast = np.ones(200_000_000, np.uint8)
    (case,) = bench(fp32=flat, warmup=0, repeats=1).devices[0].cases
    assert case.peak_rss_bytes < ballast.size
