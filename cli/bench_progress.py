"""The progress of `ptq bench`: one line per device on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

from ptq_core.printable import printable


class DeviceBars:
    """A context manager; call it as `ptq_core.bench.pipeline.Progress`, from any thread."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def __call__(self, device: str, done: int, total: int, what: str) -> None:
        """Show that ``device`` is at ``what``, after ``done`` of ``total`` cases."""
        bar = self._bars.get(device)
        if bar is None:
            bar = self._bars[device] = tqdm(
                total=total,
                disable=None,
                file=sys.stderr,
                leave=False,
                position=len(self._bars),
                bar_format="{desc} [{n_fmt}/{total_fmt}, {elapsed}]",
            )
        bar.n = done
        bar.set_description_str(printable(f"{device}: {what}"))

    def __enter__(self) -> DeviceBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._bars.values():
            bar.close()
