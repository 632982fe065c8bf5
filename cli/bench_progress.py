"""The progress of `ptq bench`: a meter for each device."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from ptq_core.progress import Meter, meter


class DeviceMeters:
    """A context manager; call it as `ptq_core.bench.pipeline.Progress`, from any thread."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}
        self._open = ExitStack()

    def __call__(self, device: str, done: int, total: int, what: str) -> None:
        """Show that ``device`` is at ``what``, after ``done`` of ``total`` cases."""
        if device not in self._meters:
            self._meters[device] = self._open.enter_context(meter(device, "case", total))
        self._meters[device].at(done, total, f"{device}: {what}")

    def __enter__(self) -> DeviceMeters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
