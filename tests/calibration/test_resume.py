"""A calibration that was killed half way continues there and ends with the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ptq_core.calibration import CalibrationResult, TensorStatistics, calibrate, collect, pipeline
from ptq_core.calibration.cache import CachedCalibration, load_cache, save_cache
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from tests.calibration.conftest import PICTURES, MakeModel

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["input", "twice", "shifted"]

CHILD = """
import sys, time
from pathlib import Path
from ptq_core.calibration import collect, pipeline
from tests.calibration.test_resume import run
collect.MICRO_BATCH_BYTES = 1
pipeline.SAVE_SECONDS = 0

def slowly(done):
    print(done, flush=True)
    time.sleep(0.1)

run(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), on_batch=slowly)
"""


class Killed(BaseException):
    pass


def kill_after(samples: int) -> Any:
    def on_batch(done: int) -> None:
        if done >= samples:
            raise Killed

    return on_batch


def run(
    model: bytes, folder: Path, names: list[str] = NAMES, on_batch: Any = None, **changes: Any
) -> CalibrationResult:
    settings: dict[str, Any] = {
        "model_dir": folder,
        "save_model_path": folder,
        "image_dir": folder,
        "batch_size": 1,
        "is_use_cache_file": True,
        "cache_dir": folder.parent / "cache",
        **changes,
    }
    return calibrate(model, names, QuantizeConfig(**settings), {"input": (1, 3, 8, 8)}, on_batch=on_batch)


def assert_same(a: CalibrationResult, b: CalibrationResult) -> None:
    assert (a.pictures, a.skipped, list(a.statistics)) == (b.pictures, b.skipped, list(b.statistics))
    for name, statistics in a.statistics.items():
        for field in fields(TensorStatistics):
            np.testing.assert_array_equal(
                getattr(statistics, field.name), getattr(b.statistics[name], field.name), field.name
            )


@pytest.fixture(autouse=True)
def every_sample_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SAVE_SECONDS", 0)
    monkeypatch.setattr(collect, "MICRO_BATCH_BYTES", 1)


@pytest.mark.parametrize("batch", ["N", 1, 3])
@pytest.mark.parametrize("killed_after", range(1, PICTURES + 1))
def test_resumes_after_any_picture(
    folder: Path, two_steps: MakeModel, killed_after: int, batch: int | str
) -> None:
    (folder / "p2.bmp").write_bytes(b"broken")
    (folder / "p6.bmp").write_bytes(b"broken")  # the last one: nothing good may be left after it
    settings: dict[str, Any] = {"skip_bad_images": True}
    whole = run(two_steps(batch), folder, is_use_cache_file=False, **settings)
    stop = min(killed_after, whole.pictures)
    with pytest.raises(Killed):
        run(two_steps(batch), folder, on_batch=kill_after(stop), **settings)
    counted: list[int] = []
    resumed = run(two_steps(batch), folder, on_batch=counted.append, **settings)
    assert stop <= resumed.resumed <= stop + 2  # a fixed batch of 3 is counted at once
    assert all(done > resumed.resumed for done in counted)
    assert_same(resumed, whole)
    assert not resumed.from_cache
    assert [p.name for p in (folder.parent / "cache").iterdir() if "partial" in p.name] == []
    again = run(two_steps(batch), folder, **settings)
    assert again.from_cache
    assert_same(again, whole)


def test_the_comparison_notices_one_bit(folder: Path, two_steps: MakeModel) -> None:
    a, b = (run(two_steps(), folder, is_use_cache_file=False) for _ in range(2))
    assert_same(a, b)
    b.statistics["twice"].sum_maximum = float(np.nextafter(b.statistics["twice"].sum_maximum, 0))
    with pytest.raises(AssertionError, match="sum_maximum"):
        assert_same(a, b)


def test_resumes_after_being_killed_again_and_again(folder: Path, two_steps: MakeModel) -> None:
    for stop in (2, 4, 6):
        with pytest.raises(Killed):
            run(two_steps(), folder, on_batch=kill_after(stop))
    resumed = run(two_steps(), folder)
    assert resumed.resumed == 6
    assert_same(resumed, run(two_steps(), folder, is_use_cache_file=False))


def test_resumes_after_sigkill(folder: Path, two_steps: MakeModel) -> None:
    model = folder.parent / "model.onnx"
    model.write_bytes(two_steps())
    command = [sys.executable, "-c", CHILD, str(model), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        while child.stdout.readline().strip() != "3":
            assert child.poll() is None
        child.kill()
    assert child.returncode == -signal.SIGKILL
    resumed = run(two_steps(), folder)
    assert 3 <= resumed.resumed < PICTURES
    assert_same(resumed, run(two_steps(), folder, is_use_cache_file=False))


def test_float_results_are_the_same_bits(tmp_path: Path) -> None:
    """Matrix products may round differently in another batch; micro-batches are cut as without the interruption."""
    from tests.models import mobile_block

    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(23):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{index:02}.png")
    proto = mobile_block()
    names = [output for node in proto.graph.node for output in node.output]
    model = proto.SerializeToString()

    def once(on_batch: Any = None, use: bool = True) -> CalibrationResult:
        config = QuantizeConfig(
            model_dir=folder,
            save_model_path=folder,
            image_dir=folder,
            is_use_cache_file=use,
            cache_dir=tmp_path / "cache",
            batch_size=1,
        )
        return calibrate(model, names, config, {"input": (1, 3, 16, 16)}, on_batch=on_batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "MICRO_BATCH_BYTES", 5 * 16 * 16 * 16 * 3 * 4)  # about five samples
        whole = once(use=False)
        with pytest.raises(Killed):
            once(kill_after(7))
        resumed = once()
    assert 0 < resumed.resumed < 23
    assert_same(resumed, whole)


def test_resumes_for_fewer_tensors_but_not_for_others(folder: Path, two_steps: MakeModel) -> None:
    for names, resumed in ((["twice"], 4), (["twice", "shifted"], 0)):
        with pytest.raises(Killed):
            run(two_steps(), folder, ["input", "twice"], kill_after(4))
        result = run(two_steps(), folder, names)
        assert result.resumed == resumed
        assert_same(result, run(two_steps(), folder, names, is_use_cache_file=False))
        for file in (folder.parent / "cache").iterdir():
            file.unlink()


@pytest.mark.parametrize("changes", [{"algo": "mse"}, {"activation_bits": 4}, {"batch_size": 2}])
def test_other_settings_resume_as_well(folder: Path, two_steps: MakeModel, changes: dict[str, Any]) -> None:
    with pytest.raises(Killed):
        run(two_steps(), folder, on_batch=kill_after(4))
    assert run(two_steps(), folder, **changes).resumed == 4


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "complete"])
def test_damaged_partial_file_is_rebuilt_with_a_warning(
    folder: Path, two_steps: MakeModel, damage: str
) -> None:
    with pytest.raises(Killed):
        run(two_steps(), folder, on_batch=kill_after(4))
    (path,) = (folder.parent / "cache").iterdir()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        whole = run(two_steps(), folder, is_use_cache_file=False)
        key = "f" * 64
        save_cache(path.parent, key, CachedCalibration(whole.statistics, PICTURES, [])).replace(path)
    result = run(two_steps(), folder)
    assert result.resumed == 0
    assert any(str(path) in warning and "rebuilt" in warning for warning in result.warnings)
    assert_same(result, run(two_steps(), folder, is_use_cache_file=False))


def test_saved_no_more_often_than_asked_for(
    folder: Path, two_steps: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    original = save_cache

    def save(cache_dir: Path, key: str, calibration: CachedCalibration) -> Path:
        saved.append(calibration.used)
        return original(cache_dir, key, calibration)

    monkeypatch.setattr(pipeline, "save_cache", save)
    run(two_steps(), folder, batch_size=3)
    assert saved == [3, 6, PICTURES]
    saved.clear()
    monkeypatch.setattr(pipeline, "SAVE_SECONDS", 3600)
    run(two_steps(batch=1), folder)
    assert saved == [PICTURES]


def test_refused_samples_leave_no_partial_file(folder: Path, two_steps: MakeModel) -> None:
    (folder / "p5.JPG").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"p5\.JPG"):
        run(two_steps(), folder)
    assert not list((folder.parent / "cache").iterdir())


def test_partial_is_not_taken_for_complete(folder: Path, two_steps: MakeModel) -> None:
    with pytest.raises(Killed):
        run(two_steps(), folder, on_batch=kill_after(4))
    (path,) = (folder.parent / "cache").iterdir()
    path.replace(path.with_name(path.name.replace(".partial", "")))
    result = run(two_steps(), folder)
    assert result.pictures == PICTURES
    assert any("another stage" in warning for warning in result.warnings)
    assert load_cache(path.parent, "0" * 64, partial=True) == (None, None)
