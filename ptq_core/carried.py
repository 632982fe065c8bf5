"""The repository's folders that are no Python packages: beside the package in a checkout, in `_carried/` in a wheel.

`configs/` has the recipes, `runtime/include/` the C header, `runtime/` all else that the runtime is built from and its
builder, `scripts/` what users call. `setup.py` fills `_carried/`.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
IS_CHECKOUT = (_PACKAGE.parent / "runtime" / "CMakeLists.txt").is_file()
ROOT = _PACKAGE.parent if IS_CHECKOUT else _PACKAGE / "_carried"
"""The folder that has them."""


def recipes() -> dict[str, Path]:
    """Name → YAML file of what `ptq quantize -c NAME` knows."""
    return {path.stem: path for path in sorted((ROOT / "configs" / "recipes").glob("*.yaml"))}


@functools.cache
def built_runtimes() -> Path:
    """The folder, in the user's cache, of runtimes that were built from exactly these sources; it may not exist."""
    digest = hashlib.sha256()
    for path in sorted(path for path in (ROOT / "runtime").rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ptq" / f"runtime-{digest.hexdigest()[:12]}"
