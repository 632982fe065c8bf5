"""The whole calibration of a configuration: picture limits, bad pictures, the cache and its damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.calibration import CalibrationResult, calibrate, pipeline
from ptq_core.calibration.cache import CachedCalibration, cache_key, cache_path, load_cache, save_cache
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.options.preprocess import PreprocessOptions
from tests.calibration.conftest import PICTURES, MakeModel

NAMES = ["input", "twice"]


def config(folder: Path, **changes: Any) -> QuantizeConfig:
    settings: dict[str, Any] = {
        "model_dir": folder,
        "save_model_path": folder,
        "image_dir": folder,
        "batch_size": 2,
        "cache_dir": folder.parent / "cache",
        **changes,
    }
    return QuantizeConfig(**settings)


def run(model: bytes, settings: QuantizeConfig, names: list[str] = NAMES) -> CalibrationResult:
    return calibrate(model, names, settings, {"input": (1, 3, 8, 8)})


def forbid_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("inference ran")

    monkeypatch.setattr(pipeline, "collect_statistics", refuse)


LIMITS = [(None, 2, 7, False), (1, 2, 2, False), (3, 2, 6, False), (7, 1, 7, False), (10, 10, 7, True)]


@pytest.mark.parametrize(("batch_nums", "batch_size", "pictures", "warned"), LIMITS)
def test_number_of_pictures(
    folder: Path, two_steps: MakeModel, batch_nums: int | None, batch_size: int, pictures: int, warned: bool
) -> None:
    result = run(two_steps(), config(folder, batch_nums=batch_nums, batch_size=batch_size))
    assert result.pictures == pictures
    assert result.statistics["input"].count == pictures * 3 * 8 * 8
    assert result.requested == (batch_nums and batch_nums * batch_size)
    assert [f"only {PICTURES} of 100" in warning for warning in result.warnings] == [True] * warned
    assert not result.from_cache


def test_batch_size_changes_nothing(folder: Path, two_steps: MakeModel) -> None:
    results = [run(two_steps(), config(folder, batch_size=size)) for size in (1, 3, 10)]
    for result in results[1:]:
        for name in NAMES:
            np.testing.assert_array_equal(
                result.statistics[name].histogram, results[0].statistics[name].histogram
            )


def test_image_list(folder: Path, two_steps: MakeModel) -> None:
    listed = folder.parent / "list.txt"
    listed.write_text("p3.jpeg 1\np0.png\n", encoding="utf-8")
    assert run(two_steps(), config(folder, image_list=listed)).pictures == 2


def test_no_pictures_configured(folder: Path, two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match="neither `image_dir` nor `image_list`"):
        run(two_steps(), config(folder, image_dir=None))


def test_nan_names_the_picture(folder: Path, two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match=r"tensor `twice` .*first in picture .*p0\.png"):
        run(two_steps(op="Div"), config(folder))


@pytest.mark.parametrize("use_cache", [False, True])
def test_bad_picture_stops_or_is_skipped(folder: Path, two_steps: MakeModel, use_cache: bool) -> None:
    (folder / "p4.png").write_bytes(b"broken")
    for _ in range(2):  # the second time from the cache, which must not hide it
        settings = config(folder, skip_bad_images=True, is_use_cache_file=use_cache)
        result = run(two_steps(), settings)
        assert result.pictures == PICTURES - 1
        assert [path.name for path, _ in result.skipped] == ["p4.png"]
        assert any("p4.png" in warning for warning in result.warnings)
    assert result.from_cache == use_cache
    with pytest.raises(InputError, match=r"p4\.png"):
        run(two_steps(), config(folder, is_use_cache_file=use_cache))


OTHER: dict[str, Any] = {
    "algo": "mse",
    "batch_size": 5,
    "activation_bits": 4,
    "weight_bits": 16,
    "activation_symmetric": False,
    "hist_percent": 0.9,
    "skip_tensor_list": ("shifted",),
    "skip_nodes": ("twice",),
    "is_full_quantize": True,
}
"""Settings that change nothing in the statistics."""


def test_cache_serves_the_same_statistics_without_inference(
    folder: Path, two_steps: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(folder, is_use_cache_file=True)
    first = run(two_steps(), settings)
    assert not first.from_cache
    forbid_inference(monkeypatch)
    for names in (
        NAMES,
        NAMES[::-1],
        ["twice"],
    ):  # another algorithm or exclude list observes no more than this
        again = run(two_steps(), config(folder, is_use_cache_file=True, **OTHER), names)
        assert again.from_cache
        assert again.pictures == PICTURES
        assert list(again.statistics) == names
        for name in names:
            a, b = first.statistics[name], again.statistics[name]
            assert (a.name, a.minimum, a.maximum, a.count, a.zero_count, a.exponent) == (
                b.name,
                b.minimum,
                b.maximum,
                b.count,
                b.zero_count,
                b.exponent,
            )
            np.testing.assert_array_equal(a.histogram, b.histogram)


def test_cache_is_extended_by_more_tensors(
    folder: Path, two_steps: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(folder, is_use_cache_file=True)
    run(two_steps(), settings, ["twice"])
    assert not run(two_steps(), settings, ["shifted"]).from_cache
    forbid_inference(monkeypatch)
    assert list(run(two_steps(), settings, ["shifted", "twice"]).statistics) == ["shifted", "twice"]


def test_no_cache_file_without_the_key(folder: Path, two_steps: MakeModel) -> None:
    run(two_steps(), config(folder))
    assert not (folder.parent / "cache").exists()


def change_content(folder: Path) -> None:
    (folder / "p0.png").write_bytes((folder / "p4.png").read_bytes())


def change_name(folder: Path) -> None:
    (folder / "p0.png").rename(folder / "p00.png")


def remove_picture(folder: Path) -> None:
    (folder / "p6.bmp").unlink()


@pytest.mark.parametrize("change", [change_content, change_name, remove_picture])
def test_other_pictures_are_another_key(folder: Path, two_steps: MakeModel, change: Any) -> None:
    settings = config(folder, is_use_cache_file=True)
    run(two_steps(), settings)
    change(folder)
    assert not run(two_steps(), settings).from_cache


def delete_a_picture(folder: Path) -> None:
    (folder / "p4.png").unlink()


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("change", [change_content, delete_a_picture])
def test_a_picture_that_changes_meanwhile_is_kept_under_no_key(
    folder: Path, two_steps: MakeModel, change: Any, skip_bad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(folder, is_use_cache_file=True, skip_bad_images=skip_bad)

    def change_after_the_key(*given: Any) -> str:
        key = cache_key(*given)
        change(folder)
        return key

    monkeypatch.setattr(pipeline, "cache_key", change_after_the_key)
    with pytest.raises(InputError, match=r"p[04]\.png was changed while"):
        run(two_steps(), settings)
    assert not list(folder.parent.glob("cache/*"))


def test_other_model_or_preprocessing_is_another_key(folder: Path, two_steps: MakeModel) -> None:
    run(two_steps(), config(folder, is_use_cache_file=True))
    assert not run(two_steps(1), config(folder, is_use_cache_file=True)).from_cache
    other = PreprocessOptions(mean=(1.0,))
    assert not run(two_steps(), config(folder, is_use_cache_file=True, preprocess=other)).from_cache


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "foreign", "no checksum"])
def test_damaged_cache_is_rebuilt_with_a_warning(folder: Path, two_steps: MakeModel, damage: str) -> None:
    settings = config(folder, is_use_cache_file=True)
    first = run(two_steps(), settings)
    (path,) = settings.cache_dir.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not a cache", encoding="utf-8")
    elif damage == "foreign":
        other = save_cache(settings.cache_dir, "f" * 64, CachedCalibration(first.statistics, 7, []))
        other.replace(path)
    else:
        with np.load(path) as file:
            np.savez(path, **{name: file[name] for name in file.files if name != "checksum"})
    again = run(two_steps(), settings)
    assert not again.from_cache
    assert any(str(path) in warning and "rebuilt" in warning for warning in again.warnings)
    np.testing.assert_array_equal(again.statistics["twice"].histogram, first.statistics["twice"].histogram)
    third = run(two_steps(), settings)
    assert third.from_cache
    assert not third.warnings


def test_no_cache_yet(tmp_path: Path) -> None:
    assert load_cache(tmp_path, "0" * 64) == (None, None)
    assert not cache_path(tmp_path, "0" * 64).exists()


def test_failed_calibration_leaves_no_cache_file(folder: Path, two_steps: MakeModel) -> None:
    with pytest.raises(InputError):
        run(two_steps(op="Div"), config(folder, is_use_cache_file=True))
    assert not list(folder.parent.glob("cache/*"))


def test_cache_dir_that_is_a_file(folder: Path, two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match="cannot make the folder"):
        run(two_steps(), config(folder, is_use_cache_file=True, cache_dir=folder / "notes.txt"))
