"""Where pictures come from: a folder, or a list file with one `name` or `name label` per line.

A `.npy` or `.npz` file counts as a picture that is preprocessed already (`samples.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ptq_core.errors import InputError
from ptq_core.inputs import MOST_LIST_BYTES, read_input_text

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".npy", ".npz", ".png", ".webp")
"""File name endings that count as pictures in a folder, in any case."""


@dataclass(frozen=True)
class Picture:
    """A picture file; ``label`` and the 1-based ``line`` are known when it was named in a list file."""

    path: Path
    label: int | None = None
    line: int | None = None


def find_pictures(image_dir: Path | None, image_list: Path | None) -> list[Picture]:
    """The pictures of a configuration: those in ``image_list`` (names relative to ``image_dir``), else all of ``image_dir``.

    Raises InputError if neither is given and for all that the two readers below refuse.
    """
    if image_list is not None:
        return pictures_in_list(image_list, image_dir)
    if image_dir is not None:
        return pictures_in_folder(image_dir)
    raise InputError(
        "neither `image_dir` nor `image_list` is set",
        rule="calibration needs pictures",
        fix="set image_dir to a folder of 100 or more typical pictures",
    )


def pictures_in_folder(folder: Path) -> list[Picture]:
    """The pictures lying directly in ``folder``, sorted by name; hidden files are left out.

    Raises InputError if the folder is missing or holds no picture.
    """
    _check_folder(folder)
    found = [
        Picture(path)
        for path in sorted(folder.iterdir(), key=lambda p: p.name)
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise InputError(
            f"no pictures in {folder}",
            rule=f"files ending in {', '.join(PICTURE_SUFFIXES)} count, not those in subfolders",
            fix="put pictures there or correct the path",
        )
    return found


def pictures_in_list(list_file: Path, image_dir: Path | None = None) -> list[Picture]:
    """The pictures that ``list_file`` names, in its order.

    A line is `name` or `name label`; names may contain spaces, so the last word is the label only if it is an integer.
    Names are relative to ``image_dir``, or to the list file's folder. Empty lines are skipped. Raises InputError
    for a missing, unreadable or empty list, a missing folder, and a line that names a missing file.
    """
    if image_dir is not None:
        _check_folder(image_dir)
    folder = image_dir if image_dir is not None else list_file.parent
    found = []
    for number, line in enumerate(_read_lines(list_file), start=1):
        if not line.strip():
            continue
        name, label = _split_label(line.strip())
        path = folder / name
        if not path.is_file():
            raise InputError(
                f"{list_file} line {number} names `{name}`, but there is no file {path}",
                rule=f"names are relative to {'image_dir' if image_dir is not None else 'the folder of the list'}",
                fix="correct the line, or set image_dir to the folder of the pictures",
            )
        found.append(Picture(path, label, number))
    if not found:
        raise InputError(
            f"{list_file} names no pictures",
            rule="an image list has one `name` or `name label` per line",
            fix="add pictures to it or correct the path",
        )
    return found


def labelled_pictures(list_file: Path, image_dir: Path | None = None) -> list[tuple[Path, int]]:
    """(path, class index) of every line of ``list_file``; raises InputError if a line has no label ≥ 0."""
    labelled = []
    for picture in pictures_in_list(list_file, image_dir):
        if picture.label is None or picture.label < 0:
            has = "no label" if picture.label is None else f"the label {picture.label}"
            raise InputError(
                f"{list_file} line {picture.line} (`{picture.path.name}`) has {has}",
                rule="accuracy needs `name label` on every line, label being a class index from 0",
                fix="add the class index at the end of the line",
            )
        labelled.append((picture.path, picture.label))
    return labelled


def _split_label(line: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(?P<name>.*\S)\s+(?P<label>[+-]?[0-9]+)", line)
    return (match["name"], int(match["label"])) if match else (line, None)


def _read_lines(list_file: Path) -> list[str]:
    try:
        return read_input_text(list_file, MOST_LIST_BYTES).splitlines()
    except FileNotFoundError:
        raise InputError(
            f"no image list {list_file}", rule="the list file must exist", fix="check the path"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read image list {list_file}: {error}",
            rule="an image list is a UTF-8 text file",
            fix="check the file; a folder of pictures is given as image_dir",
        ) from None


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(
            f"no folder {folder}" if not folder.exists() else f"{folder} is not a folder",
            rule="image_dir names an existing folder of pictures",
            fix="check the path; a file with picture names is given as image_list",
        )
