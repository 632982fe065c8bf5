"""Preprocessing against arithmetic done by hand, its shape check, and the decoding threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ptq_core.calibration import decode
from ptq_core.calibration.decode import load_pictures, load_samples
from ptq_core.calibration.preprocess import BadPictureError, preprocess_picture, read_picture
from ptq_core.calibration.readers import pictures_in_folder
from ptq_core.errors import InputError
from ptq_core.options.preprocess import PreprocessOptions

PLAIN = PreprocessOptions()
SHAPE = (3, 8, 8)


def gradient(height: int = 6, width: int = 10) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 20, y * 30, x * 0 + 7], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_normalises_in_float32(order: Any, layout: Any) -> None:
    config = PreprocessOptions(mean=(1, 2, 3), std=(4, 5, 6), channel_order=order, layout=layout)
    pixels = np.asarray(gradient(), np.float32)
    pixels = pixels if order == "RGB" else pixels[:, :, ::-1]
    mean, std = np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32)
    expected: NDArray[np.float32] = np.divide(pixels - mean, std)
    expected = expected.transpose(2, 0, 1) if layout == "NCHW" else expected
    result = preprocess_picture(gradient(), config)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)


def test_grey() -> None:
    result = preprocess_picture(gradient(), PreprocessOptions(channel_order="GRAY", mean=(10,), std=(2,)))
    np.testing.assert_array_equal(result[0], (np.asarray(gradient().convert("L"), np.float32) - 10) / 2)
    assert preprocess_picture(gradient(), PreprocessOptions(channel_order="GRAY", layout="NHWC")).shape == (
        6,
        10,
        1,
    )


SIZES: list[tuple[dict[str, Any], tuple[int, int], tuple[int, int]]] = [
    ({"resize": (4, 5)}, (6, 10), (4, 5)),
    ({"resize_short": 3}, (6, 10), (3, 5)),
    ({"resize_short": 3}, (10, 6), (5, 3)),
    ({"resize_short": 256}, (333, 500), (256, 384)),
    ({"resize_short": 8}, (6, 6), (8, 8)),
    ({"resize_short": 4}, (1, 900), (4, 3600)),
    ({"resize_short": 3, "center_crop": (3,)}, (6, 10), (3, 3)),
    ({"center_crop": (2, 4)}, (6, 10), (2, 4)),
    ({}, (6, 10), (6, 10)),
]


@pytest.mark.parametrize(("config", "size", "expected"), SIZES)
def test_sizes(config: dict[str, Any], size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = Image.new("RGB", (size[1], size[0]))
    assert preprocess_picture(picture, PreprocessOptions(**config)).shape == (3, *expected)


def test_centre_crop_is_centred() -> None:
    result = preprocess_picture(gradient(6, 10), PreprocessOptions(center_crop=(2, 4)))
    np.testing.assert_array_equal(result[0, 0], np.arange(3, 7) * 20)
    np.testing.assert_array_equal(result[1, :, 0], np.arange(2, 4) * 30)


def test_crop_from_a_smaller_picture() -> None:
    with pytest.raises(InputError, match=r"cat\.png is 6x10 .* center_crop \[7, 7\]"):
        preprocess_picture(gradient(), PreprocessOptions(center_crop=(7, 7)), "cat.png")


def test_orientation_tag_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient().save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(
        read_picture(tmp_path / "turned.png", PLAIN, (3, 6, 10)), preprocess_picture(gradient(), PLAIN)
    )


def test_palette_and_alpha_become_rgb(tmp_path: Path) -> None:
    for mode in ("P", "RGBA", "L", "1"):
        Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / f"{mode}.png")
        assert (read_picture(tmp_path / f"{mode}.png", PLAIN, SHAPE) == 255).all()


SHAPES: list[tuple[dict[str, Any], tuple[int, ...], str]] = [
    ({}, (3, 4, 4), "preprocess.resize"),
    ({}, (8, 8, 3), "layout: NHWC"),
    ({"layout": "NHWC"}, (3, 8, 8), "layout: NCHW"),
    ({}, (1, 8, 8), "channel_order: GRAY"),
    ({"channel_order": "GRAY"}, (3, 8, 8), "channel_order: RGB"),
    ({}, (3, 8), "preprocess.resize"),
]


@pytest.mark.parametrize(("config", "wanted", "fix"), SHAPES)
def test_wrong_shape(folder: Path, config: dict[str, Any], wanted: tuple[int, ...], fix: str) -> None:
    with pytest.raises(InputError, match=r"p0\.png, but the model takes") as caught:
        read_picture(folder / "p0.png", PreprocessOptions(**config), wanted)
    assert fix in caught.value.fix
    assert not isinstance(caught.value, BadPictureError)  # skip_bad_images must not hide it


def corrupt(folder: Path, kind: str) -> Path:
    path = folder / "p4.png"
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("not a picture at all", encoding="utf-8")
        case "truncated":
            path.write_bytes(path.read_bytes()[:100])
        case "16 bit":
            Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(path)
    return path


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "16 bit"])
def test_corrupt_picture_is_named_or_skipped(folder: Path, kind: str) -> None:
    path = corrupt(folder, kind)
    paths = [picture.path for picture in pictures_in_folder(folder)]
    with pytest.raises(InputError, match=r"cannot decode picture .*p4\.png") as caught:
        list(load_pictures(paths, PLAIN, SHAPE))
    assert "skip_bad_images" in caught.value.fix
    reads = list(load_samples(paths, PLAIN, {"": (1, *SHAPE)}, skip_bad=True))
    assert [read.name for read in reads] == [f"picture {each}" for each in paths]
    assert [read.bad[0] for read in reads if read.bad is not None] == [path]
    assert [read.name for read in reads if read.arrays] == [f"picture {p}" for p in paths if p != path]


def test_all_bad(folder: Path) -> None:
    path = corrupt(folder, "text")
    with pytest.raises(InputError, match="none of the 2 pictures can be decoded"):
        list(load_samples([path, path], PLAIN, {"": (1, *SHAPE)}, skip_bad=True))


def test_order_and_values_do_not_depend_on_the_threads(folder: Path) -> None:
    paths = [picture.path for picture in pictures_in_folder(folder)] * 5
    for workers in (1, 4):
        loaded = list(load_pictures(paths, PLAIN, SHAPE, workers=workers))
        assert [path for path, _ in loaded] == paths
        for path, sample in loaded:
            np.testing.assert_array_equal(sample, read_picture(path, PLAIN, SHAPE))


def test_look_ahead_is_bounded_and_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def count(path: Path, *rest: Any, **keys: Any) -> Any:
        started.append(path)
        return read_picture(path, *rest, **keys)

    monkeypatch.setattr(decode, "read_picture", count)
    pictures = load_pictures([folder / "p0.png"] * 1000, PLAIN, SHAPE, workers=2)
    for _ in range(10):
        next(pictures)
    pictures.close()
    assert 10 <= len(started) <= 10 + 2 * decode.AHEAD_PER_WORKER
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def photograph(path: Path, width: int, height: int) -> Path:
    """A JPEG with structure at every scale, grey as most of a photograph's detail: seeded noise at growing sizes."""
    random = np.random.default_rng(0)
    layers = [
        Image.fromarray(random.integers(0, 256, (height // s, width // s)).astype(np.uint8)).resize(
            (width, height)
        )
        for s in (16, 64, 256)
    ]
    mean = np.mean([np.asarray(layer, np.float32) for layer in layers], axis=0)
    Image.fromarray(mean.astype(np.uint8)).convert("RGB").save(path, quality=90)
    return path


@pytest.mark.parametrize("size", [(2400, 1601), (1601, 2400)])
@pytest.mark.parametrize("resize", [{"resize_short": 256, "center_crop": (224, 224)}, {"resize": (224, 224)}])
def test_reduced_decoding_stays_within_its_tolerance(
    tmp_path: Path, size: tuple[int, int], resize: dict[str, Any]
) -> None:
    path, config = photograph(tmp_path / "large.jpg", *size), PreprocessOptions(**resize)
    plain = read_picture(path, config, (3, 224, 224))
    reduced = read_picture(path, config, (3, 224, 224), reduced=True)
    difference = np.abs(plain - reduced)
    assert 0 < difference.mean() < 1
    assert np.quantile(difference, 0.999) <= 5


def test_pictures_below_six_times_the_size_are_decoded_plainly(tmp_path: Path) -> None:
    path, config = photograph(tmp_path / "small.jpg", 1340, 1340), PreprocessOptions(resize=(224, 224))
    np.testing.assert_array_equal(
        read_picture(path, config, (3, 224, 224)), read_picture(path, config, (3, 224, 224), reduced=True)
    )
