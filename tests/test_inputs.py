"""What the user names is a regular file of a sensible size, or is refused at once."""

from __future__ import annotations

import errno
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptq_core import inputs
from ptq_core.bench.report import BenchReport
from ptq_core.bench.saved import load_record
from ptq_core.calibration import samples
from ptq_core.calibration.cache import read_cache
from ptq_core.calibration.preprocess import read_open_picture
from ptq_core.calibration.readers import pictures_in_list
from ptq_core.calibration.samples import read_arrays
from ptq_core.config import load_config
from ptq_core.errors import DeviceError, InputError
from ptq_core.flatfile.reader import load_program
from ptq_core.graph.io import load_model
from ptq_core.options.preprocess import PreprocessOptions

SHAPES = {"x": (1, 3, 4, 4)}

READERS: dict[str, Callable[[Path], object]] = {
    "model": load_model,
    "flat file": load_program,
    "configuration": load_config,
    "image list": pictures_in_list,
    "record": lambda path: load_record(BenchReport, path, schema=1, written_by="ptq bench"),
    "sample": lambda path: read_arrays(path, SHAPES),
    "cache": read_cache,
}


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket"))
    return folder / "socket"


def _folder(folder: Path) -> Path:
    (folder / "inner").mkdir()
    return folder / "inner"


SPECIAL: dict[str, Callable[[Path], Path]] = {
    "a pipe": _pipe,
    "a socket": _socket,
    "a folder": _folder,
    "an endless device": lambda _: Path("/dev/zero"),
}


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("reader", READERS)
def test_special_files_are_refused_at_once(tmp_path: Path, reader: str, special: str) -> None:
    path = SPECIAL[special](tmp_path)
    with pytest.raises(InputError, match=path.name):
        READERS[reader](path)


@pytest.mark.parametrize(
    ("limit", "reader"),
    [
        ("config.MOST_CONFIG_BYTES", "configuration"),
        ("calibration.readers.MOST_LIST_BYTES", "image list"),
        ("bench.saved.MOST_RECORD_BYTES", "record"),
        ("calibration.cache.MOST_CACHE_BYTES", "cache"),
    ],
)
def test_a_file_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, reader: str
) -> None:
    monkeypatch.setattr(f"ptq_core.{limit}", 5)
    (tmp_path / "large").write_bytes(b"# none")
    with pytest.raises(InputError, match="large is too large: 6 bytes"):
        READERS[reader](tmp_path / "large")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(1 << 20))
    with pytest.raises(InputError, match=r"bomb\.npz is too large: 1048576 bytes"):
        inputs.load_arrays(path, 1 << 19)


def test_arrays_within_the_bound(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    np.save(tmp_path / "a.npy", np.arange(3))
    packed, plain = (inputs.load_arrays(tmp_path / name, 1000) for name in ("a.npz", "a.npy"))
    assert isinstance(packed, dict)
    assert packed["x"].tolist() == [0, 1, 2]
    assert isinstance(plain, np.ndarray)
    assert plain.tolist() == [0, 1, 2]


@pytest.mark.parametrize("what", READERS)
def test_what_the_system_lacks_is_no_fault_of_a_file(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(b"x: 1\n")

    def no_more_files(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr(os, "open", no_more_files)
    with pytest.raises(DeviceError, match="Too many open files"):
        READERS[what](path)


def _no_memory(*_: object, **__: object) -> object:
    raise MemoryError


def test_a_picture_is_not_bad_where_memory_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be passed over with `skip_bad_images`, and the statistics be others."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", _no_memory)
    monkeypatch.setattr(Image.Image, "load", _no_memory)
    with pytest.raises(MemoryError):
        read_open_picture(tmp_path / "a.png", PreprocessOptions())


def test_arrays_are_not_bad_where_memory_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros(SHAPES["x"], np.float32))
    monkeypatch.setattr(samples, "load_arrays", _no_memory)
    with pytest.raises(MemoryError):
        read_arrays(tmp_path / "a.npy", SHAPES)
