"""Memory given back to the system at once: what a large model has freed, and mapped files that are read again when needed."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


def give_back_freed() -> None:
    """Return what was freed to the system: glibc keeps blocks of up to 32 MB. Nothing happens with another C library."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def forget_pages(array: NDArray[Any]) -> None:
    """Give back the pages of the file that ``array`` is mapped from; they are read again when they are used."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    mapped = base.obj if isinstance(base, memoryview) else base
    if isinstance(mapped, mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)
