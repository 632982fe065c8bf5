"""A command that is stopped, at any moment, says so in one line and leaves nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import mobile_block, save

STOPS = (int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGHUP))

STOP = "import os; os.kill(os.getpid(), {number})\n"

RUN = "import sys; sys.argv[0] = 'ptq'; from ptq_cli.start import main; main()"


def run(folder: Path, *words: str, program: str = RUN) -> tuple[int, str]:
    """(exit code, standard error) of the command, which imports what lies in ``folder``/modules first."""
    modules = folder / "modules"
    heard = (
        f"import signal\nfor number in {STOPS}: signal.signal(number, signal.SIG_DFL)\n"  # also under nohup
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{heard}import sys; sys.path.insert(0, {str(modules)!r})\n{program}", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.strip()  # click ends the line of a Ctrl-C first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("module", ["click", "onnx_ir"])  # the first import of all, and one of a command
def test_stopped_while_it_imports(number: signal.Signals, module: str, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{module}.py").write_text(STOP.format(number=int(number)))
    code, err = run(tmp_path, "opt", "--print-supported-ops")
    assert (code, err) == (128 + number, "stopped; nothing half-written is left")


WRITING = """
from ptq_core.flatfile import writer
from ptq_core.optimize import pipeline
whole = pipeline._write
def half(program, path):
    size = whole(program, path)
    {stop}
    return size
pipeline._write = half
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_while_it_writes(number: signal.Signals, tmp_path: Path) -> None:
    save(mobile_block(), tmp_path / "model")
    program = WRITING.format(stop=STOP.format(number=int(number))) + RUN
    code, err = run(tmp_path, "opt", "--model-dir", "model", "--optimize-out", "out/m", program=program)
    assert (code, err) == (128 + number, "stopped; nothing half-written is left")
    assert not list((tmp_path / "out").iterdir())


FINALIZED = """
import time
class Dropped:
    def __del__(self):
        {stop}
        time.sleep(0)
whole = pipeline._write
def late(program, path):
    size = whole(program, path)
    Dropped()
    time.sleep(20)
    return size
pipeline._write = late
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_where_no_exception_is_passed_on(number: signal.Signals, tmp_path: Path) -> None:
    """Python drops what is raised in a finalizer, and says so in a traceback."""
    save(mobile_block(), tmp_path / "model")
    stop = STOP.format(number=int(number)).strip()
    program = "from ptq_core.optimize import pipeline\n" + FINALIZED.format(stop=stop) + RUN
    code, err = run(tmp_path, "opt", "--model-dir", "model", "--optimize-out", "out/m", program=program)
    assert (code, err) == (128 + number, "stopped; nothing half-written is left")
    assert not list((tmp_path / "out").iterdir())


def test_nohup_is_heard(tmp_path: Path) -> None:
    save(mobile_block(), tmp_path / "model")
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    program = ignore + WRITING.format(stop=STOP.format(number=int(signal.SIGHUP))) + RUN
    code, err = run(tmp_path, "opt", "--model-dir", "model", "--optimize-out", "out/m", program=program)
    assert (code, err) == (0, "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.nb"]


def test_closed_streams_are_not_taken_by_files(tmp_path: Path) -> None:
    save(mobile_block(), tmp_path / "model")
    close = "import os\nfor number in (0, 1, 2): os.close(number)\n"
    look = "from ptq_core import files\nwhole = files._remove\ndef remove(folder):\n"
    look += "    open('streams', 'w').write(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3)))\n"
    look += "    whole(folder)\nfiles._remove = remove\n"
    words = ("opt", "--model-dir", "model", "--optimize-out", "out/m")
    code, _ = run(tmp_path, *words, program=close + look + RUN)
    assert code == 0
    assert (tmp_path / "streams").read_text() == "/dev/null /dev/null /dev/null"
