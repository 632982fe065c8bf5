"""`bench`: flat files (or ONNX models, optimized on the way) through `benchmark_bin` on devices, into a report."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timezone
from pathlib import Path

from ptq_core.bench import res_txt
from ptq_core.bench.advice import advise
from ptq_core.bench.arguments import check_arguments
from ptq_core.bench.context import DeviceContext
from ptq_core.bench.devices.device import Device
from ptq_core.bench.devices.process import kill_running
from ptq_core.bench.devices.selection import select_devices
from ptq_core.bench.power_mode import parse_power_mode
from ptq_core.bench.reference import Reference
from ptq_core.bench.report import (
    Advice,
    BenchReport,
    CaseResult,
    DeviceReport,
    Precision,
    Settings,
    StopRule,
    to_json,
)
from ptq_core.bench.session import Session, Work
from ptq_core.bench.subjects import make_subject
from ptq_core.errors import DeviceError, PtqError
from ptq_core.files import STDOUT, check_outputs, write_text

Progress = Callable[[str, int, int, str], None]
"""Called before each case and after the last, by several threads: the device, cases done on it, cases in all, what is next."""


def bench(
    *,
    fp32: Path | None = None,
    int8: Path | None = None,
    device: str = "local",
    adb: str | None = None,
    adb_host: str | None = None,
    adb_port: int | None = None,
    keep: bool = False,
    threads: Sequence[int] = (1,),
    power_mode: str = "auto",
    warmup: int = 10,
    repeats: int = 30,
    stop: StopRule | None = None,
    cool_down_s: float = 0,
    profile: bool = False,
    result_path: Path | None = None,
    json_path: Path | None = None,
    timeout_s: float = 600,
    progress: Progress | None = None,
    wording: Callable[[str], str] = str,
    say: Callable[[str], None] | None = None,
) -> BenchReport:
    """Measure ``fp32``, ``int8`` (`.nb`, or `.onnx`), or both in turns, once per number of ``threads``, on all devices at once.

    ``device``, ``adb``, ``adb_host``, ``adb_port`` and ``keep`` are those of `devices.selection.select_devices`,
    ``power_mode`` is one of `power_mode.parse_power_mode`; ``auto`` is ``big`` on phones and ``none`` elsewhere.
    ``timeout_s`` holds per process, ``cool_down_s`` is the pause before each case but the first.
    ``say`` gets what the user should know at once.
    ``wording`` turns the names of parameters in warnings and errors of the report into the caller's words.

    After each case its lines are appended to ``result_path`` and ``json_path`` is rewritten
    (`files.STDOUT` gets the whole at the end). A device that fails ends with
    its `error` in the report, and loses neither its finished cases nor those of others. Raises InputError for arguments and
    models that cannot be measured, DeviceError if no device finished a case.
    """
    given: list[tuple[Precision, Path]] = []
    if fp32 is not None:
        given.append(("fp32", fp32))
    if int8 is not None:
        given.append(("int8", int8))
    check_arguments(given, threads, warmup, repeats, stop, cool_down_s, timeout_s)
    mode = parse_power_mode(power_mode)
    check_outputs((result_path, json_path))
    selection = select_devices(device, adb=adb, adb_host=adb_host, adb_port=adb_port, keep=keep)
    if selection.note is not None and say is not None:
        say(selection.note)
    settings = Settings(warmup, repeats, stop, cool_down_s, mode, tuple(threads), profile)
    recorder = _Recorder(settings, selection.devices, result_path, json_path, wording)
    with tempfile.TemporaryDirectory(prefix="ptq-bench-") as scratch:
        subjects = tuple(make_subject(precision, path, Path(scratch)) for precision, path in given)
        references = tuple(Reference(subject, Path(scratch)) for subject in subjects)
        work = Work(subjects, references, settings, timeout_s, say or (lambda note: None))
        _measure_all(selection.devices, work, recorder, progress)
    return recorder.finish()


def _measure_all(
    devices: Sequence[Device], work: Work, recorder: _Recorder, progress: Progress | None
) -> None:
    """A thread per phone, and one for all devices that share this machine's cores.

    On an interrupt they end what they run and clean up, then the interrupt goes on.
    """
    lanes: dict[str, list[Device]] = {}
    for device in devices:
        lanes.setdefault("here" if device.runs_here else device.name, []).append(device)

    def measure(lane: Sequence[Device]) -> None:
        for device in lane:
            if not work.interrupted.is_set():
                _measure_one(device, work, recorder, progress)

    with ThreadPoolExecutor(len(lanes)) as pool:  # not Thread.join, which an interrupt breaks in Python 3.11
        try:
            wait([pool.submit(measure, lane) for lane in lanes.values()])
        except BaseException:
            work.interrupted.set()
            kill_running()
            raise


def _measure_one(device: Device, work: Work, recorder: _Recorder, progress: Progress | None) -> None:
    name, settings = device.name, work.settings
    total = len(settings.threads)
    try:
        with device.open() as opened:
            context = opened.context()  # before our own work raises the load
            recorder.opened(name, context)
            session = Session(device, opened, context, work)
            for index, threads in enumerate(settings.threads):
                if progress is not None:
                    progress(name, index, total, f"{threads} thread(s)")
                if index > 0 and work.interrupted.wait(settings.cool_down_s):
                    return
                recorder.measured(name, session.measure(threads))
            if progress is not None:
                progress(name, total, total, "done")
    except BaseException as error:  # also a bug of ours must reach the caller's thread
        recorder.failed(name, error)


class _Recorder:
    """What the devices' threads have measured so far; written down after every case."""

    def __init__(
        self,
        settings: Settings,
        devices: Sequence[Device],
        result_path: Path | None,
        json_path: Path | None,
        wording: Callable[[str], str],
    ) -> None:
        self._wording = wording
        self._settings, self._result_path, self._json_path = settings, result_path, json_path
        self._started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._clock = time.monotonic()
        self._devices = devices
        self._cases: dict[str, list[CaseResult]] = {device.name: [] for device in devices}
        self._contexts: dict[str, DeviceContext] = {}
        self._errors: dict[str, BaseException] = {}
        self._lock = threading.Lock()

    def opened(self, name: str, context: DeviceContext) -> None:
        with self._lock:
            self._contexts[name] = context

    def measured(self, name: str, case: CaseResult) -> None:
        with self._lock:
            self._cases[name].append(case)
            if self._result_path is not None:
                res_txt.append(
                    self._result_path, [res_txt.line(model.name, model.latency) for model in case.models]
                )
            if self._json_path != STDOUT:  # which takes one document, the last
                self._save()

    def failed(self, name: str, error: BaseException) -> None:
        with self._lock:
            self._errors[name] = error

    def finish(self) -> BenchReport:
        """The report, saved. Raises a bug of ours; and what went wrong, if nothing at all was measured."""
        for error in self._errors.values():
            if not isinstance(error, PtqError):
                raise error
        if not any(self._cases.values()):
            raise self._total_failure()
        try:
            self._save()
        except PtqError as error:  # what was measured can still be shown
            for name in self._cases:
                self._errors.setdefault(name, error)
        return self._report()

    def _total_failure(self) -> BaseException:
        errors = list(self._errors.values())
        if len(errors) == 1:
            return errors[0]
        listed = "; ".join(f"{name}: {error.args[0]}" for name, error in self._errors.items())
        return DeviceError(
            f"no device could be measured: {listed}",
            rule="at least one must finish a case",
            fix="name one of them with `device=` to see what to do about it",
        )

    def _save(self) -> None:
        if self._json_path is not None:
            write_text(self._json_path, to_json(self._report()))

    def _report(self) -> BenchReport:
        paths = {"res.txt": self._result_path, "JSON": self._json_path}
        return BenchReport(
            started=self._started,
            seconds=round(time.monotonic() - self._clock, 3),
            settings=self._settings,
            devices=tuple(map(self._device, self._devices)),
            paths={what: path for what, path in paths.items() if path is not None},
        )

    def _device(self, device: Device) -> DeviceReport:
        name = device.name
        context, cases, error = self._contexts.get(name), tuple(self._cases[name]), self._errors.get(name)
        found = () if context is None else advise(context, cases, emulated=device.is_emulated)
        said = self._wording
        warnings = tuple(Advice(each.code, said(each.text), said(each.fix)) for each in found)
        return DeviceReport(name, context, cases, warnings, None if error is None else said(str(error)))
