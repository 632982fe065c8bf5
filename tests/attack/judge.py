"""What was wrong with the end of a command: nothing, or a few words."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import onnx

from ptq_core.calibration.cache import read_cache
from ptq_core.flatfile.reader import load_program
from ptq_core.printable import printable
from tests.attack.nest import End

GOOD = frozenset({0, 2, 3})
"""Done; the user's input; the environment."""

STOPPED = frozenset(128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

NEVER_SAID = (
    "Traceback",
    "bug in ptq",
    "Exception ignored",
    "terminate called",
    "Segmentation",
    "[E:onnxruntime",
)

MOST_ERROR_BYTES = 100_000
MOST_OUTPUT_BYTES = 50_000_000

Files = dict[str, bytes]


def all_files(folder: Path) -> Files:
    """Name → content of what lies in ``folder`` and below."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def judge(
    end: End,
    folder: Path,
    *,
    codes: Iterable[int],
    makes: Iterable[str],
    before: Files,
    killed: bool = False,
    silent: bool = False,
) -> list[str]:
    """Everything that was wrong.

    ``before``: what was in ``folder``/out; ``codes``: ends that are right; ``makes``: what 0 makes; ``killed``: it may have left
    what the next one removes; ``silent``: its words were not taken.
    """
    wrong = []
    if end.hung:
        wrong.append(f"hung for {end.seconds:.0f} s")
    elif end.code not in codes:
        wrong.append(f"ended with {end.code}")
    if end.left:
        wrong.append("left a process behind")
    out, err = ((folder.parent / name).read_bytes() for name in ("stdout", "stderr"))
    wrong += [*_printed(out, "stdout"), *_printed(err, "stderr")]
    said = err.decode("utf-8", "replace")
    wrong += [f"said {words!r}" for words in NEVER_SAID if words in said]
    if end.code in (2, 3) and not silent and not any(map(_is_error, said.splitlines())):
        wrong.append("said nothing of an error")
    if len(err) > MOST_ERROR_BYTES or len(out) > MOST_OUTPUT_BYTES:
        wrong.append(f"printed {len(out) + len(err)} bytes")
    after = all_files(folder / "out")
    wrong += [
        f"did not make {name}" for name in makes if end.code == 0 and name.removeprefix("out/") not in after
    ]
    wrong += _half_written(folder / "out", {name for name in after if after[name] != before.get(name)})
    if not killed:
        wrong += [f"left {path.name}" for path in folder.rglob("*ptq-tmp-*")]
    return wrong


def _is_error(line: str) -> bool:
    """For people, or with --log-json."""
    return line.lower().startswith("error: ") or line.startswith('{"event": "error"')


def _printed(data: bytes, where: str) -> Iterator[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield f"{where} is not UTF-8"
        return
    bad = next((line for line in text.split("\n") if line != printable(line)), None)
    if bad is not None:
        yield f"{where} has {bad[:100]!r}"


CHECKS: dict[str, Callable[[Path], object]] = {
    ".onnx": lambda path: onnx.checker.check_model(str(path)),
    ".nb": load_program,
    ".npz": read_cache,
    ".json": lambda path: json.loads(path.read_bytes()),
    ".html": lambda path: path.read_text("utf-8").rstrip().index("</html>"),
    ".dot": lambda path: path.read_text("utf-8").rindex("}"),
}
"""Suffix → what fails on a file that is not whole."""


def _half_written(folder: Path, names: Iterable[str]) -> Iterator[str]:
    for name in sorted(names):
        if "ptq-tmp-" in name:
            continue
        try:
            CHECKS.get(Path(name).suffix, Path.read_bytes)(folder / name)
        except Exception as error:
            yield f"{name} is half-written: {str(error)[:100]}"
