"""Folders and list files of pictures, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from ptq_core.calibration.readers import (
    find_pictures,
    labelled_pictures,
    pictures_in_folder,
    pictures_in_list,
)
from ptq_core.errors import InputError


def test_folder_is_sorted_flat_and_of_known_suffixes(folder: Path) -> None:
    (folder / "sub.png").mkdir()
    (folder / ".p0.png").write_bytes(b"resource fork")
    names = [picture.path.name for picture in pictures_in_folder(folder)]
    assert names == ["p0.png", "p1.JPG", "p2.bmp", "p3.jpeg", "p4.png", "p5.JPG", "p6.bmp"]


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no pictures in") as caught:
        pictures_in_folder(tmp_path)
    assert ".jpg" in caught.value.rule
    with pytest.raises(InputError, match="no folder"):
        pictures_in_folder(tmp_path / "absent")
    with pytest.raises(InputError, match="is not a folder"):
        pictures_in_folder(tmp_path / "only.txt")


def make_list(folder: Path, text: str) -> Path:
    path = folder / "list.txt"
    path.write_text(text, encoding="utf-8")
    return path


LINES = [
    ("p0.png", "p0.png", None),
    ("p0.png 7", "p0.png", 7),
    ("p0.png\t7", "p0.png", 7),
    ("  p0.png   -1  ", "p0.png", -1),
    ("my cat.png", "my cat.png", None),
    ("my cat.png 12", "my cat.png", 12),
    ("cat 3 b.png 12", "cat 3 b.png", 12),
    ("\ufeffp0.png 7", "p0.png", 7),
]


@pytest.mark.parametrize(("line", "name", "label"), LINES)
def test_list_lines(folder: Path, line: str, name: str, label: int | None) -> None:
    Image.new("RGB", (8, 8)).save(folder / name)
    (picture,) = pictures_in_list(make_list(folder, f"{line}\r\n\n"))
    assert (picture.path, picture.label, picture.line) == (folder / name, label, 1)


def test_list_is_relative_to_image_dir(folder: Path, tmp_path: Path) -> None:
    listed = make_list(tmp_path, "p4.png\np1.JPG 3\n")
    assert [p.path for p in pictures_in_list(listed, folder)] == [folder / "p4.png", folder / "p1.JPG"]
    assert [p.path for p in find_pictures(folder, listed)] == [folder / "p4.png", folder / "p1.JPG"]
    with pytest.raises(InputError, match=r"line 1 names `p4\.png`"):
        pictures_in_list(listed)


def test_list_line_of_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"line 3 names `absent\.png`"):
        pictures_in_list(make_list(folder, "p0.png\n\nabsent.png 4\n"))


@pytest.mark.parametrize("text", ["", "\n  \n"])
def test_empty_list(folder: Path, text: str) -> None:
    with pytest.raises(InputError, match="names no pictures"):
        pictures_in_list(make_list(folder, text))


def test_unreadable_lists(folder: Path) -> None:
    with pytest.raises(InputError, match="no image list"):
        pictures_in_list(folder / "absent.txt")
    with pytest.raises(InputError, match="cannot read image list"):
        pictures_in_list(folder / "p0.png")
    with pytest.raises(InputError, match="cannot read image list"):
        pictures_in_list(folder)
    with pytest.raises(InputError, match="no folder"):
        pictures_in_list(make_list(folder, "p0.png\n"), folder / "absent")


def test_neither_folder_nor_list() -> None:
    with pytest.raises(InputError, match="neither `image_dir` nor `image_list`"):
        find_pictures(None, None)


def test_labels(folder: Path) -> None:
    assert labelled_pictures(make_list(folder, "p0.png 7\np2.bmp 0\n")) == [
        (folder / "p0.png", 7),
        (folder / "p2.bmp", 0),
    ]


@pytest.mark.parametrize(("line", "has"), [("p2.bmp", "no label"), ("p2.bmp -1", "the label -1")])
def test_missing_label_names_the_line(folder: Path, line: str, has: str) -> None:
    with pytest.raises(InputError, match=f"line 2 .*{has}"):
        labelled_pictures(make_list(folder, f"p0.png 7\n{line}\n"))
