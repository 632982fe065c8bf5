#!/usr/bin/env python3
"""Makes the pictures of the README from what `make demo` left in out/digits: `make pictures`.

Needs chromium and dot on the PATH, and the environment with ptq and Pillow. Exit code 3 if one of them is missing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "out" / "digits"
PICTURES = ROOT / "docs" / "pictures"
COLOURS = 48
"""Charts have few: a picture takes some tens of kilobytes."""
DRAWING_SIZE = (230, 860)


def screenshot(page: Path, size: tuple[int, int], scratch: Path) -> Image.Image:
    """The page in a window of ``size`` CSS pixels, without the empty space below it."""
    picture = scratch / "page.png"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={scratch / 'profile'}",
    ]
    flags += [f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}"]
    subprocess.run(["chromium", *flags, page.as_uri()], check=True, capture_output=True, timeout=120)
    shown = Image.open(picture).convert("RGB")
    empty = Image.new("RGB", shown.size, shown.getpixel((0, shown.height - 1)))
    _, top, _, bottom = ImageChops.difference(shown, empty).getbbox() or (0, 0, *shown.size)
    return shown.crop((0, max(top - 8, 0), shown.width, min(bottom + 16, shown.height)))


def drawing(flat: Path, scratch: Path) -> Image.Image:
    """The first operators of a flat file, as `ptq opt` draws them."""
    subprocess.run(
        ["ptq", "opt", f"--optimized-nb-model-path={flat}", f"--visualization-file-output-path={scratch}"],
        check=True,
        capture_output=True,
    )
    picture = scratch / "drawing.png"
    subprocess.run(["dot", "-Tpng", f"-o{picture}", str(scratch / f"{flat.stem}.dot")], check=True)
    drawn = Image.open(picture).convert("RGB")
    return drawn.crop((0, 0, min(drawn.width, DRAWING_SIZE[0]), min(drawn.height, DRAWING_SIZE[1])))


def save(picture: Image.Image, name: str) -> None:
    path = PICTURES / name
    picture.quantize(COLOURS).save(path, optimize=True)
    print(
        f"{path.relative_to(ROOT)}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} KB"
    )


def main() -> int:
    """Returns the exit code."""
    missing = [program for program in ("chromium", "dot", "ptq") if shutil.which(program) is None]
    if missing or not (DEMO / "bench.html").is_file():
        print(
            f"pictures.py: missing: {', '.join(missing) or 'out/digits/bench.html (make demo)'}",
            file=sys.stderr,
        )
        return 3
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        save(screenshot(DEMO / "bench.html", (1000, 1700), Path(scratch)), "bench.png")
        save(drawing(DEMO / "int8.nb", Path(scratch)), "drawing.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
